"""What every driver does all day, through the proxy."""
import os
import subprocess

import psycopg
import pytest

import rawpg
from cluster import BIN, run
from rawpg import SYNC, bind, describe, execute, kinds, message, parse, rows

BEYOND = pytest.mark.beyond_pgbouncer


def pgbench(sluice, *args, clients=8, transactions=40, timeout=50):
    out = run([f"{BIN}/pgbench", "-n", "-c", str(clients), "-j", "2", "-t", str(transactions),
               *args, sluice.dsn()], timeout=timeout)
    want = clients * transactions
    assert f"transactions actually processed: {want}/{want}" in out
    assert "failed transactions: 0 " in out
    return out


def test_psql_answers(sluice):
    """Goal: psql -c connects and prints a result."""
    s = sluice()
    assert run(["psql", "-XAtc", "select 6 * 7", s.dsn()]).strip() == "42"


def test_unix_socket(sluice):
    """Goal: the Unix socket .s.PGSQL.PORT serves like TCP."""
    s = sluice()
    assert run(["psql", "-XAtc", "select 6 * 7", s.dsn(host=s.dir)]).strip() == "42"


def test_ipv6_listener(sluice):
    """Goal: listen_addr takes a list with an IPv6 address."""
    if not os.path.exists("/proc/net/if_inet6") or " lo" not in open("/proc/net/if_inet6").read():
        pytest.skip("no IPv6 on the loopback")
    s = sluice(listen_addr="127.0.0.1,::1")
    assert run(["psql", "-XAtc", "select 6 * 7", s.dsn(host="::1")]).strip() == "42"


@pytest.mark.parametrize("mode", ["simple", "extended", pytest.param("prepared", marks=BEYOND)])
def test_pgbench_transaction_mode(sluice, pgbench_tables, mode):
    """Goal: pgbench -S in each protocol mode finishes every transaction over a small pool."""
    pgbench(sluice(default_pool_size=3), "-S", "-M", mode)


def test_pgbench_prepared_session_mode(sluice, pgbench_tables):
    """Goal: prepared statements work in session mode without any renaming."""
    pgbench(sluice(pool_mode="session", default_pool_size=8), "-S", "-M", "prepared")


def test_pgbench_new_connection_each(sluice, pgbench_tables):
    """Goal: pgbench -C, a connection per transaction, loses none."""
    pgbench(sluice(default_pool_size=3), "-S", "-C", clients=4, transactions=25)


@pytest.mark.parametrize("mode", ["simple", pytest.param("prepared", marks=BEYOND)])
def test_pgbench_tpcb_is_consistent(sluice, pg, pgbench_tables, mode):
    """Goal: multi-statement transactions of 16 clients over 4 servers never mix."""
    pg.query("truncate pgbench_history; update pgbench_accounts set abalance = 0 where abalance <> 0",
             dbname="app")
    pgbench(sluice(default_pool_size=4), "-M", mode, clients=16, transactions=15)
    assert pg.one("select count(*) from pgbench_history", dbname="app") == 240
    assert pg.one("select (select sum(abalance) from pgbench_accounts) = "
                  "(select sum(delta) from pgbench_history)", dbname="app")


def test_pgbench_pipeline(sluice, pgbench_tables, tmp_path):
    """Goal: pgbench's pipeline mode keeps its answers in order."""
    script = tmp_path / "pipeline.sql"
    script.write_text("\\startpipeline\n" + "select 1;\n" * 10 + "\\endpipeline\n")
    pgbench(sluice(default_pool_size=3), "-M", "extended", "-f", str(script))


def test_transactions(sluice, pg):
    """Goal: commit keeps, rollback drops, a savepoint drops half."""
    pg.query("drop table if exists tx; create table tx (n int)", dbname="app", user="app")
    conn = sluice().connect()
    with conn.transaction():
        conn.execute("insert into tx values (1)")
    with conn.transaction(force_rollback=True):
        conn.execute("insert into tx values (2)")
    with conn.transaction():
        conn.execute("insert into tx values (3)")
        with pytest.raises(psycopg.errors.DivisionByZero):
            with conn.transaction():
                conn.execute("insert into tx values (4)")
                conn.execute("select 1 / 0")
        conn.execute("insert into tx values (5)")
    assert conn.execute("select array_agg(n order by n) from tx").fetchone() == ([1, 3, 5],)


def test_failed_transaction_state(sluice):
    """Goal: after an error a transaction answers 25P02 until it is rolled back."""
    raw = sluice().raw()
    raw.query("begin")
    assert rawpg.errors(raw.query("select 1 / 0")) == ["22012"] and raw.status == "E"
    assert rawpg.errors(raw.query("select 1")) == ["25P02"] and raw.status == "E"
    raw.query("rollback")
    assert raw.status == "I" and raw.one("select 1") == "1"


def test_error_fields_survive(sluice, pg):
    """Goal: drivers get all fields of an error, not only its text."""
    pg.query("drop table if exists uniq; create table uniq (n int constraint uniq_pk primary key)",
             dbname="app", user="app")
    conn = sluice().connect()
    conn.execute("insert into uniq values (1)")
    with pytest.raises(psycopg.errors.UniqueViolation) as e:
        conn.execute("insert into uniq values (1)")
    diag = e.value.diag
    assert (diag.constraint_name, diag.table_name, diag.schema_name) == ("uniq_pk", "uniq", "public")
    assert "already exists" in diag.message_detail


def test_psycopg_binary_and_types(sluice):
    """Goal: binary parameters and results pass unchanged."""
    conn = sluice().connect()
    cur = conn.cursor(binary=True)
    want = (b"\0\1\xff" * 100, 2**40, None, "h\u00e9llo")
    cur.execute("select %b::bytea, %b::int8, %b::text, %b::text", want)
    assert cur.fetchone() == want


def test_psycopg_pipeline(sluice):
    """Goal: psycopg's pipeline mode sends many and gets each answer."""
    conn = sluice().connect()
    with conn.pipeline():
        cursors = [conn.execute("select %s::int", [n]) for n in range(200)]
    assert [c.fetchone()[0] for c in cursors] == list(range(200))


def test_psycopg_pipeline_error_goes_on(sluice):
    """Goal: an error in a pipeline skips to the sync; the connection goes on after it."""
    conn = sluice().connect()
    with pytest.raises(psycopg.errors.DivisionByZero):
        with conn.pipeline() as p:
            conn.execute("select 1")
            conn.execute("select 1 / %s::int", [0])
            conn.execute("select 2")
            p.sync()
    with conn.pipeline() as p:
        a = conn.execute("select 3")
        p.sync()
        b = conn.execute("select 4")
    assert (a.fetchone(), b.fetchone()) == ((3,), (4,))


@BEYOND
def test_psycopg_prepares_everything(sluice):
    """Goal: prepare_threshold=0, each statement prepared at once, in transaction mode."""
    s = sluice(default_pool_size=2)
    conns = [s.connect(prepare_threshold=0) for _ in range(5)]
    for n in range(20):
        for i, conn in enumerate(conns):
            assert conn.execute("select %s::int + %s::int", [n, i]).fetchone() == (n + i,)
            assert conn.execute(f"select {i}").fetchone() == (i,)


@BEYOND
def test_psycopg_prepared_pipeline(sluice):
    """Goal: prepared statements inside a pipeline keep order over a shared pool."""
    s = sluice(default_pool_size=2)
    conns = [s.connect(prepare_threshold=0) for _ in range(4)]
    for _ in range(5):
        for i, conn in enumerate(conns):
            with conn.pipeline():
                cursors = [conn.execute("select %s::int * 10 + %s::int", [n, i]) for n in range(20)]
            assert [c.fetchone()[0] for c in cursors] == [n * 10 + i for n in range(20)]


def test_empty_query(sluice):
    """Goal: an empty query is answered by EmptyQueryResponse, in both protocols."""
    raw = sluice().raw()
    assert kinds(raw.query("")) == "IZ"
    assert kinds(raw.query(" -- nothing")) == "IZ"
    assert kinds(raw.ask(parse("", ""), bind("", ""), execute(), SYNC)) == "12IZ"


def test_multi_statement(sluice):
    """Goal: several statements in one Query give several results, one ReadyForQuery."""
    raw = sluice().raw()
    msgs = raw.query("select 1; select 2, 3; begin; select 4; commit; select 5")
    assert kinds(msgs) == "TDCTDCCTDCCTDCZ"
    assert rows(msgs) == [["1"], ["2", "3"], ["4"], ["5"]]


def test_multi_statement_error(sluice):
    """Goal: an error in the middle of a multi-statement Query ends it, nothing else."""
    raw = sluice().raw()
    assert kinds(raw.query("select 1; select 1 / 0; select 2")) == "TDCEZ"
    assert raw.status == "I" and raw.one("select 3") == "3"


def test_queries_sent_ahead(sluice):
    """Goal: simple queries sent without waiting are answered in order."""
    raw = sluice().raw()
    raw.send(*[rawpg.query(f"select {n}") for n in range(50)])
    msgs = raw.ready(50)
    assert [r[0] for r in rows(msgs)] == [str(n) for n in range(50)]


def test_mixed_protocols_sent_ahead(sluice):
    """Goal: simple and extended requests in one packet keep their order."""
    raw = sluice().raw()
    raw.send(rawpg.query("select 1"), parse("", "select 2"), bind("", ""), execute(), SYNC,
             rawpg.query("select 3"), SYNC)
    msgs = raw.ready(4)
    assert kinds(msgs) == "TDCZ12DCZTDCZZ"
    assert rows(msgs) == [["1"], ["2"], ["3"]]


def test_flush_without_sync(sluice):
    """Goal: Flush brings the answers while the pipeline stays open."""
    raw = sluice().raw()
    raw.send(parse("", "select 8"), bind("", ""), describe("P", ""), rawpg.FLUSH)
    assert kinds(raw.recv_until("T")) == "12T"
    raw.send(execute(), SYNC)
    assert kinds(raw.ready()) == "DCZ"


def test_portal_in_parts(sluice):
    """Goal: Execute with a row limit suspends its portal and goes on in the transaction."""
    raw = sluice().raw()
    raw.query("begin")
    assert kinds(raw.ask(parse("", "select generate_series(1, 5)"), bind("p", ""),
                         execute("p", 2), SYNC)) == "12DDsZ"
    assert kinds(raw.ask(execute("p", 2), SYNC)) == "DDsZ"
    assert kinds(raw.ask(execute("p", 2), SYNC)) == "DCZ"
    raw.query("commit")
    assert raw.status == "I"


def test_server_side_cursor(sluice):
    """Goal: a cursor WITHOUT HOLD is read in several trips inside its transaction."""
    conn = sluice(default_pool_size=2).connect(autocommit=False)
    with conn.cursor("walk") as cur:
        cur.itersize = 100
        cur.execute("select generate_series(1, 1000)")
        assert sum(r[0] for r in cur) == 500500
    conn.commit()


def test_function_call(sluice):
    """Goal: the FunctionCall message works (libpq's PQfn, large objects)."""
    raw = sluice().raw()
    oid = int(raw.one("select 'int4pl'::regproc::oid"))
    args = b"".join((4).to_bytes(4, "big") + n.to_bytes(4, "big") for n in (40, 2))
    body = oid.to_bytes(4, "big") + b"\0\1\0\1" + b"\0\2" + args + b"\0\1"
    msgs = raw.ask(message("F", body))
    assert kinds(msgs) == "VZ" and msgs[0].body == b"\0\0\0\4\0\0\0\x2a"
    assert raw.one("select 1") == "1"


def test_large_objects(sluice, tmp_path):
    """Goal: psql's \\lo_import and \\lo_export give the same megabyte back."""
    s = sluice()
    source, copy = tmp_path / "in", tmp_path / "out"
    source.write_bytes(os.urandom(1 << 20))
    out = run(["psql", "-Xc", f"\\lo_import {source}", "-c", f"\\lo_export :LASTOID {copy}",
               "-c", "\\lo_unlink :LASTOID", s.dsn()])
    assert "ERROR" not in out and copy.read_bytes() == source.read_bytes()


def test_notices(sluice):
    """Goal: notices reach the client that caused them."""
    conn, seen = sluice().connect(), []
    conn.add_notice_handler(lambda d: seen.append((d.severity, d.message_primary)))
    conn.execute("do $$ begin raise notice 'one'; raise warning 'two'; end $$")
    assert seen == [("NOTICE", "one"), ("WARNING", "two")]


def test_listen_notify_session(sluice):
    """Goal: a listening session gets a notification while it is idle."""
    s = sluice(pool_mode="session")
    a, b = s.raw(), s.raw()
    a.query("listen news")
    b.query("notify news, 'hello'")
    m = a.recv_until("A")[-1]
    assert m.body[4:] == b"news\0hello\0"
    assert a.one("select 1") == "1"


def test_startup_parameters_reported(sluice, pg):
    """Goal: the client is told the server's parameters and a cancel key at login."""
    raw = sluice().raw()
    assert raw.params["server_version"] == pg.one("show server_version")
    for name in ("client_encoding", "DateStyle", "TimeZone", "integer_datetimes",
                 "standard_conforming_strings", "server_encoding"):
        assert raw.params[name] == pg.one(f"show {name}"), name
    assert len(raw.key) == 8


@BEYOND
def test_all_reported_parameters(sluice, pg):
    """Goal: the parameters reported at login are PostgreSQL's own set, none left out."""
    direct = rawpg.Raw(f"{pg.root}/.s.PGSQL.{pg.port}")
    direct.login("app", "app")
    assert set(direct.params) <= set(sluice().raw().params)
    direct.close()


@BEYOND
def test_replication_session(sluice, pg):
    """Goal: a replication connection in session mode streams both ways (COPY BOTH) and ends."""
    s = sluice(pool_mode="session", databases={"app": f"host={pg.root} port={pg.port}"})
    raw = s.raw(replication="database")
    start = rows(raw.query("IDENTIFY_SYSTEM"))[0][2]
    raw.send(rawpg.query(f"START_REPLICATION PHYSICAL {start}"))
    assert raw.recv_until("W")[-1].kind == "W"
    pg.query("select pg_logical_emit_message(false, 'it', 'wake')")
    assert raw.recv_until("d")[-1].body[:1] in b"wk"
    raw.send(message("c"))
    assert kinds(raw.ready())[-2:] == "CZ"


def test_terminate_ends_quietly(sluice):
    """Goal: Terminate closes the connection, without a word."""
    raw = sluice().raw()
    raw.send(rawpg.TERMINATE)
    assert raw.drain() == b""


def test_version_needs_no_config():
    """Goal: --version and --help answer without a configuration."""
    from sluice import PROGRAM
    for flag in ("--version", "--help"):
        out = subprocess.run([PROGRAM, flag], timeout=10, capture_output=True, text=True)
        assert out.returncode == 0 and len(out.stdout) > 5
