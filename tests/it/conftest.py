"""Fixtures: the embedded servers, the certificates, the factory of proxies, the time limit."""
import faulthandler
import os
import resource
import shutil
import signal
import subprocess
import tempfile

import pytest

from cluster import BIN, Certs, Cluster, run
from sluice import IS_PGBOUNCER, PROGRAM, Sluice

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = int(os.environ.get("PGSLUICE_IT_LIMIT", "60"))


def pytest_configure(config):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 20000 if hard == resource.RLIM_INFINITY else min(hard, 20000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    if not os.access(PROGRAM, os.X_OK):
        raise pytest.UsageError(f"{PROGRAM} does not exist: build it or set PGSLUICE")


def pytest_report_header(config):
    return f"proxy under test: {PROGRAM}"


def pytest_collection_modifyitems(items):
    if IS_PGBOUNCER:
        skip = pytest.mark.skip(reason="pgsluice promises more here than PgBouncer 1.18")
        for item in items:
            if item.get_closest_marker("beyond_pgbouncer"):
                item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """No test hangs: an exception after LIMIT_S (soak: ten times that), a dump and exit later."""
    limit = LIMIT_S * (10 if item.get_closest_marker("soak") else 1)

    def expired(signum, frame):
        raise TimeoutError(f"{item.nodeid} took more than {limit} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, limit)
    faulthandler.dump_traceback_later(limit + 30, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture(scope="session")
def root():
    path = tempfile.mkdtemp(prefix="pgsluice-it-", dir="/tmp")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def certs(root):
    return Certs(f"{root}/tls")


@pytest.fixture(scope="session")
def pg(root, certs):
    """The server that the tests share and never stop."""
    cluster = Cluster(f"{root}/pg", certs)
    try:
        cluster.start()
        cluster.populate()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="session")
def _pg2(root, certs):
    cluster = Cluster(f"{root}/pg2", certs)
    try:
        cluster.start()
        cluster.populate()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def pg2(_pg2):
    """A second server, running, that a test may stop and start."""
    if not _pg2.running():
        _pg2.start()
    return _pg2


@pytest.fixture
def sluice(pg):
    """Factory: sluice(default_pool_size=3, databases={...}) starts a proxy for this test."""
    started = []

    def make(cluster=pg, **kw):
        one = Sluice(cluster, start=False, **{k: v for k, v in kw.items() if k != "start"})
        started.append(one)
        if kw.get("start", True):
            one.start()
        return one

    yield make
    failures = []
    for one in started:
        try:
            one.stop()
        except AssertionError as e:
            failures.append(str(e))
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def pgbench_tables(pg):
    run([f"{BIN}/pgbench", "-i", "-q", "-s", "1", pg.dsn("app", "app")])


@pytest.fixture(scope="session")
def node_modules():
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    if not os.path.isdir(f"{HERE}/node_modules/pg"):
        try:
            run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=HERE, timeout=50)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            pytest.skip(f"npm ci failed, no registry? {e}")
    return f"{HERE}/node_modules"
