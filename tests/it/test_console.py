"""The console: its columns, its commands, who may use it; signals."""
import os
import signal
import threading
import time

import psycopg
import pytest

import rawpg
from cluster import run, wait_until
from rawpg import SYNC, Closed, ServerError, bind, describe, execute, kinds, parse, query, rows
from sluice import IS_PGBOUNCER

BEYOND = pytest.mark.beyond_pgbouncer
COLUMNS = {
    "version": "version",
    "config": "key value default changeable",
    "databases": "name host port database force_user pool_size min_pool_size reserve_pool_size "
                 "server_lifetime pool_mode load_balance_hosts max_connections current_connections "
                 "max_client_connections current_client_connections paused disabled",
    "pools": "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req "
             "sv_active sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login "
             "maxwait maxwait_us pool_mode load_balance_hosts",
    "clients": "type user database replication state addr port local_addr local_port connect_time "
               "request_time wait wait_us close_needed ptr link remote_pid tls application_name "
               "prepared_statements id",
    "stats": "database total_server_assignment_count total_xact_count total_query_count "
             "total_received total_sent total_xact_time total_query_time total_wait_time "
             "total_client_parse_count total_server_parse_count total_bind_count "
             "total_client_login_count avg_server_assignment_count avg_xact_count avg_query_count "
             "avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time avg_client_parse_count "
             "avg_server_parse_count avg_bind_count avg_client_login_count",
}
COLUMNS["servers"] = COLUMNS["clients"]


@BEYOND
@pytest.mark.parametrize("what", COLUMNS)
def test_columns(sluice, what):
    """Goal: PgBouncer's columns, exact names and order, come first (monitoring relies on it)."""
    s = sluice()
    s.raw().one("select 1")
    msgs = s.console().query(f"SHOW {what}")
    want = COLUMNS[what].split()
    assert [m for m in msgs if m.kind == "T"][0].columns[:len(want)] == want
    assert rows(msgs) and msgs[-2].body == b"SHOW\0"


@BEYOND
@pytest.mark.parametrize("database", ["pgbouncer", "pgsluice"])
def test_both_names(sluice, database):
    """Goal: the databases pgsluice and pgbouncer are the same console."""
    s = sluice()
    version = rows(s.console(database=database).query("show version"))[0][0]
    assert "pgsluice" in version.lower() and "0.1.0" in version


def test_psql_on_console(sluice):
    """Goal: psql works on the console."""
    s = sluice()
    s.raw().one("select 1")
    out = run(["psql", "-XAtc", "show pools", s.dsn("admin", "pgbouncer")])
    assert [line for line in out.splitlines() if line.startswith("app|app|")]


@pytest.mark.parametrize("sql", ["SHOW VERSION", "show version;", "  Show   Version  ;  "])
def test_spelling(sluice, sql):
    """Goal: commands in any case, with spaces and a semicolon."""
    assert len(sluice().admin(sql)) == 1


def test_pools_count(sluice):
    """Goal: SHOW POOLS counts active and waiting clients and active servers."""
    s = sluice(default_pool_size=1)
    a, b, c = s.raw(), s.raw(), s.raw()
    a.query("begin")
    b.send(query("select 1"))
    time.sleep(0.2)
    row = [r for r in s.admin("show pools") if (r["database"], r["user"]) == ("app", "app")][0]
    assert (row["cl_waiting"], row["sv_active"], row["sv_idle"]) == ("1", "1", "0")
    assert int(row["maxwait"]) * 1000000 + int(row["maxwait_us"]) >= 100000
    a.query("commit")
    b.ready()
    row = [r for r in s.admin("show pools") if (r["database"], r["user"]) == ("app", "app")][0]
    assert (row["cl_waiting"], row["sv_active"]) == ("0", "0")
    assert int(row["sv_idle"]) + int(row["sv_used"]) == 1


def test_clients_and_servers(sluice, pg):
    """Goal: SHOW CLIENTS and SHOW SERVERS list who is there, with the backend's pid."""
    s = sluice()
    a = s.raw(application_name="shop-7")
    a.query("begin")
    pid = a.one("select pg_backend_pid()")
    clients = [r for r in s.admin("show clients") if r["database"] == "app"]
    assert len(clients) == 1
    assert (clients[0]["user"], clients[0]["type"], clients[0]["state"]) == ("app", "C", "active")
    assert clients[0]["addr"] == "127.0.0.1"
    assert clients[0]["port"] == str(a.sock.getsockname()[1])
    servers = s.admin("show servers")
    assert [(r["type"], r["state"], r["remote_pid"]) for r in servers] == [("S", "active", pid)]
    if not IS_PGBOUNCER:
        assert clients[0]["application_name"] == "shop-7"
        assert clients[0]["link"] == servers[0]["ptr"] or clients[0]["link"] == servers[0]["id"]


def test_databases(sluice, pg):
    """Goal: SHOW DATABASES shows the entries as configured."""
    s = sluice(entries={"shop": dict(pool_size=7, user="app", pool_mode="session")})
    row = [r for r in s.admin("show databases") if r["name"] == "shop"][0]
    assert (row["host"], row["port"], row["database"]) == ("127.0.0.1", str(pg.port), "app")
    assert (row["pool_size"], row["force_user"], row["pool_mode"]) == ("7", "app", "session")


def totals(s):
    return {k: int(v) for k, v in [r for r in s.admin("show stats") if r["database"] == "app"][0]
            .items() if k.startswith("total")}


def test_stats_are_exact(sluice):
    """Goal: SHOW STATS counts transactions and queries exactly."""
    s = sluice()
    a = s.raw()
    a.one("select 1")
    time.sleep(0.1)
    before = totals(s)
    for n in range(10):
        a.one(f"select {n}")
    a.query("begin")
    a.query("select 1")
    a.query("commit")
    time.sleep(0.1)
    after = totals(s)
    assert after["total_query_count"] - before["total_query_count"] == 13
    assert after["total_xact_count"] - before["total_xact_count"] == 11
    assert after["total_received"] > before["total_received"]
    assert after["total_sent"] > before["total_sent"]


def test_config_shows_values(sluice):
    """Goal: SHOW CONFIG has the value in force."""
    s = sluice(default_pool_size=33)
    assert s.setting("default_pool_size") == "33"
    assert {"max_client_conn", "pool_mode", "server_lifetime"} <= {
        r["key"] for r in s.admin("show config")}


@BEYOND
def test_config_shows_no_secret(sluice):
    """Goal: no SHOW prints a password (SHOW FDS of PgBouncer does)."""
    s = sluice(entries={"forced": dict(user="app2", password="it-Zq81-app2")})
    s.raw(database="forced").one("select 1")
    for what in COLUMNS:
        assert "it-Zq81" not in str(s.admin(f"show {what}"))


def test_unknown_command(sluice):
    """Goal: an unknown command is an error, not the end of the connection."""
    c = sluice().console()
    for sql in ("frobnicate", "show nonsense", "select * from pools", "show"):
        assert "E" in kinds(c.query(sql)), sql
    assert kinds(c.query("show version")) == "TDCZ"


@BEYOND
def test_error_codes(sluice):
    """Goal: console errors have telling SQLSTATEs."""
    c = sluice().console()
    assert rawpg.errors(c.query("frobnicate")) == ["42601"]
    assert rawpg.errors(c.query("pause nowhere")) == ["42704"]


def test_stats_user(sluice):
    """Goal: stats_users may SHOW but not change anything."""
    s = sluice()
    assert s.admin("show pools", user="stats") is not None
    for sql in ("pause", "resume", "reload", "shutdown", "pause app"):
        with pytest.raises(ServerError):
            s.admin(sql, user="stats")
    assert s.alive()
    s.serves()


@BEYOND
def test_stats_user_sqlstate(sluice):
    """Goal: what a stats user may not do is 42501."""
    with pytest.raises(ServerError) as e:
        sluice().admin("pause", user="stats")
    assert e.value.sqlstate == "42501"


def test_ordinary_user_is_refused(sluice):
    """Goal: a user who is neither admin nor stats does not get on the console."""
    s = sluice()
    assert s.login_error(user="app", database="pgbouncer") is not None


@BEYOND
def test_extended_protocol(sluice):
    """Goal: the console answers the extended protocol, so drivers can ask it."""
    s = sluice()
    c = s.console()
    msgs = c.ask(parse("", "SHOW VERSION"), bind("", ""), describe("P", ""), execute(), SYNC)
    assert kinds(msgs) == "12TDCZ"
    msgs = c.ask(parse("s", "SHOW POOLS"), describe("S", "s"), SYNC)
    assert kinds(msgs) == "1tTZ"
    assert kinds(c.ask(parse("", "frobnicate"), bind("", ""), execute(), SYNC))[-2:] == "EZ"
    conn = psycopg.connect(s.dsn("admin", "pgbouncer"), autocommit=True, prepare_threshold=0)
    assert "pgsluice" in conn.execute("SHOW VERSION").fetchone()[0].lower()
    conn.close()


def test_pause_and_resume(sluice, pg):
    """Goal: PAUSE waits for transactions, closes servers, queues clients until RESUME."""
    s = sluice()
    a, b = s.raw(), s.raw()
    a.query("begin")
    c = s.console()
    c.send(query("PAUSE"))
    c.sock.settimeout(0.4)
    with pytest.raises(TimeoutError):
        c.recv()
    b.send(query("select 1"))
    assert kinds(a.query("select 1")) == "TDCZ", "a transaction goes on"
    a.query("commit")
    c.sock.settimeout(5)
    assert kinds(c.ready()) == "CZ"
    wait_until(lambda: pg.backends() == 0, 3)
    b.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        b.recv()
    s.admin("RESUME")
    b.sock.settimeout(5)
    assert kinds(b.ready()) == "TDCZ"
    s.serves()


def test_pause_one_database(sluice):
    """Goal: PAUSE db stops that database only."""
    s = sluice()
    a, b = s.raw(), s.raw(database="other")
    s.admin("PAUSE app")
    assert [r["paused"] for r in s.admin("show databases") if r["name"] == "app"] == ["1"]
    a.send(query("select 1"))
    assert b.one("select 1") == "1"
    a.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        a.recv()
    s.admin("RESUME app")
    a.sock.settimeout(5)
    assert kinds(a.ready()) == "TDCZ"


def test_resume_without_pause(sluice):
    """Goal: RESUME of what is not paused is an error."""
    with pytest.raises(ServerError):
        sluice().admin("RESUME")


def test_reload(sluice):
    """Goal: RELOAD takes new values and databases without touching clients."""
    s = sluice()
    a = s.raw()
    a.query("begin")
    s.settings["default_pool_size"] = 7
    s.databases["fresh"] = s.target()
    s.write()
    s.admin("RELOAD")
    assert s.setting("default_pool_size") == "7"
    assert s.raw(database="fresh").one("select 1") == "1"
    assert a.one("select 1") == "1"


BAD = {"unknown key": ("no_such_key", "1"), "bad number": ("max_client_conn", "many"),
       "bad enum": ("pool_mode", "sometimes"), "out of range": ("listen_port", "70000")}


@BEYOND
@pytest.mark.parametrize("fault", BAD)
def test_bad_reload_changes_nothing(sluice, fault):
    """Goal: a RELOAD with one fault is refused as a whole (F0000): all or nothing."""
    s = sluice(default_pool_size=33, query_wait_timeout=44)
    key, value = BAD[fault]
    before = s.admin("show config")
    s.settings = {"default_pool_size": 5, **s.settings, key: value}
    s.settings["default_pool_size"] = 5
    s.databases["fresh"] = s.target()
    s.write()
    with pytest.raises(ServerError) as e:
        s.admin("RELOAD")
    assert e.value.sqlstate == "F0000"
    assert s.admin("show config") == before
    assert s.login_error(database="fresh") is not None
    s.serves()
    s.kill(signal.SIGHUP)
    time.sleep(0.2)
    assert s.admin("show config") == before
    assert key in s.log()


@BEYOND
def test_bad_auth_file_at_reload(sluice):
    """Goal: a reload whose auth_file is gone keeps the users."""
    s = sluice()
    os.unlink(s.auth_file)
    with pytest.raises(ServerError):
        s.admin("RELOAD")
    s.serves()


def test_database_removed_by_reload(sluice):
    """Goal: a database that is gone after RELOAD takes no new client."""
    s = sluice()
    assert s.login_error(database="other") is None
    del s.databases["other"]
    s.write()
    s.admin("RELOAD")
    wait_until(lambda: s.login_error(database="other") is not None, 3)
    s.serves()


def test_shutdown_command(sluice):
    """Goal: SHUTDOWN ends the process with exit code 0."""
    s = sluice()
    s.raw().one("select 1")
    c = s.console()
    c.send(query("SHUTDOWN"))
    try:
        c.drain()
    except OSError:
        pass
    assert s.wait_exit() == 0
    s.dead_ok = True


@pytest.mark.parametrize("sig", [pytest.param(signal.SIGTERM, marks=BEYOND), signal.SIGINT,
                                 pytest.param(signal.SIGQUIT, marks=BEYOND)])
def test_signal_ends_an_idle_proxy(sluice, sig):
    """Goal: TERM, INT and QUIT end a proxy without clients, exit code 0."""
    s = sluice()
    s.raw().close()
    wait_until(lambda: not [r for r in s.admin("show clients") if r["database"] == "app"], 3)
    s.kill(sig)
    assert s.wait_exit() == 0
    s.dead_ok = True


def test_int_waits_for_transactions(sluice):
    """Goal: SIGINT lets a transaction finish, then ends."""
    s = sluice()
    a = s.raw()
    a.query("begin")
    s.kill(signal.SIGINT)
    time.sleep(0.5)
    assert s.alive()
    assert a.one("select 1") == "1"
    a.query("commit")
    assert s.wait_exit() == 0
    s.dead_ok = True


@BEYOND
def test_term_waits_for_clients(sluice):
    """Goal: SIGTERM takes no new client, serves those it has until they leave, then ends."""
    s = sluice()
    a = s.raw()
    s.kill(signal.SIGTERM)
    time.sleep(0.4)
    assert a.one("select 1") == "1"
    with pytest.raises((OSError, Closed, ServerError)):
        rawpg.Raw(s.addr, 2).login()
    assert s.alive()
    a.send(rawpg.TERMINATE)
    a.close()
    assert s.wait_exit() == 0
    s.dead_ok = True


@BEYOND
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_at_once(sluice, first):
    """Goal: a second TERM or INT does not wait any longer; clients are told 57P01."""
    s = sluice()
    a = s.raw()
    a.query("begin")
    s.kill(first)
    time.sleep(0.3)
    assert s.alive()
    s.kill(first)
    assert s.wait_exit(5) == 0
    s.dead_ok = True
    try:
        assert a.recv_until("E")[-1].sqlstate == "57P01"
    except Closed:
        pass


def test_pause_by_signal(sluice):
    """Goal: USR1 pauses, USR2 resumes."""
    s = sluice()
    a = s.raw()
    a.one("select 1")
    s.kill(signal.SIGUSR1)
    wait_until(lambda: [r["paused"] for r in s.admin("show databases") if r["name"] == "app"]
               == ["1"] or IS_PGBOUNCER, 3)
    time.sleep(0.2)
    a.send(query("select 1"))
    a.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        a.recv()
    s.kill(signal.SIGUSR2)
    a.sock.settimeout(5)
    assert kinds(a.ready()) == "TDCZ"


@BEYOND
def test_reload_storm(sluice):
    """Goal: reloads while users log in and work lose nobody."""
    s = sluice(default_pool_size=3)
    stop, wrong = threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                raw = rawpg.Raw(s.addr)
                raw.login()
                for n in range(5):
                    assert raw.one(f"select {n}") == str(n)
                raw.close()
            except (ServerError, Closed, OSError, AssertionError) as e:
                wrong.append(repr(e))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for t in threads:
        t.start()
    for n in range(60):
        s.settings["default_pool_size"] = 2 + n % 3
        if n % 2:
            s.databases["extra"] = s.target()
        else:
            s.databases.pop("extra", None)
        s.reload()
        time.sleep(0.03)
    stop.set()
    for t in threads:
        t.join(10)
        assert not t.is_alive()
    assert wrong == []


def test_help_is_a_notice_or_rows(sluice):
    """Goal: SHOW HELP answers something and stays usable."""
    c = sluice().console()
    assert c.query("SHOW HELP")[-1].kind == "Z"
    assert kinds(c.query("show version")) == "TDCZ"
