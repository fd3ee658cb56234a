"""Clients and servers that die, at the worst moments."""
import os
import random
import threading
import time

import pytest

import rawpg
from cluster import wait_until
from rawpg import SYNC, Closed, ServerError, bind, execute, kinds, parse

BEYOND = pytest.mark.beyond_pgbouncer
PID = "select pg_backend_pid()"
LOST = {"57P01", "08006"}


@pytest.fixture(scope="module")
def table(pg):
    pg.query("drop table if exists faults; create table faults (n int)", dbname="app", user="app")


class Crowd:
    """Clients in threads that ask for small things all the time; stop() returns what went wrong."""

    def __init__(self, s, n=4, sql="select {n}"):
        self.s, self.sql, self.done, self.asked, self.wrong = s, sql, threading.Event(), 0, []
        self.threads = [threading.Thread(target=self._work, args=(i,), daemon=True)
                        for i in range(n)]
        for t in self.threads:
            t.start()

    def _work(self, i):
        raw = rawpg.Raw(self.s.addr)
        try:
            raw.login()
            while not self.done.is_set():
                got = raw.rows(self.sql.format(n=i))
                if got and got[0][0] not in (str(i), ""):
                    self.wrong.append(f"client {i} read {got}")
                self.asked += 1
        except (ServerError, Closed, OSError, AssertionError) as e:
            self.wrong.append(f"client {i}: {e!r}")
        finally:
            raw.close()

    def stop(self):
        self.done.set()
        for t in self.threads:
            t.join(15)
            assert not t.is_alive(), "a client hangs"
        return self.wrong


@pytest.mark.parametrize("way", ["reset", "close"])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_client_dies_in_transaction(sluice, pg, table, mode, way):
    """Goal: the transaction of a client that vanished is rolled back; its server is clean."""
    s = sluice(pool_mode=mode, default_pool_size=1)
    raw = s.raw()
    raw.query("truncate faults")
    raw.query("begin; insert into faults values (1); set local work_mem = '99MB'")
    getattr(raw, way)()
    wait_until(lambda: pg.backends("state like 'idle in transaction%'") == 0, 2)
    other = s.raw()
    assert other.rows("select count(*), current_setting('work_mem') from faults") == [["0", "4MB"]]


def test_client_dies_in_failed_transaction(sluice, pg):
    """Goal: the same for a transaction that had failed already."""
    s = sluice(default_pool_size=1)
    raw = s.raw()
    raw.query("begin")
    raw.query("select 1 / 0")
    raw.close()
    s.serves(3)


@pytest.mark.parametrize("sent", [
    rawpg.query("select 1")[:-2],
    parse("", "select 1"),
    parse("", "select 1") + bind("", ""),
    parse("", "select 1") + bind("", "") + execute(),
    rawpg.query("select repeat('x', 30000000)"),
    rawpg.query("begin") + SYNC,
    rawpg.query("copy (select repeat('x', 1000) from generate_series(1, 50000)) to stdout"),
], ids=["half", "parse", "bind", "execute", "result", "begin", "copy"])
def test_client_dies_with_requests_under_way(sluice, pg, sent):
    """Goal: whatever was half asked for or half answered, the next client finds a clean server."""
    s = sluice(default_pool_size=1)
    for _ in range(3):
        raw = s.raw()
        raw.send(sent)
        time.sleep(0.02)
        raw.reset()
        other = s.raw(timeout=5)
        assert kinds(other.query("select 1")) == "TDCZ" and other.status == "I"
        other.close()
    wait_until(lambda: pg.backends("state like 'idle in transaction%'") == 0, 2)


@BEYOND
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_vanished_clients_query_is_cancelled(sluice, pg, mode):
    """Goal: the long query of a client that vanished does not run on."""
    s = sluice(pool_mode=mode, default_pool_size=1)
    raw = s.raw()
    raw.send(rawpg.query("select pg_sleep(30)"))
    wait_until(lambda: pg.backends("state = 'active'") == 1, 3)
    raw.reset()
    wait_until(lambda: pg.backends("state = 'active'") == 0, 2, "the query is cancelled")
    s.serves(2)


@BEYOND
def test_vanished_client_leaves_the_queue(sluice, pg, table):
    """Goal: a client that vanished while it waited has its query not executed."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("truncate faults")
    a.query("begin")
    b.send(rawpg.query("insert into faults values (7)"))
    time.sleep(0.2)
    b.reset()
    time.sleep(0.2)
    a.query("commit")
    assert a.one("select count(*) from faults") == "0"


def test_server_dies_in_transaction(sluice, pg):
    """Goal: only the client whose server died is told, as PostgreSQL would; others go on."""
    s = sluice(default_pool_size=5)
    crowd = Crowd(s)
    victim = s.raw()
    victim.query("begin")
    pid = victim.one(PID)
    pg.query("select pg_terminate_backend(%s)", [int(pid)])
    with pytest.raises((ServerError, Closed)) as e:
        victim.rows("select 1")
        victim.rows("select 1")
    assert e.type is Closed or e.value.sqlstate in LOST | {"08P01"}
    time.sleep(0.2)
    assert crowd.stop() == [] and crowd.asked > 20
    s.serves()


@BEYOND
@pytest.mark.parametrize("when", ["idle in transaction", "running", "pipeline"])
def test_server_death_has_a_sqlstate(sluice, pg, when):
    """Goal: the client reads 57P01 or 08006 before its connection ends, whatever it was doing."""
    s = sluice()
    victim = s.raw()
    victim.query("begin")
    pid = int(victim.one(PID))
    if when == "running":
        victim.send(rawpg.query("select pg_sleep(20)"))
    elif when == "pipeline":
        victim.send(*[parse("", "select pg_sleep(5)") + bind("", "") + execute()] * 3, SYNC)
    time.sleep(0.1)
    pg.query("select pg_terminate_backend(%s)", [pid])
    assert victim.recv_until("E")[-1].sqlstate in LOST
    s.serves()


@BEYOND
def test_server_killed_hard(sluice, pg2):
    """Goal: SIGKILL of a backend (crash recovery of the whole server) is 57P02/57P03/08006 at worst."""
    s = sluice(cluster=pg2, server_login_retry=1)
    victim, idle = s.raw(), s.raw()
    assert idle.one("select 1") == "1"
    victim.query("begin")
    pid = int(victim.one(PID))
    os.kill(pid, 9)
    assert victim.recv_until("E")[-1].sqlstate in LOST | {"57P02"}
    assert idle.one("select 2") == "2", "served after recovery, within query_wait_timeout"


def test_idle_servers_die_unnoticed(sluice, pg):
    """Goal: servers that die while idle cost no client an error."""
    s = sluice(default_pool_size=5)
    clients = [s.raw() for _ in range(5)]
    for _ in range(4):
        for c in clients:
            c.query("begin")
        for c in clients:
            c.query("commit")
        assert len(pg.terminate("state = 'idle'")) == 5
        wait_until(lambda: pg.backends() == 0, 3)
        time.sleep(0.05)
        for c in clients:
            c.send(rawpg.query("select 1"))
        assert [kinds(c.ready()) for c in clients] == ["TDCZ"] * 5


@BEYOND
def test_idle_servers_die_at_the_last_moment(sluice, pg):
    """Goal: a query that meets a server dying under it ends in 57P01/08006 at worst; none hangs."""
    s = sluice(default_pool_size=3)
    crowd = Crowd(s, 3, "select {n} from pg_sleep(0)")
    for _ in range(15):
        pg.terminate("state = 'idle'")
        time.sleep(0.04)
    wrong = [w for w in crowd.stop() if "57P01" not in w and "08006" not in w]
    assert wrong == []
    s.serves()


@BEYOND
def test_session_mode_server_dies_idle(sluice, pg):
    """Goal: in session mode the client whose server died hears of it at once, with 57P01/08006."""
    s = sluice(pool_mode="session")
    raw = s.raw()
    pid = int(raw.one(PID))
    pg.query("select pg_terminate_backend(%s)", [pid])
    assert raw.recv_until("E")[-1].sqlstate in LOST
    assert raw.drain() == b""


@BEYOND
@pytest.mark.slow
def test_server_down_at_start(sluice, pg2):
    """Goal: with PostgreSQL down clients wait, and are served within 500 ms of it being up."""
    pg2.stop()
    s = sluice(cluster=pg2)
    raws = [s.socket(20) for _ in range(5)]
    for raw in raws:
        raw.start()
    time.sleep(1)
    pg2.start(wait=False)
    up = wait_until(lambda: accepts(pg2) and time.monotonic(), 15)
    for raw in raws:
        assert raw.first_answer().kind == "D"
    assert time.monotonic() - up < 0.5


def accepts(cluster):
    raw = None
    try:
        raw = rawpg.Raw(f"{cluster.root}/.s.PGSQL.{cluster.port}", 2)
        raw.login("postgres", "postgres")
        return True
    except (OSError, ServerError, Closed):
        return False
    finally:
        if raw:
            raw.close()


@pytest.mark.slow
def test_server_down_then_error(sluice, pg2):
    """Goal: clients of a server that stays away are told after query_wait_timeout, not earlier."""
    pg2.stop()
    s = sluice(cluster=pg2, query_wait_timeout=2, server_login_retry=1)
    raw = s.socket()
    t = time.monotonic()
    raw.start()
    error = raw.first_answer()
    assert error.fields["M"] and time.monotonic() - t < 6
    pg2.start()
    wait_until(lambda: s.login_error() is None, 6, "served again")


@BEYOND
@pytest.mark.slow
def test_server_down_real_reason(sluice, pg2):
    """Goal: the error after query_wait_timeout carries the real reason."""
    pg2.stop()
    s = sluice(cluster=pg2, query_wait_timeout=1)
    raw = s.socket()
    t = time.monotonic()
    raw.start()
    error = raw.first_answer()
    assert 0.6 < time.monotonic() - t < 3
    assert error.sqlstate in ("08006", "53300")
    assert "connection refused" in " ".join(error.fields.values()).lower()


@pytest.mark.parametrize("fault,reason", [
    (dict(password="wrong"), "password authentication failed"),
    (dict(dbname="missing"), "does not exist"),
    (dict(user="nobody_here", password="x"), "nobody_here"),
])
def test_server_refuses_login(sluice, fault, reason):
    """Goal: what PostgreSQL says to the proxy's login reaches the client; others are served."""
    entry = {"dbname": "app", "user": "app", **fault}
    s = sluice(query_wait_timeout=2, server_login_retry=1, entries={"bad": entry})
    raw = s.socket()
    raw.start(database="bad")
    error = raw.first_answer()
    assert reason in " ".join(error.fields.values())
    s.serves(2)


@BEYOND
def test_refused_database_does_not_block_others(sluice, pg):
    """Goal: while one entry's server refuses, other entries are served without delay."""
    s = sluice(entries={"bad": dict(user="app", password="wrong")}, query_wait_timeout=3)
    waiting = [s.socket() for _ in range(20)]
    for raw in waiting:
        raw.start(database="bad")
    for _ in range(5):
        s.serves(1)
    for raw in waiting:
        assert raw.first_answer().sqlstate


@pytest.mark.slow
def test_server_restart_under_load(sluice, pg2):
    """Goal: a restart of PostgreSQL under load costs at most the transactions then running."""
    s = sluice(cluster=pg2, default_pool_size=4, server_login_retry=1)
    stop, wrong, served = threading.Event(), [], [0] * 12

    def work(i):
        raw = None
        while not stop.is_set():
            try:
                if raw is None:
                    raw = rawpg.Raw(s.addr, 15)
                    raw.login()
                if raw.one(f"select {i} from pg_sleep(0.002)") != str(i):
                    wrong.append(f"{i} read another's answer")
                served[i] += 1
            except (Closed, ServerError, OSError) as e:
                if isinstance(e, TimeoutError):
                    wrong.append(f"{i} hangs")
                raw, _ = None, raw and raw.close()
        if raw:
            raw.close()

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(12)]
    for t in threads:
        t.start()
    for mode in ("fast", "immediate"):
        time.sleep(0.4)
        pg2.stop(mode)
        time.sleep(0.2)
        pg2.start()
        time.sleep(0.4)
        before = list(served)
        wait_until(lambda: all(a > b for a, b in zip(served, before)), 10, "everybody is served")
    stop.set()
    for t in threads:
        t.join(15)
        assert not t.is_alive()
    assert wrong == []
    s.serves()


@BEYOND
@pytest.mark.slow
def test_server_restart_sqlstates(sluice, pg2):
    """Goal: during a restart only the clients whose query ran are told, with a code that means: connect again."""
    s = sluice(cluster=pg2, default_pool_size=2, server_login_retry=1)
    clients = [s.raw() for _ in range(6)]
    for c in clients:
        c.send(rawpg.query("select pg_sleep(1)"))
    time.sleep(0.2)
    pg2.stop("fast")
    pg2.start()
    seen = []
    for c in clients:
        try:
            m = c.recv()
            while m.kind != "Z":
                seen += [m.sqlstate] if m.kind == "E" else []
                m = c.recv()
        except Closed:
            pass
    assert len(seen) == 2 and set(seen) <= LOST, "two were running, four waited and were served"


def test_proxy_is_quiet_when_idle(sluice):
    """Goal: a proxy with idle clients and servers uses next to no CPU."""
    s = sluice(default_pool_size=5)
    clients = [s.raw() for _ in range(50)]
    for c in clients[:5]:
        c.query("begin")
    for c in clients[:5]:
        c.query("commit")
    before = s.cpu_seconds()
    time.sleep(1.5)
    assert s.cpu_seconds() - before <= 0.05


@pytest.mark.slow
def test_random_deaths(sluice, pg):
    """Goal: clients and servers dying at random for some seconds leave a proxy that serves."""
    rng = random.Random(7)
    s = sluice(default_pool_size=4)
    crowd = Crowd(s, 3, "select {n}")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        batch = [s.socket() for _ in range(8)]
        for raw in batch:
            raw.login()
            raw.send(rawpg.query(rng.choice(["begin", "select pg_sleep(0.01)", "select 1 / 0",
                                             "select repeat('x', 200000)"])))
            if rng.random() < 0.3:
                raw.send(parse("", "select 1"), SYNC)
        for raw in batch:
            raw.reset() if rng.random() < 0.7 else raw.close()
        s.clients = [c for c in s.clients if c not in batch]
        if rng.random() < 0.3:
            pg.terminate("state = 'idle in transaction'")
    wrong = [w for w in crowd.stop() if "57P01" not in w and "08006" not in w]
    assert wrong == []
    s.serves()
    wait_until(lambda: pg.backends("state like 'idle in transaction%'") == 0, 3)
