#!/usr/bin/python3
"""A check, not a timing: system calls per transaction stay within their bounds.

95 % of a relay's cost is in the kernel, so this figure guards the hot path, and unlike CPU time it
does not move with the load of the machine. Exit code 0: within bounds, 1: above, 2: not measured.
"""
import argparse
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from benchkit.gauge import Load, syscalls_per_transaction			# noqa: E402
from benchkit.peers import Peers						# noqa: E402
from benchkit.rig import BenchError, Rig					# noqa: E402
from benchkit.scenarios import PLAIN, SYSCALL_COUNTS, SYSCALL_GOALS	# noqa: E402


def measure(repeat=1):
    """{clients: (calls per transaction, bound, calls by name)}; a miss is measured twice more and
    the median counts, since one run can be unlucky in how replies bunch up."""
    figures = {}
    with Rig(scale=1) as rig:
        peers = Peers(rig)
        if not peers.binaries["pgsluice"]:
            raise BenchError("no pgsluice: run make, or name one in PGSLUICE")
        inst = peers.get("pgsluice", PLAIN)
        for clients, bound in SYSCALL_GOALS.items():
            Load(clients, count=20).run(rig, inst)	# opens the pool
            def once(clients=clients):
                return syscalls_per_transaction(rig, inst, lambda n: Load(clients, count=n),
                                                *SYSCALL_COUNTS[clients])
            seen = [once() for _ in range(repeat)]
            if statistics.median(s[0] for s in seen) > bound:
                seen += [once(), once()]
            middle = sorted(seen, key=lambda s: s[0])[len(seen) // 2]
            figures[clients] = (middle[0], bound, middle[1])
    return figures


def lines(figures):
    for clients, (value, bound, by_name) in figures.items():
        parts = ", ".join(f"{n} {v:.2f}" for n, v in sorted(by_name.items(), key=lambda i: -i[1]))
        verdict = "ok" if value <= bound else "ABOVE"
        yield f"c{clients}: {value:.2f} system calls per transaction, at most {bound} {verdict}" \
              f" ({parts})"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--repeat", type=int, default=1, help="measurements per client count")
    args = p.parse_args()
    try:
        figures = measure(max(1, args.repeat))
    except BenchError as error:
        print(f"syscalls: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print("\n".join(lines(figures)))
    return 0 if all(value <= bound for value, bound, _ in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
