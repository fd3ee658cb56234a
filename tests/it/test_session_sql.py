"""What SQL does to a session stays with its client: parameters follow it, the rest pins it."""
import time

import pytest

from rawpg import ServerError

pytestmark = pytest.mark.beyond_pgbouncer


@pytest.mark.parametrize("sql, show, value", [
    ("set statement_timeout = '33s'", "show statement_timeout", "33s"),
    ("set work_mem = '7MB'", "show work_mem", "7MB"),
    ("set search_path = other_schema, public", "show search_path", "other_schema, public"),
    ("set app.tenant = 'blue'", "select current_setting('app.tenant', true)", "blue"),
    ("select set_config('lock_timeout', '44s', false)", "show lock_timeout", "44s"),
    ("begin; set session lock_timeout = '5s'; commit", "show lock_timeout", "5s"),
    ("set session characteristics as transaction read only", "show default_transaction_read_only", "on")])
def test_set_follows_its_client_and_no_other(sluice, sql, show, value):
    """Goal: a session-level SET is there on every server its client meets, and for nobody else."""
    s = sluice(default_pool_size=2)
    a, b, c = s.raw(), s.raw(), s.raw()
    before = b.one(show)
    a.query(sql)
    # a custom parameter that was set and reset is "", not NULL: PostgreSQL keeps its placeholder
    assert b.one(show) in (before, "")
    for holder in (b, c):
        holder.query("begin")
        assert a.one(show) == value
        assert holder.one(show) in (before, "")
        holder.query("commit")
    a.query("discard all")
    assert a.one(show) in (before, "")


def test_extended_set_follows(sluice):
    """Goal: the same through the extended protocol (psycopg, prepared and not)."""
    s = sluice(default_pool_size=1)
    a, b = s.connect(prepare_threshold=0), s.connect()
    a.execute("set lock_timeout = '9s'", prepare=True)
    assert b.execute("show lock_timeout").fetchone() == ("0",)
    assert a.execute("show lock_timeout").fetchone() == ("9s",)
    a.execute("select set_config(%s, %s, false)", ["lock_timeout", "8s"])
    assert b.execute("show lock_timeout").fetchone() == ("0",)
    assert a.execute("show lock_timeout").fetchone() == ("8s",)


def test_unknown_names_leave_nothing(sluice):
    """Goal: custom parameters whose names cannot be seen (bound, inside DO) never reach another client."""
    s = sluice(default_pool_size=1)
    a, b = s.connect(), s.raw()
    show = "select coalesce(current_setting('app.tenant', true), '')"
    a.execute("select set_config(%s, %s, false)", ["app.tenant", "blue"])
    assert b.one(show) == ""
    a.execute("do $$ begin perform set_config('app.tenant', 'red', false); set lock_timeout = '7s'; end $$")
    assert b.one(show) == "" and b.one("show lock_timeout") == "0"
    assert a.execute("show lock_timeout").fetchone() == ("7s",)


def test_set_local_and_rollback_leave_nothing(sluice):
    """Goal: SET LOCAL and a rolled-back SET are gone for the client and for all others."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("begin")
    a.query("set local lock_timeout = '5s'")
    a.query("commit")
    a.query("begin")
    a.query("set lock_timeout = '6s'")
    a.query("rollback")
    assert (a.one("show lock_timeout"), b.one("show lock_timeout")) == ("0", "0")


def test_set_role_follows(sluice, pg):
    """Goal: SET ROLE never leaks to another client, and its own client keeps it."""
    pg.query("drop role if exists leak_role")
    pg.query("create role leak_role")
    pg.query("grant leak_role to app")
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("set role leak_role")
    assert b.one("select current_user") == "app"
    assert a.one("select current_user") == "leak_role"
    a.query("reset role")
    assert a.one("select current_user") == "app"


@pytest.mark.parametrize("sql", [
    "create temp table pinned(x int)", "create temporary sequence pinned",
    "select 1 as x into temp pinned", "select pg_advisory_lock(4711)", "listen pinned",
    "prepare pinned as select 1", "begin; declare pinned cursor with hold for select 1; commit"])
def test_what_cannot_move_pins(sluice, sql):
    """Goal: what lives in the server's session keeps its server until the client ends; then it is gone."""
    s = sluice(default_pool_size=2)
    a, b = s.raw(), s.raw()
    a.query(sql)
    pid = a.one("select pg_backend_pid()")
    b.query("begin")
    assert b.one("select pg_backend_pid()") != pid
    assert a.one("select pg_backend_pid()") == pid
    b.query("commit")
    assert "pinned to its server" in s.log()
    a.close()
    time.sleep(0.3)  # the server is being reset
    for _ in range(3):
        c = s.raw()
        assert c.one("select count(*) from pg_class where relname = 'pinned'") == "0"
        assert c.one("select count(*) from pg_locks where locktype = 'advisory'") == "0"
        assert c.one("select count(*) from pg_cursors") == "0"
        assert c.one("select count(*) from pg_prepared_statements where name = 'pinned'") == "0"


def test_discard_all_unpins(sluice):
    """Goal: after DISCARD ALL the server is free for others again."""
    s = sluice(default_pool_size=1, query_wait_timeout=3)
    a, b = s.raw(), s.raw()
    a.query("create temp table pinned(x int)")
    with pytest.raises(ServerError):
        b.one("select 1")
    a.query("discard all")
    assert s.raw().one("select 1") == "1"


def test_words_alone_do_not_pin(sluice):
    """Goal: ordinary statements that only mention such words share their server."""
    s = sluice(default_pool_size=1, query_wait_timeout=3)
    a, b = s.raw(), s.raw()
    for sql in ("select 1 as temp", "select 'create temp table x()'", "select 2 as listen"):
        a.query(sql)
    assert b.one("select 5") == "5"
