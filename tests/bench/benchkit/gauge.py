"""How things are measured: CPU by the scheduler's own account, memory, system calls, pgbench."""
import copy
import os
import pathlib
import re
import signal
import subprocess
import time

from .rig import DBNAME, HOST, ROOT, USER, BenchError, client_env, need

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
SOURCE = ROOT / "tests" / "bench" / "idle_clients.c"
IDLE_CLIENTS = ROOT / "build" / "bench" / "idle_clients"


def tasks(pid):
    return pathlib.Path(f"/proc/{pid}/task").iterdir()


def cpu_ns(pid):
    """Nanoseconds on a CPU, all threads (the first figure of schedstat)."""
    total = 0
    for task in tasks(pid):
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:	# a thread that just ended
            continue
    return total


def user_us(pid):
    """User-space time; by ticks, so only sums over long runs mean anything."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rsplit(")", 1)[1].split()[11]) * TICK_US


def rss_bytes(pid):
    """smaps_rollup counts pages; VmRSS may lag by a batch per CPU."""
    for name, key in (("smaps_rollup", "Rss:"), ("status", "VmRSS:")):
        try:
            for line in pathlib.Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
        except PermissionError:
            continue
    raise BenchError(f"cannot read the memory of process {pid}")


# ---- pgbench

class NothingDone(BenchError):
    """The run was over before its first transaction."""


class Load:
    """One or more pgbench at the same time against one instance."""

    def __init__(self, clients, mode="simple", seconds=None, count=None, rate=None, script=None,
                 reconnect=False, databases=(DBNAME,)):
        self.clients, self.mode, self.seconds, self.count = clients, mode, seconds, count
        self.rate, self.script, self.reconnect = rate, script, reconnect
        self.databases = databases

    def argv(self, rig, port, dbname):
        clients = self.clients // len(self.databases)
        argv = ["pgbench", "-n", "-h", HOST, "-p", port, "-U", USER, "-M", self.mode,
                "-c", clients, "-j", max(1, min(2, clients) // len(self.databases))]
        argv += ["-T", self.seconds] if self.seconds else ["-t", self.count]
        if self.rate:
            argv += ["-R", self.rate]
        if self.reconnect:
            argv += ["-C"]
        argv += ["-f", rig.write("script.sql", self.script + "\n")] if self.script else ["-S"]
        return argv + [dbname]

    def run(self, rig, inst):
        """Runs to the end; returns transactions, tps and mean latency."""
        patience = (self.seconds or 60) + 30
        env = client_env(inst.sslmode)
        children = [rig.spawn(self.argv(rig, inst.port, db), env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                    for db in self.databases]
        total = {"transactions": 0, "tps": 0.0, "latency_ms": 0.0}
        try:
            for child in children:
                out, err = child.communicate(timeout=patience)
                inst.check()
                one = parse_pgbench(child.returncode, out, err)
                total["transactions"] += one["transactions"]
                total["tps"] += one["tps"]
                total["latency_ms"] += one["latency_ms"] / len(children)
        except subprocess.TimeoutExpired:
            raise BenchError(f"pgbench against {inst.peer} still ran after {patience} s")
        finally:
            for child in children:
                rig.stop(child)
        return total


def parse_pgbench(code, out, err):
    def figure(pattern):
        found = re.search(pattern, out)
        return float(found[1]) if found else 0.0

    done = figure(r"actually processed: (\d+)")
    failed = figure(r"failed transactions: (\d+)")
    if code == 0 and not done:
        raise NothingDone("pgbench did no transaction in its time")
    if code != 0 or failed:
        lines = [line for line in err.splitlines() if "error" in line or "fatal" in line.lower()]
        raise BenchError("pgbench: " + (lines or err.splitlines() or [f"exit code {code}"])[0])
    return {"transactions": int(done), "tps": figure(r"tps = ([\d.]+)"),
            "latency_ms": figure(r"latency average = ([\d.]+)")}


def warm_up(rig, inst, load):
    """Opens the peer's pool and touches its code and the server's cache."""
    try:
        load.run(rig, inst)
    except NothingDone:
        pass


def cpu_run(rig, inst, load):
    """One run: what pgbench saw, and the proxy's CPU and user time per transaction in us.

    pgbench's clock also runs while it connects: on a busy machine 200 fresh backends can eat a
    short run whole. That is no failure of the peer, so such a run is repeated once, longer.
    """
    try:
        return _cpu_run(rig, inst, load)
    except NothingDone:
        longer = copy.copy(load)
        longer.seconds += 8
        return _cpu_run(rig, inst, longer)


def _cpu_run(rig, inst, load):
    cpu = cpu_ns(inst.pid) if inst.pid else 0
    user = user_us(inst.pid) if inst.pid else 0
    result = load.run(rig, inst)
    if inst.pid:
        result["cpu_us"] = (cpu_ns(inst.pid) - cpu) / 1e3 / result["transactions"]
        result["user_us_total"] = user_us(inst.pid) - user
    return result


# ---- system calls

class Strace:
    """strace -c over all threads of one process for the length of a `with` block."""

    def __init__(self, rig, inst):
        self.rig, self.inst = rig, inst
        self.out = rig.dir / "strace.out"
        self.calls = {}

    def __enter__(self):
        self.out.unlink(missing_ok=True)
        self.child = self.rig.spawn([need("strace", "strace"), "-c", "-f", "-o", self.out, "-p",
                                     self.inst.pid], log="strace.log")
        deadline = time.monotonic() + 10
        while not self._attached():
            if self.child.poll() is not None or time.monotonic() > deadline:
                text = (self.rig.dir / "strace.log").read_text(errors="replace").strip()
                self.rig.stop(self.child)
                raise BenchError("strace cannot attach: " + (text.splitlines() or ["?"])[-1])
            time.sleep(0.02)
        return self

    def _attached(self):
        return all("TracerPid:\t0\n" not in (t / "status").read_text()
                   for t in tasks(self.inst.pid))

    def __exit__(self, kind, *_):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                pass
        self.rig.stop(self.child)
        if kind is None and self.out.exists():
            self.calls = parse_strace(self.out.read_text())


def parse_strace(text):
    """Table of -c: time share, seconds, usecs/call, calls, [errors], name."""
    calls = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and re.fullmatch(r"[\d.]+", words[0]) and words[-1] != "total":
            calls[words[-1]] = calls.get(words[-1], 0) + int(words[3])
    return calls


def syscalls_per_transaction(rig, inst, make_load, short, long):
    """(calls per transaction, the same by name).

    Two runs of `short` and `long` transactions per client, both traced from end to end; the
    difference holds no login, no start and no end, so it needs no guess about how many
    transactions fell into a time window. A first run is thrown away: tracing slows the proxy, so
    that it asks for more servers than before, and their logins would count against the short run.
    """
    seen = []
    for count in (short, short, long):
        with Strace(rig, inst) as trace:
            done = make_load(count).run(rig, inst)["transactions"]
            time.sleep(0.1)	# the last client's goodbye belongs to its own run
        seen.append((done, trace.calls))
    del seen[0]
    more = seen[1][0] - seen[0][0]
    names = set(seen[0][1]) | set(seen[1][1])
    by_name = {n: (seen[1][1].get(n, 0) - seen[0][1].get(n, 0)) / more for n in names}
    return sum(by_name.values()), {n: v for n, v in by_name.items() if abs(v) >= 0.005}


# ---- idle clients

def build_idle_clients(rig):
    """Compiles the helper that holds idle clients, unless it is newer than its source."""
    if IDLE_CLIENTS.exists() and IDLE_CLIENTS.stat().st_mtime >= SOURCE.stat().st_mtime:
        return
    IDLE_CLIENTS.parent.mkdir(parents=True, exist_ok=True)
    flags = "-std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes".split()
    rig.run([os.environ.get("CC", "gcc"), *flags, "-o", IDLE_CLIENTS, SOURCE, "-lssl", "-lcrypto"])


class IdleClients:
    """n clients that logged in, ran one query and then keep quiet; in a process of their own,
    since this one may not have the descriptors. `each` is called after every batch."""

    def __init__(self, rig, inst, count, dbname=DBNAME, batch=0, each=None):
        self.rig, self.inst, self.count, self.dbname = rig, inst, count, dbname
        self.batch, self.each = batch or count, each

    def __enter__(self):
        tls = "tls" if self.inst.sslmode == "require" else "plain"
        self.child = self.rig.spawn([IDLE_CLIENTS, HOST, self.inst.port, USER, self.dbname, tls,
                                     self.count, self.batch], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(-(-self.count // self.batch)):
            line = self.child.stdout.readline()
            if not line:
                why = self.child.stderr.read().strip()
                self.rig.stop(self.child)
                raise BenchError(f"idle clients of {self.inst.peer}: {why}")
            if self.each:
                self.each()
            self.child.stdin.write("go\n")
            self.child.stdin.flush()
        return self

    def __exit__(self, *_):
        self.rig.stop(self.child)
        for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
            pipe.close()


def rss_per_idle_client(rig, inst, count):
    """Growth of the proxy's resident memory per client; the proxy must be warm."""
    before = rss_bytes(inst.pid)
    with IdleClients(rig, inst, count):
        time.sleep(1)
        inst.check()
        return (rss_bytes(inst.pid) - before) / count
