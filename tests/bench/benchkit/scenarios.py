"""What is measured, in one table, with the goals of the project; and how each kind is run.

A Scenario names the sides that take turns. The first side is ours, each other side makes a pair
with it. Goals are per pair (a ratio) and for our own value (`most`).
"""
import dataclasses
import fnmatch
import statistics

from .gauge import (IdleClients, Load, cpu_run, rss_per_idle_client,
                    syscalls_per_transaction, warm_up)
from .peers import Spec
from .rig import BenchError

PLAIN = Spec()
TLS = Spec(client_tls=True)
TLS_BOTH = Spec(client_tls=True, server_tls=True)
SCRAM = Spec(auth="scram")
BULK = "select repeat('x', 1048576);"
BACKGROUND = 4		# checkpointer and friends: PostgreSQL's children besides backends


@dataclasses.dataclass(frozen=True)
class Side:
    label: str
    peer: str
    spec: Spec = PLAIN


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    kind: str			# cpu, rss, syscalls
    sides: tuple
    load: dict			# for Load(), without its length
    goals: dict = dataclasses.field(default_factory=dict)	# label of the other side -> ratio
    most: float = None		# for our own value
    count: tuple = ()		# rss: (clients,); syscalls: (short, long) per client
    idle_pools: bool = False	# keep a client in every pool that the spec has
    unit: str = "us"


def sides(spec, *peers):
    return tuple(Side(p, p, spec) for p in peers)


def _cpu_scenarios():
    everybody = sides(PLAIN, "pgsluice", "pgbouncer", "haproxy", "direct")
    goals = {8: (1.00, 0.95), 32: (0.97, 0.97), 200: (0.80, 0.75)}
    for mode in ("simple", "extended", "prepared"):
        for clients, (pgb, hap) in goals.items():
            yield Scenario(f"{mode}-c{clients}", "cpu", everybody,
                           {"clients": clients, "mode": mode}, {"pgbouncer": pgb, "haproxy": hap})
    for clients in (8, 32, 200):
        two = (Side("2 workers", "pgsluice", Spec(workers=2)), Side("1 worker", "pgsluice"))
        yield Scenario(f"workers-c{clients}", "cpu", two, {"clients": clients},
                       {"1 worker": 1.12})
    yield Scenario("paced-c32", "cpu", everybody, {"clients": 32, "rate": 1000},
                   {"pgbouncer": 0.97, "haproxy": 0.85})
    yield Scenario("bulk-c4", "cpu", everybody, {"clients": 4, "script": BULK},
                   {"pgbouncer": 0.65, "haproxy": 1.05})
    for stem, spec, limits in (("tls", TLS, {32: 0.82, 200: 0.72}),
                               ("tlsboth", TLS_BOTH, {32: 0.75, 200: 0.72})):
        for clients, most in limits.items():
            yield Scenario(f"{stem}-c{clients}", "cpu", sides(spec, "pgsluice", "pgbouncer"),
                           {"clients": clients}, {"pgbouncer": most})
    for stem, spec, most in (("trust", PLAIN, 0.97), ("scram", SCRAM, 0.82), ("tls", TLS, 0.85)):
        for clients in (8, 32):
            yield Scenario(f"storm-{stem}-c{clients}", "cpu",
                           sides(spec, "pgsluice", "pgbouncer"),
                           {"clients": clients, "reconnect": True}, {"pgbouncer": most})


def _pool_scenarios(many):
    few_spec, many_spec = Spec(pools=2), Spec(pools=many)
    load = {"clients": 32, "databases": ("pool0000", "pool0001")}
    for peer in ("pgsluice", "pgbouncer"):
        pair = (Side(f"{many} pools", peer, many_spec), Side("2 pools", peer, few_spec))
        yield Scenario(f"pools-{peer}", "cpu", pair, load,
                       {"2 pools": 1.10} if peer == "pgsluice" else {}, idle_pools=True)


def _memory_scenarios(plain, tls):
    yield Scenario("rss-plain", "rss", sides(PLAIN, "pgsluice", "pgbouncer"), {"clients": 32},
                   {"pgbouncer": 0.50}, most=400, count=(plain,), unit="B")
    yield Scenario("rss-tls", "rss", sides(TLS, "pgsluice", "pgbouncer"), {"clients": 32},
                   {"pgbouncer": 0.96}, count=(tls,), unit="B")


# transactions per client: the long run costs about 15,000 of them, traced
SYSCALL_COUNTS = {8: (100, 1600), 32: (40, 540), 200: (15, 90)}
SYSCALL_GOALS = {8: 4.4, 32: 4.15, 200: 4.2}


def syscall_scenario(clients, mode="simple", spec=PLAIN, stem=None, most=None,
                     peers=("pgsluice", "pgbouncer", "haproxy")):
    return Scenario(f"syscalls-{stem or mode}-c{clients}", "syscalls", sides(spec, *peers),
                    {"clients": clients, "mode": mode}, most=most,
                    count=SYSCALL_COUNTS[clients], unit="calls")


def _syscall_scenarios():
    for clients, most in SYSCALL_GOALS.items():
        yield syscall_scenario(clients, most=most)
    yield syscall_scenario(32, mode="prepared", most=4.2)
    yield syscall_scenario(32, spec=TLS_BOTH, stem="tlsboth", most=4.2,
                           peers=("pgsluice", "pgbouncer"))
    for stem, spec, most in (("trust", PLAIN, 13), ("scram", SCRAM, 22), ("tls", TLS, 27)):
        yield Scenario(f"syscalls-storm-{stem}", "syscalls",
                       sides(spec, "pgsluice", "pgbouncer"), {"clients": 8, "reconnect": True},
                       most=most, count=(10, 110), unit="calls")


def all_scenarios(quick=False):
    many = 300 if quick else 3000
    plain, tls = (2000, 500) if quick else (10000, 2000)
    return [*_cpu_scenarios(), *_pool_scenarios(many), *_memory_scenarios(plain, tls),
            *_syscall_scenarios()]


def select(scenarios, patterns):
    """A pattern is a name, the start of one up to a dash, or a shell pattern."""
    if not patterns:
        return scenarios
    for pattern in patterns:
        if not any(matches(s.name, pattern) for s in scenarios):
            raise BenchError(f"no scenario is called {pattern!r} (--list shows them)")
    return [s for s in scenarios if any(matches(s.name, p) for p in patterns)]


def matches(name, pattern):
    return name == pattern or name.startswith(pattern + "-") or fnmatch.fnmatchcase(name, pattern)


# ---- running

class Runner:
    def __init__(self, rig, peers, rounds, seconds, only_peers=None, say=lambda text: None):
        self.rig, self.peers, self.rounds, self.seconds = rig, peers, rounds, seconds
        self.only_peers, self.say = only_peers, say

    def run(self, scenario):
        """The result of one scenario as plain data: per side samples, one per round."""
        result = {"name": scenario.name, "kind": scenario.kind, "unit": scenario.unit,
                  "most": scenario.most, "goals": scenario.goals, "sides": {}}
        live = []
        for side in scenario.sides:
            entry = {"peer": side.peer, "samples": [], "runs": [], "skipped": None, "failed": None}
            result["sides"][side.label] = entry
            why = self.peers.why_not(side.peer, side.spec, scenario.load.get("mode"))
            if self.only_peers and side.peer not in self.only_peers:
                why = "not asked for"
            entry["skipped"] = why
            if not why:
                live.append(side)
        if scenario.sides[0] not in live and self.only_peers is None:
            return result	# nothing to compare with: spare the time
        self.peers.keep_only({(s.peer, s.spec) for s in live})
        holders = []
        try:
            self._rounds(scenario, live, result, holders)
        finally:
            for holder in holders:
                holder.__exit__(None, None, None)
        return result

    def _rounds(self, scenario, live, result, holders):
        step = getattr(self, "_" + scenario.kind)
        failed = set()
        if not live:
            return
        rounds = self.rounds if scenario.kind == "cpu" else min(3, self.rounds)
        for number in range(rounds):
            turn = number % len(live)
            for side in live[turn:] + live[:turn]:	# nobody always runs after the same peer
                if side in failed:
                    continue
                self.say(f"{scenario.name} round {number + 1}/{rounds}: {side.label}")
                entry = result["sides"][side.label]
                try:
                    step(scenario, side, entry, holders)
                except BenchError as error:
                    entry["failed"] = str(error)
                    failed.add(side)
                    self.peers.drop(side.peer, side.spec)

    def _cpu(self, scenario, side, entry, holders):
        inst = self.peers.get(side.peer, side.spec)
        if inst.fresh:
            if scenario.idle_pools and side.spec.pools > 2:
                holders.append(self._fill_pools(inst))
            warm_up(self.rig, inst, Load(**scenario.load, seconds=1))
            inst.fresh = False
        self.rig.settle(BACKGROUND + self.peers.server_count())
        run = cpu_run(self.rig, inst, Load(**scenario.load, seconds=self.seconds))
        entry["runs"].append(run)
        if "cpu_us" in run:
            entry["samples"].append(run["cpu_us"])

    def _fill_pools(self, inst):
        """One client in every pool makes the pool exist. Each pool opens a server connection for
        it; those are ended in batches, since PostgreSQL has no 3,000 of them."""
        def end_servers():
            self.rig.sql("select count(pg_terminate_backend(pid)) from pg_stat_activity"
                         " where backend_type = 'client backend' and pid <> pg_backend_pid()"
                         " and state = 'idle'")
            self.rig.settle(BACKGROUND)
        return IdleClients(self.rig, inst, inst.spec.pools, dbname="pool%", batch=100,
                           each=end_servers).__enter__()

    def _rss(self, scenario, side, entry, _holders):
        self.peers.drop(side.peer, side.spec)	# memory of an earlier round would be reused
        inst = self.peers.get(side.peer, side.spec)
        count = min(scenario.count[0], self.peers.max_clients() - 50)
        entry["clients"] = count
        warm_up(self.rig, inst, Load(**scenario.load, seconds=1))
        entry["samples"].append(rss_per_idle_client(self.rig, inst, count))

    def _syscalls(self, scenario, side, entry, _holders):
        inst = self.peers.get(side.peer, side.spec)
        if inst.fresh:
            warm_up(self.rig, inst, Load(**scenario.load, seconds=1))
            inst.fresh = False
        self.rig.settle(BACKGROUND + self.peers.server_count())
        value, names = syscalls_per_transaction(
            self.rig, inst, lambda n: Load(**scenario.load, count=n), *scenario.count)
        entry["samples"].append(value)
        entry["runs"].append(names)


def user_time(results):
    """User-space time per transaction out of the simple runs: by ticks, hence over their sum."""
    made = []
    for result in results:
        if not result["name"].startswith("simple-"):
            continue
        derived = {"name": "user-" + result["name"][len("simple-"):], "kind": "user", "unit": "us",
                   "most": 1.0, "goals": {}, "sides": {}}
        for label, entry in result["sides"].items():
            runs = [r for r in entry["runs"] if "user_us_total" in r]
            done = sum(r["transactions"] for r in runs)
            samples = [sum(r["user_us_total"] for r in runs) / done] if done else []
            derived["sides"][label] = {**entry, "samples": samples, "runs": []}
        made.append(derived)
    return made


def spread(samples):
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples)}


def judge(results):
    """Adds medians, the ratio of each pair round by round, and whether goals are met."""
    for result in results:
        labels = list(result["sides"])
        ours = result["sides"][labels[0]]
        for entry in result["sides"].values():
            if entry["samples"]:
                entry.update(spread(entry["samples"]))
        result["ratios"] = []
        for label in labels[1:]:
            pairs = [a / b for a, b in zip(ours["samples"],
                                           result["sides"][label]["samples"]) if b]
            if pairs:
                goal = result["goals"].get(label)
                ratio = {"to": label, "goal": goal, **spread(pairs)}
                ratio["met"] = None if goal is None else ratio["median"] <= goal
                result["ratios"].append(ratio)
        if result["most"] is not None and ours["samples"]:
            result["met"] = ours["median"] <= result["most"]
    return results
