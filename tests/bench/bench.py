#!/usr/bin/python3
"""The benchmark: pgsluice beside pgbouncer, HAProxy and PostgreSQL alone, taking turns.

Prints proxy CPU per transaction and the ratio pair by pair. docs/benchmarks.md says how to read it.
"""
import argparse
import os
import pathlib
import platform
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from benchkit import gauge, report, scenarios		# noqa: E402
from benchkit.peers import Peers			# noqa: E402
from benchkit.rig import ROOT, BenchError, Rig		# noqa: E402


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--quick", action="store_true", help="1 round, 2 s runs, fewer idle clients")
    p.add_argument("--rounds", type=int, help="rounds per scenario (7; medians need that many)")
    p.add_argument("--seconds", type=int, help="length of a run (3)")
    p.add_argument("--only", default="", metavar="NAME,...",
                   help="scenarios by name, by group (simple, storm, rss ...) or shell pattern")
    p.add_argument("--peers", default="", metavar="PEER,...",
                   help="only these: pgsluice, pgbouncer, haproxy, direct")
    p.add_argument("--list", action="store_true", help="name the scenarios and stop")
    p.add_argument("--markdown", action="store_true", help="tables for docs/benchmarks.md")
    p.add_argument("--json", type=pathlib.Path, default=ROOT / "build" / "bench" / "results.json")
    args = p.parse_args()
    if args.rounds is None:
        args.rounds = 1 if args.quick else 7
    if args.seconds is None:
        args.seconds = 2 if args.quick else 3
    if args.rounds < 1 or args.seconds < 1:
        p.error("--rounds and --seconds must be at least 1")
    return args


def say(text):
    """Progress: over itself on a terminal, one line each in a log."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def names(text):
    return [word.strip() for word in text.split(",") if word.strip()]


def measure(args, chosen):
    """Runs the chosen scenarios; what is done is kept if the rest is interrupted."""
    results = []
    load = os.getloadavg()[0]
    complete = False
    with Rig() as rig:
        peers = Peers(rig)
        if not peers.binaries["pgsluice"] and not args.peers:
            raise BenchError("no pgsluice: run make, or name one in PGSLUICE")
        if any(s.kind == "rss" or s.idle_pools for s in chosen):
            gauge.build_idle_clients(rig)
        runner = scenarios.Runner(rig, peers, args.rounds, args.seconds,
                                  names(args.peers) or None, say)
        try:
            for scenario in chosen:
                results.append(runner.run(scenario))
            complete = True
        except KeyboardInterrupt:
            say("interrupted; here is what was done so far\n")
        meta = {"date": time.strftime("%Y-%m-%d"), "rounds": args.rounds,
                "seconds": args.seconds, "complete": complete, "versions": peers.versions,
                "machine": f"{os.cpu_count()} cores, Linux {platform.release()}",
                "load": [load, os.getloadavg()[0]]}
    return meta, scenarios.judge(results + scenarios.user_time(results))


def main():
    args = arguments()
    every = scenarios.all_scenarios(args.quick)
    if args.list:
        print("\n".join(s.name for s in every))
        return 0
    try:
        meta, results = measure(args, scenarios.select(every, names(args.only)))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if sys.stderr.isatty():
        say("")
    report.write_json(args.json, meta, results)
    print(report.render(meta, results, args.markdown))
    if not meta["complete"]:
        return 130
    return 1 if any(e["failed"] for r in results for e in r["sides"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
