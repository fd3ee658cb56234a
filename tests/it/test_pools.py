"""Who gets which server: the three modes, sizes, queueing, databases, hosts."""
import time

import pytest

import rawpg
from cluster import wait_until
from rawpg import SYNC, bind, execute, kinds, parse
from sluice import outcome

BEYOND = pytest.mark.beyond_pgbouncer
PID = "select pg_backend_pid()"


def test_session_mode_keeps_its_server(sluice):
    """Goal: a session has one server from its first query to its end."""
    s = sluice(pool_mode="session", default_pool_size=3)
    a, b = s.raw(), s.raw()
    pids = {(a.one(PID), b.one(PID)) for _ in range(5)}
    assert len(pids) == 1 and len(set(pids.pop())) == 2


def test_session_mode_queues(sluice):
    """Goal: with every server taken the next session waits, and gets the first one freed."""
    s = sluice(pool_mode="session", default_pool_size=1)
    a = s.raw()
    pid = a.one(PID)
    b = s.socket()
    b.start()
    time.sleep(0.3)
    a.send(rawpg.TERMINATE)
    b.ready()
    assert b.one(PID) == pid


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_simultaneous_clients_each_get_a_server(sluice, mode):
    """Goal: with room in the pool, clients that come all at once and stay each get a server."""
    s = sluice(pool_mode=mode, default_pool_size=12)
    clients = [s.socket(5) for _ in range(12)]
    for c in clients:
        c.start()
    for c in clients:
        c.ready()
    for c in clients:
        c.send(rawpg.query("begin; select pg_backend_pid()"))
    assert len({rawpg.rows(c.ready())[0][0] for c in clients}) == 12


def test_session_state_is_reset(sluice):
    """Goal: server_reset_query wipes a session's state before the next client."""
    s = sluice(pool_mode="session", default_pool_size=1)
    a = s.raw()
    pid, default = a.rows("select pg_backend_pid(), current_setting('work_mem')")[0]
    a.query("set work_mem = '77MB'; create temp table mine (n int); prepare p as select 1; listen x")
    a.query("select pg_advisory_lock(4711)")
    a.send(rawpg.TERMINATE)
    b = s.raw()
    assert b.rows("select pg_backend_pid(), current_setting('work_mem')") == [[pid, default]]
    assert b.one("select count(*) from pg_prepared_statements") == "0"
    assert b.one("select to_regclass('mine') is null") == "t"
    assert b.one("select count(*) from pg_locks where locktype = 'advisory'") == "0"


def test_own_reset_query(sluice):
    """Goal: server_reset_query is the one configured."""
    s = sluice(pool_mode="session", default_pool_size=1, server_reset_query="reset work_mem")
    a = s.raw()
    a.query("set work_mem = '77MB'; set statement_timeout = '33s'")
    a.send(rawpg.TERMINATE)
    b = s.raw()
    assert b.one("show work_mem") == "4MB"
    assert b.one("show statement_timeout") == "33s"


def test_reset_query_always(sluice):
    """Goal: server_reset_query_always runs it in transaction mode as well."""
    s = sluice(default_pool_size=1, server_reset_query="reset statement_timeout",
               server_reset_query_always=1)
    a, b = s.raw(), s.raw()
    a.query("set statement_timeout = '33s'")
    assert b.one("show statement_timeout") == "0"


def test_transaction_mode_shares(sluice):
    """Goal: two clients outside of transactions use one server in turn."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    assert len({c.one(PID) for c in (a, b, a, b)}) == 1


def test_transaction_mode_holds(sluice):
    """Goal: a transaction keeps its server; the waiter gets it right after the commit."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("begin")
    pid = a.one(PID)
    b.send(rawpg.query(PID))
    time.sleep(0.3)
    b.sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        b.recv()
    b.sock.settimeout(5)
    a.query("commit")
    assert rawpg.rows(b.ready()) == [[pid]]


def test_pipeline_is_one_transaction(sluice):
    """Goal: in transaction mode an open pipeline keeps its server until its Sync."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.send(parse("", "select 1"), bind("", ""), execute(), rawpg.FLUSH)
    a.recv_until("C")
    b.send(rawpg.query("select 2"))
    b.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        b.recv()
    a.ask(SYNC)
    b.sock.settimeout(5)
    assert rawpg.rows(b.ready()) == [["2"]]


@pytest.mark.parametrize("sql", ["begin", "start transaction"])
def test_statement_mode_refuses_transactions(sluice, pg, sql):
    """Goal: statement mode says no to a transaction block and leaves no server in one."""
    s = sluice(pool_mode="statement", default_pool_size=1)
    a = s.raw()
    assert a.one("select 1") == "1"
    a.send(rawpg.query(sql))
    kind = a.recv()
    assert kind.kind == "E"
    s.serves()
    wait_until(lambda: pg.backends("state like 'idle in transaction%'") == 0, 3)


@BEYOND
def test_statement_mode_sqlstate(sluice):
    """Goal: the refusal of a transaction block is 0A000."""
    a = sluice(pool_mode="statement").raw()
    a.send(rawpg.query("begin"))
    assert outcome(a) == ("E", "0A000")


def test_pool_mode_per_database_and_user(sluice):
    """Goal: pool_mode of the database entry and of the user beat the general one."""
    s = sluice(pool_mode="transaction", user_settings={"app2": "pool_mode=session"})
    s.databases["sess"] = s.target(pool_mode="session")
    s.reload()
    wait_until(lambda: s.login_error(database="sess") is None, 3)
    modes = {}
    for user, db in (("app", "app"), ("app", "sess"), ("app2", "app")):
        s.raw(user, db).one("select 1")
    for row in s.admin("show pools"):
        modes[row["user"], row["database"]] = row["pool_mode"]
    assert modes["app", "app"] == "transaction"
    assert modes["app", "sess"] == "session"
    assert modes["app2", "app"] == "session"


def peak_backends(pg, clients, sql, where="true"):
    """Send sql on all clients; the most server connections seen until all are answered."""
    for c in clients:
        c.send(rawpg.query(sql))
    peak, conn = 0, pg.connect()
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        n = conn.execute("select count(*) from pg_stat_activity where backend_type = "
                         f"'client backend' and usename <> 'postgres' and ({where})").fetchone()[0]
        peak = max(peak, n)
        time.sleep(0.01)
    for c in clients:
        assert kinds(c.ready()) == "TDCZ"
    conn.close()
    return peak


@pytest.mark.parametrize("size", [1, 3])
def test_default_pool_size_is_exact(sluice, pg, size):
    """Goal: a pool under load opens exactly its size, never one more."""
    s = sluice(default_pool_size=size)
    clients = [s.raw() for _ in range(20)]
    assert peak_backends(pg, clients, "select pg_sleep(0.05)") == size
    assert pg.backends() == size


def test_pool_size_of_database(sluice, pg):
    """Goal: pool_size of the database entry beats default_pool_size."""
    s = sluice(default_pool_size=5, entries={"app": dict(pool_size=2)})
    clients = [s.raw() for _ in range(10)]
    assert peak_backends(pg, clients, "select pg_sleep(0.05)") == 2


@BEYOND
def test_pool_size_of_user(sluice, pg):
    """Goal: pool_size of a user beats default_pool_size."""
    s = sluice(default_pool_size=5, user_settings={"app": "pool_size=2"})
    clients = [s.raw() for _ in range(10)]
    assert peak_backends(pg, clients, "select pg_sleep(0.05)") == 2


def test_500_clients_over_10_servers(sluice, pg):
    """Goal: 500 clients on a pool of 10 are all answered, each with its own answer."""
    s = sluice(default_pool_size=10)
    clients = [s.raw() for _ in range(500)]
    for i, c in enumerate(clients):
        c.send(rawpg.query(f"select {i} from pg_sleep(0.005)"))
    assert [rawpg.rows(c.ready())[0][0] for c in clients] == [str(i) for i in range(500)]
    assert 5 <= pg.backends() <= 10


def test_waiters_are_served_in_order(sluice):
    """Goal: who waited first is served first."""
    s = sluice(default_pool_size=1)
    first = s.raw()
    first.query("create sequence if not exists order_seq")
    first.query("begin")
    waiters = []
    for _ in range(8):
        c = s.raw()
        c.send(rawpg.query("select nextval('order_seq')"))
        waiters.append(c)
        time.sleep(0.03)
    first.query("commit")
    got = [int(rawpg.rows(c.ready())[0][0]) for c in waiters]
    assert got == sorted(got)


def test_unused_pool_opens_nothing(sluice, pg):
    """Goal: clients that ask nothing cost at most the connection that told their parameters."""
    s = sluice(default_pool_size=10)
    for _ in range(20):
        s.raw()
    assert pg.backends() <= 1


def test_min_pool_size(sluice, pg):
    """Goal: min_pool_size keeps that many servers once a client came."""
    s = sluice(min_pool_size=3, default_pool_size=5)
    s.raw().one("select 1")
    wait_until(lambda: pg.backends() == 3, 8, "three servers stand by")


@BEYOND
def test_min_pool_size_forced_user(sluice, pg):
    """Goal: with a forced user min_pool_size holds before any client came."""
    s = sluice(entries={"app": dict(user="app", min_pool_size=2)})
    wait_until(lambda: pg.backends() == 2, 8, "two servers stand by")


@pytest.mark.slow
def test_reserve_pool(sluice, pg):
    """Goal: a client that waited reserve_pool_timeout gets a server beyond the pool's size."""
    s = sluice(default_pool_size=1, reserve_pool_size=1, reserve_pool_timeout=1)
    a, b, c = s.raw(), s.raw(), s.raw()
    a.query("begin; select 1")
    t = time.monotonic()
    b.query("begin; select 1")
    assert 0.7 < time.monotonic() - t < 4
    assert pg.backends() == 2
    c.send(rawpg.query("select 3"))
    c.sock.settimeout(2)
    with pytest.raises(TimeoutError):
        c.recv()
    b.query("commit")
    c.sock.settimeout(5)
    assert rawpg.rows(c.ready()) == [["3"]]


def test_wildcard_database(sluice, pg):
    """Goal: the entry * serves a database that has no entry, under its own name."""
    s = sluice(databases={"*": f"host=127.0.0.1 port={pg.port}"})
    assert s.raw(database="other").one("select current_database()") == "other"
    assert s.raw(database="app").one("select current_database()") == "app"


def test_wildcard_database_missing(sluice, pg):
    """Goal: a database that the server does not have is reported, and hurts nobody else."""
    s = sluice(databases={"*": f"host=127.0.0.1 port={pg.port}"})
    error = None
    try:
        raw = s.raw(database="nowhere")
        error = rawpg.ServerError([m for m in raw.query("select 1") if m.kind == "E"][0])
    except rawpg.ServerError as e:
        error = e
    assert "nowhere" in error.text
    s.serves()


def test_alias_and_forced_user(sluice):
    """Goal: an entry may have another dbname and user than the client asked for."""
    s = sluice(entries={"alias": dict(dbname="other", user="app2", password="it-Zq81-app2")})
    raw = s.raw(user="app", database="alias")
    assert raw.rows("select current_database(), current_user") == [["other", "app2"]]
    again = s.raw(user="stats", database="alias")
    assert again.one(PID) == raw.one(PID)


def test_connect_query(sluice):
    """Goal: connect_query runs on each new server before any client gets it."""
    s = sluice(entries={"app": dict(connect_query="set work_mem to '9MB'")})
    clients = [s.raw() for _ in range(3)]
    for c in clients:
        c.query("begin")
    assert [c.one("show work_mem") for c in clients] == ["9MB"] * 3


def test_connect_query_that_fails(sluice):
    """Goal: a failing connect_query is logged; the server is used nevertheless."""
    s = sluice(entries={"app": dict(connect_query="select 1 / 0")})
    assert s.raw().one("select 1") == "1"
    assert "division by zero" in s.log()


def test_database_parameters(sluice):
    """Goal: client_encoding, datestyle, timezone and application_name of an entry are sent."""
    s = sluice(entries={"app": dict(timezone="Asia/Tokyo", datestyle="German")})
    raw = s.raw()
    assert raw.one("show timezone") == "Asia/Tokyo"
    assert raw.one("show datestyle").startswith("German")


def servers_seen(s, n=6):
    clients = [s.raw() for _ in range(n)]
    for c in clients:
        c.query("begin")
    return [c.one("select host(inet_server_addr())") for c in clients]


def test_two_hosts_round_robin(sluice):
    """Goal: a list of hosts is used in turn."""
    s = sluice(entries={"app": dict(host="127.0.0.1,127.0.0.2")})
    assert set(servers_seen(s)) == {"127.0.0.1", "127.0.0.2"}


@BEYOND
def test_two_hosts_stay(sluice):
    """Goal: load_balance_hosts=disable stays on one host while it works."""
    s = sluice(entries={"app": dict(host="127.0.0.1,127.0.0.2", load_balance_hosts="disable")})
    assert set(servers_seen(s)) == {"127.0.0.1"}


@pytest.mark.parametrize("hosts", [
    "127.0.0.9,127.0.0.1",
    pytest.param("127.0.0.1,127.0.0.9,127.0.0.8", marks=BEYOND),
])
def test_dead_host_in_list(sluice, hosts):
    """Goal: a host that refuses is passed over; no client sees it."""
    s = sluice(server_login_retry=1, entries={"app": dict(host=hosts)})
    assert set(servers_seen(s, 4)) == {"127.0.0.1"}


@BEYOND
def test_dead_host_name_in_list(sluice):
    """Goal: a host name that does not resolve is passed over as well."""
    s = sluice(server_login_retry=1, entries={"app": dict(host="no-such-host.invalid,127.0.0.1")})
    assert set(servers_seen(s, 3)) == {"127.0.0.1"}


def test_host_by_name(sluice):
    """Goal: a host name is resolved."""
    s = sluice(entries={"app": dict(host="localhost")})
    assert s.raw().one("select 1") == "1"


def test_server_over_unix_socket(sluice, pg):
    """Goal: a host that is a directory is a Unix socket."""
    s = sluice(entries={"app": dict(host=pg.root)})
    assert s.raw().one("select inet_server_addr() is null") == "t"


@BEYOND
def test_half_a_message_takes_no_server(sluice):
    """Goal: a client that has sent half a message does not occupy a server."""
    s = sluice(default_pool_size=1)
    a = s.raw()
    packet = rawpg.query("select 'half'")
    a.send(packet[:-4])
    s.serves(2)
    a.send(packet[-4:])
    assert rawpg.rows(a.ready()) == [["half"]]


def test_many_databases(sluice, pg):
    """Goal: forty entries with their own pools do not mix."""
    s = sluice(default_pool_size=1, server_idle_timeout=1, entries={
        f"db{n}": dict(connect_query=f"set my.name = 'db{n}'") for n in range(40)})
    clients = [s.raw(database=f"db{n}") for n in range(40)]
    for n, c in enumerate(clients):
        assert c.one("show my.name") == f"db{n}"
