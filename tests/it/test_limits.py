"""Limits: of clients, of servers, and who has to give way."""
import threading
import time

import pytest

import rawpg
from cluster import wait_until
from test_pools import peak_backends

BEYOND = pytest.mark.beyond_pgbouncer
PID = "select pg_backend_pid()"


def test_max_client_conn(sluice):
    """Goal: the client above max_client_conn is refused, and a freed place is usable again."""
    s = sluice(max_client_conn=3)
    clients = [s.raw() for _ in range(3)]
    assert "no more connections allowed" in s.login_error().text
    assert clients[0].one("select 1") == "1"
    clients[0].close()
    wait_until(lambda: s.login_error() is None, 3, "the place of the one who left")


@BEYOND
def test_max_client_conn_sqlstate(sluice):
    """Goal: the refusal is 53300, which drivers know."""
    s = sluice(max_client_conn=1)
    s.raw()
    assert s.login_error().sqlstate == "53300"


@BEYOND
def test_console_is_open_when_full(sluice):
    """Goal: an administrator gets in when max_client_conn is reached."""
    s = sluice(max_client_conn=2)
    s.raw(), s.raw()
    assert s.admin("show version")


@BEYOND
def test_max_db_client_connections(sluice):
    """Goal: clients of one database are counted apart."""
    s = sluice(max_db_client_connections=2)
    s.raw(), s.raw(user="app2")
    e = s.login_error()
    assert e.sqlstate == "53300" and "max_db_client_connections" in e.text
    assert s.login_error(database="other") is None


@BEYOND
def test_max_db_client_connections_of_entry(sluice):
    """Goal: the database entry's own limit wins."""
    s = sluice(entries={"app": dict(max_db_client_connections=1)})
    s.raw()
    assert s.login_error().sqlstate == "53300"
    s.raw(database="other"), s.raw(database="other")


@BEYOND
@pytest.mark.parametrize("where", ["general", "user"])
def test_max_user_client_connections(sluice, where):
    """Goal: clients of one user are counted over all databases."""
    s = (sluice(max_user_client_connections=2) if where == "general" else
         sluice(user_settings={"app": "max_user_client_connections=2"}))
    a = s.raw()
    s.raw(database="other")
    e = s.login_error()
    assert e.sqlstate == "53300" and "max_user_client_connections" in e.text
    assert s.login_error(user="app2") is None
    a.close()
    wait_until(lambda: s.login_error() is None, 3, "the place of the one who left")


def test_max_db_connections(sluice, pg):
    """Goal: servers of one database stay within max_db_connections over all users' pools."""
    s = sluice(default_pool_size=5, max_db_connections=2)
    clients = [s.raw(user) for user in ("app", "app2") for _ in range(6)]
    assert peak_backends(pg, clients, "select pg_sleep(0.02)") == 2


def test_max_db_connections_evicts_idle(sluice, pg):
    """Goal: idle servers of another user's pool give way at once."""
    s = sluice(default_pool_size=5, max_db_connections=2)
    a1, a2, b = s.raw(), s.raw(), s.raw("app2")
    for c in (a1, a2):
        c.query("begin")
    for c in (a1, a2):
        c.query("commit")
    assert pg.backends("usename = 'app'") == 2
    t = time.monotonic()
    assert b.one("select current_user") == "app2"
    assert time.monotonic() - t < 2
    assert pg.backends() <= 2


def test_max_db_connections_of_entry(sluice, pg):
    """Goal: the database entry's own max_db_connections wins."""
    s = sluice(default_pool_size=5, entries={"app": dict(max_db_connections=3)})
    clients = [s.raw(user) for user in ("app", "app2") for _ in range(6)]
    assert peak_backends(pg, clients, "select pg_sleep(0.02)") == 3


def test_max_user_connections(sluice, pg):
    """Goal: servers of one user stay within max_user_connections over all databases."""
    s = sluice(default_pool_size=5, max_user_connections=2)
    clients = [s.raw(database=db) for db in ("app", "other") for _ in range(6)]
    assert peak_backends(pg, clients, "select pg_sleep(0.02)") == 2


def test_max_user_connections_of_user(sluice, pg):
    """Goal: the [users] entry's own max_user_connections wins, for that user only."""
    s = sluice(default_pool_size=4, user_settings={"app": "max_user_connections=2"})
    clients = [s.raw(user) for user in ("app", "app2") for _ in range(8)]
    assert peak_backends(pg, clients, "select pg_sleep(0.1)", "usename = 'app'") == 2
    assert pg.backends("usename = 'app2'") == 4


def test_max_user_connections_evicts_idle(sluice, pg):
    """Goal: idle servers of the user's other pool give way at once."""
    s = sluice(default_pool_size=5, max_user_connections=2)
    a1, a2, b = s.raw(), s.raw(), s.raw(database="other")
    for c in (a1, a2):
        c.query("begin")
    for c in (a1, a2):
        c.query("commit")
    t = time.monotonic()
    assert b.one("select current_database()") == "other"
    assert time.monotonic() - t < 2
    assert pg.backends() <= 2


@BEYOND
def test_limit_hands_over_between_pools(sluice, pg):
    """Goal: two busy pools under one limit both get on: nobody starves."""
    s = sluice(default_pool_size=2, max_db_connections=2)
    counts, stop = {"app": 0, "app2": 0}, time.monotonic() + 2

    def work(user):
        raw = rawpg.Raw(s.addr)
        raw.login(user, "app")
        while time.monotonic() < stop:
            raw.one("select pg_sleep(0.002)")
            counts[user] += 1
        raw.close()

    threads = [threading.Thread(target=work, args=(u,), daemon=True) for u in counts for _ in "abc"]
    for t in threads:
        t.start()
    for t in threads:
        t.join(15)
        assert not t.is_alive()
    assert min(counts.values()) > 20, counts


@BEYOND
def test_servers_own_limit_is_no_failure(sluice, pg):
    """Goal: when PostgreSQL refuses a third connection, clients share the two that exist."""
    s = sluice(default_pool_size=5, server_login_retry=1)
    clients = [s.raw("limited") for _ in range(6)]
    for c in clients:
        c.send(rawpg.query("select pg_sleep(0.05)"))
    for c in clients:
        assert rawpg.kinds(c.ready()) == "TDCZ"
    assert pg.backends() == 2


def test_pool_size_lowered_by_reload(sluice, pg):
    """Goal: a smaller default_pool_size after RELOAD holds for the next load."""
    s = sluice(default_pool_size=4, server_idle_timeout=1)
    clients = [s.raw() for _ in range(12)]
    assert peak_backends(pg, clients, "select pg_sleep(0.05)") == 4
    s.settings["default_pool_size"] = 2
    s.reload()
    wait_until(lambda: s.setting("default_pool_size") == "2", 3)
    wait_until(lambda: pg.backends() <= 2, 8, "surplus servers are closed when idle")
    assert peak_backends(pg, clients, "select pg_sleep(0.05)") == 2


def test_pool_size_raised_by_reload(sluice, pg):
    """Goal: waiting clients profit from a larger pool at once."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("begin")
    b.send(rawpg.query("select 2"))
    time.sleep(0.1)
    s.settings["default_pool_size"] = 2
    s.reload()
    b.sock.settimeout(4)
    assert rawpg.rows(b.ready()) == [["2"]]


def test_file_descriptors_return(sluice):
    """Goal: a hundred connections come and go without leaving a descriptor."""
    s = sluice(default_pool_size=2)
    s.serves()
    before = s.fds()
    for _ in range(50):
        s.raw().close()
        s.socket().close()
    wait_until(lambda: s.fds() <= before, 5, f"back to {before} descriptors")
