"""Goal: the relay stays within its bounds of system calls per transaction at 8, 32, 200 clients."""
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import syscalls						# noqa: E402
from benchkit.peers import find, pgsluice_path		# noqa: E402
from benchkit.rig import BenchError			# noqa: E402


def test_system_calls_per_transaction():
    if not find(pgsluice_path()):
        pytest.skip("build/pgsluice is not built")
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    try:
        figures = syscalls.measure()
    except BenchError as error:
        if "strace cannot attach" in str(error):
            pytest.skip(str(error))	# a sandbox without ptrace
        raise
    report = "\n".join(syscalls.lines(figures))
    print(report)
    assert all(value <= bound for value, bound, _ in figures.values()), report
