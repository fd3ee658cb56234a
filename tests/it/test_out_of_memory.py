"""The nth allocation fails: that costs one session, never the process, and nothing stays counted."""
import mmap
import os
import struct
import time

import pytest

import rawpg
from cluster import PASSWORDS, run, wait_until
from rawpg import SYNC, Closed, ServerError, bind, execute, kinds, message, parse
from sluice import ASAN, ROOT, TSAN
from test_tls import tls

pytestmark = [pytest.mark.beyond_pgbouncer,
              pytest.mark.skipif(ASAN or TSAN, reason="sanitizers have allocators of their own")]
GOOD = PASSWORDS["app"]
EVER = 1 << 30
ROW = b"1\tone\n"


def soak(times):
    """For the soak only: make test has a quarter of an hour."""
    return pytest.param(times, marks=pytest.mark.soak)


class Faults:
    """The other side of tests/fault/nth_malloc.c."""

    LAYOUT = struct.Struct("6i16s")

    def __init__(self, root):
        self.library, path = f"{root}/nth_malloc.so", f"{root}/nth_malloc.control"
        if not os.path.exists(self.library):
            run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-o", self.library,
                 f"{ROOT}/tests/fault/nth_malloc.c"])
        with open(path, "wb") as f:
            f.write(bytes(4096))
        os.chmod(path, 0o666)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        self.env = {"LD_PRELOAD": self.library, "NTH_MALLOC_CONTROL": path}

    def arm(self, nth, times, thread):
        trace = "NTH_MALLOC_TRACE" in os.environ
        self.map[:self.LAYOUT.size] = self.LAYOUT.pack(0, nth, times, 0, 0, trace, thread.encode())
        self.map[:4] = struct.pack("i", 1)

    def disarm(self):
        """How many allocations there were, and how many of them failed."""
        self.map[:4] = struct.pack("i", 0)
        return struct.unpack("2i", self.map[12:20])


@pytest.fixture
def faults(root):
    return Faults(root)


@pytest.fixture(scope="module")
def table(pg):
    pg.query("drop table if exists memory; create table memory (n int, t text)", dbname="app",
             user="app")


def live(s, encrypted=False):
    """A client's life: login, query, statements, COPY both ways, much data, goodbye.  True when
    nothing went wrong."""
    raw = rawpg.Raw(s.addr, 8)
    try:
        if encrypted:
            raw.tls()
        raw.login("app", "app", GOOD, application_name="memory", work_mem="5MB")
        assert raw.one("select 1") == "1"
        for _ in range(2):
            msgs = raw.ask(parse("one", "select 42"), bind("", "one"), execute(), SYNC)
        msgs += raw.ask(parse("", "select 43"), bind("", ""), execute(), SYNC)
        assert kinds(msgs) in ("EZ12DCZ", "12DCZ12DCZ"), kinds(msgs)
        raw.query("begin")
        raw.query("set local lock_timeout = '4s'")
        raw.query("set statement_timeout = '50s'")
        raw.query("commit")
        raw.query("truncate memory")
        raw.send(rawpg.query("copy memory from stdin"))
        raw.recv_until("G")
        raw.send(message("d", ROW * 200), message("c"))
        assert kinds(raw.ready()) == "CZ"
        raw.query("copy memory to stdout")
        assert len(raw.one("select repeat('x', 400000)")) == 400000
        raw.ask(parse("big", "select '" + "y" * 100000 + "'"), SYNC)
        raw.send(rawpg.query("select 8") * 20)
        raw.ready(20)
        raw.send(message("X"))
        raw.drain()
        return True
    except (Closed, ServerError, AssertionError, OSError) as e:
        if isinstance(e, TimeoutError):
            pytest.fail("the session hangs")
        s.why = repr(e)
        return False
    finally:
        raw.close()


def nothing_is_counted(s, clients):
    """The console's view of a proxy with `clients` idle clients, besides the console itself."""
    def settled():
        pools = [p for p in s.admin("show pools") if p["database"] == "app"]
        lists = {r["list"]: int(r["items"]) for r in s.admin("show lists")}
        return (all(p[k] == "0" for p in pools for k in
                    ("cl_active", "cl_waiting", "sv_active", "sv_tested", "sv_login")) and
                lists["used_clients"] == clients + 1 and lists["login_clients"] == 0)
    try:
        wait_until(settled, 5)
    except AssertionError:
        raise AssertionError(f"left: {s.admin('show pools')} {s.admin('show lists')}") from None


def start(sluice, faults, **more):
    s = sluice(env=faults.env, workers=1, auth_type="scram-sha-256", default_pool_size=2,
               max_db_connections=2, max_client_conn=6, max_login_connections=4,
               max_user_client_connections=5, query_wait_timeout=0.4, server_login_retry=1,
               client_login_timeout=5, **more)
    witness = s.raw(database="other", password=GOOD)
    assert witness.one("select 1") == "1"
    assert live(s, "client_tls_sslmode" in more)
    return s, witness


def attempts(s, faults, witness, thread="worker", times=1, encrypted=False, before=None,
             step=lambda nth: 1):
    """Lives with the 1st, 2nd ... allocation failing, until there is none left to fail; how many
    allocations that were, and how many lives were cut short."""
    nth, spoilt = 1, 0
    while True:
        if before:
            before()
        faults.arm(nth, times, thread)
        began = time.monotonic()
        whole = live(s, encrypted)
        took = time.monotonic() - began
        counted, failed = faults.disarm()
        assert s.alive(), f"allocation {nth} killed the process:\n{s.log()[-3000:]}"
        assert witness.one(f"select {nth}") == str(nth), f"allocation {nth} hit another session"
        # a fault that passes is got over at once, if not by this client then for the next
        assert times > 3 or took < 0.9, f"allocation {nth}: the client waited {took} s"
        spoilt += not whole
        if failed == 0:
            assert whole, f"a session failed without a cause: {s.why}"
            break
        nth += step(nth)
    return nth, spoilt


@pytest.mark.parametrize("times", [1, soak(3), EVER], ids=["one", "three", "all"])
def test_session(sluice, faults, table, times):
    """Goal: in a client's whole life, whatever allocation of its worker fails -- alone, with the next
    two, or with all that follow -- the process and another session live, and no counter leaks."""
    s, witness = start(sluice, faults)
    nth, spoilt = attempts(s, faults, witness, times=times)
    assert nth > 10 and spoilt > 5
    nothing_is_counted(s, 1)
    for _ in range(8):
        assert live(s)
    assert witness.one("select 'still here'") == "still here"
    nothing_is_counted(s, 1)


def killer(pg):
    """A function that ends all server connections of database app and lets the proxy notice."""
    conn = pg.connect()

    def kill():
        conn.execute("select pg_terminate_backend(pid, 1000) from pg_stat_activity where "
                     "datname = 'app' and usename <> 'postgres'")
        time.sleep(0.01)
    return kill


@pytest.mark.parametrize("times", [1, soak(EVER)], ids=["one", "all"])
def test_servers_are_opened(sluice, faults, pg, table, times):
    """Goal: the same when each client needs a server connection that has to be opened first."""
    s, witness = start(sluice, faults)

    nth, spoilt = attempts(s, faults, witness, times=times, before=killer(pg))
    assert nth > 15 and spoilt > 5
    nothing_is_counted(s, 1)
    for _ in range(8):
        assert live(s)


@pytest.mark.slow
@pytest.mark.parametrize("times", [soak(1), EVER], ids=["one", "all"])
def test_tls_session(sluice, faults, certs, table, times):
    """Goal: the same with a client over TLS (OpenSSL allocates hundreds of times)."""
    s, witness = start(sluice, faults, **tls(certs, "prefer"))
    nth, spoilt = attempts(s, faults, witness, times=times, encrypted=True,
                           step=lambda nth: 3 if times == 1 else 17)
    assert nth > 100 and spoilt > 20
    nothing_is_counted(s, 1)
    for _ in range(8):
        assert live(s, True)


@pytest.mark.parametrize("times", [1, soak(50)], ids=["one", "fifty"])
def test_connectors(sluice, faults, pg, table, times):
    """Goal: a connector that runs out of memory opens no server; the client is served by the next attempt
    or told, and the process lives."""
    s, witness = start(sluice, faults, connectors=1)

    nth, _ = attempts(s, faults, witness, thread="connector", times=times, before=killer(pg),
                      step=lambda nth: 1 + nth // 2)  # SCRAM in libpq allocates 25,000 times
    assert nth > 1000
    nothing_is_counted(s, 1)
    for _ in range(8):
        assert live(s)


def test_every_client_at_once(sluice, faults, table):
    """Goal: many clients while allocations fail here and there: none hangs, those after it are served."""
    s = sluice(env=faults.env, default_pool_size=3, query_wait_timeout=3)
    raws = [s.raw() for _ in range(10)]
    failed = 0
    for round_ in range(30):
        faults.arm(1 + 3 * round_, 1, "worker")
        for raw in raws:
            try:
                raw.send(parse("", f"select '{'z' * 20000}'"), bind("", ""), execute(), SYNC)
            except Closed:
                pass
        for i, raw in enumerate(raws):
            try:
                raw.ready()
            except (Closed, ServerError, OSError) as e:
                assert not isinstance(e, TimeoutError), "a client hangs"
                failed += 1
                raw.close()
                raws[i] = None
        faults.disarm()
        raws = [raw or s.raw() for raw in raws]
    assert failed <= 30
    s.serves()
