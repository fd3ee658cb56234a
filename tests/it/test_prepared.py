"""Protocol-level prepared statements in transaction mode: as if the client had its own server."""
import random
import time

import pytest

import rawpg
from cluster import wait_until
from rawpg import SYNC, bind, close, describe, errors, execute, kinds, parse, query, rows

pytestmark = pytest.mark.beyond_pgbouncer
PID = "select pg_backend_pid()"


def run(raw, name, values=()):
    """Bind and execute a named statement; its messages."""
    return raw.ask(bind("", name, values), execute(), SYNC)


def test_statement_follows_to_another_server(sluice):
    """Goal: a statement parsed on one server is executed on another."""
    s = sluice(default_pool_size=2)
    a, b = s.raw(), s.raw()
    a.ask(parse("mine", "select pg_backend_pid(), $1::int"), SYNC)
    first = rows(run(a, "mine", [1]))[0]
    b.query("begin")
    assert b.one(PID) == first[0], "the test needs b on a's server"
    second = rows(run(a, "mine", [2]))[0]
    assert second[0] != first[0] and (first[1], second[1]) == ("1", "2")
    b.query("commit")


def test_injected_parse_is_not_seen(sluice):
    """Goal: the client gets exactly the answers to what it sent, on any server."""
    s = sluice(default_pool_size=2)
    a, b = s.raw(), s.raw()
    assert kinds(a.ask(parse("x", "select 1"), SYNC)) == "1Z"
    for hold in (False, True):
        if hold:
            b.query("begin")
            b.one(PID)
        assert kinds(run(a, "x")) == "2DCZ"
        assert kinds(a.ask(describe("S", "x"), SYNC)) == "tTZ"
        assert kinds(a.ask(bind("", "x"), describe("P", ""), execute(), SYNC)) == "2TDCZ"


def test_same_name_different_text(sluice):
    """Goal: two clients with one statement name on one server get each their own."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.ask(parse("s", "select 'a'"), SYNC)
    b.ask(parse("s", "select 'b'"), SYNC)
    for _ in range(3):
        assert rows(run(a, "s")) == [["a"]]
        assert rows(run(b, "s")) == [["b"]]


def test_same_text_different_types(sluice):
    """Goal: statements of one text with other parameter types are other statements."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.ask(parse("s", "select pg_typeof($1)", [23]), SYNC)
    b.ask(parse("s", "select pg_typeof($1)", [25]), SYNC)
    for _ in range(2):
        assert rows(run(a, "s", [1])) == [["integer"]]
        assert rows(run(b, "s", [1])) == [["text"]]


def test_duplicate_name(sluice):
    """Goal: a name in use answers 42P05; the statement and the connection live on."""
    raw = sluice().raw()
    raw.ask(parse("s", "select 1"), SYNC)
    for sql in ("select 2", "select 1"):
        msgs = raw.ask(parse("s", sql), bind("", "s"), execute(), SYNC)
        assert errors(msgs) == ["42P05"] and kinds(msgs) == "EZ"
    assert rows(run(raw, "s")) == [["1"]]


def test_unknown_name(sluice):
    """Goal: an unknown name answers 26000 for Bind and Describe; the connection lives on."""
    raw = sluice().raw()
    for request in (bind("", "nope"), describe("S", "nope")):
        msgs = raw.ask(request, execute(), SYNC)
        assert errors(msgs) == ["26000"] and kinds(msgs) == "EZ"
    assert "nope" in raw.ask(bind("", "nope"), SYNC)[0].fields["M"]
    assert raw.one("select 1") == "1"


def test_unknown_name_aborts_transaction(sluice):
    """Goal: inside a transaction an unknown name aborts it, like any error."""
    raw = sluice().raw()
    raw.query("begin")
    raw.ask(bind("", "nope"), SYNC)
    assert raw.status == "E"
    assert errors(raw.query("select 1")) == ["25P02"]
    raw.query("rollback")
    assert raw.status == "I"


def test_duplicate_name_aborts_transaction(sluice):
    """Goal: the same for a name in use."""
    raw = sluice().raw()
    raw.ask(parse("s", "select 1"), SYNC)
    raw.query("begin")
    raw.ask(parse("s", "select 1"), SYNC)
    assert raw.status == "E"
    raw.query("rollback")
    assert rows(run(raw, "s")) == [["1"]]


def test_failed_parse_leaves_no_name(sluice):
    """Goal: after a Parse that failed the name is free."""
    raw = sluice(default_pool_size=1).raw()
    assert errors(raw.ask(parse("s", "selec 1"), SYNC)) == ["42601"]
    assert errors(run(raw, "s")) == ["26000"]
    assert kinds(raw.ask(parse("s", "select 1"), SYNC)) == "1Z"
    assert rows(run(raw, "s")) == [["1"]]


def test_failed_parse_of_a_shared_text(sluice, pg):
    """Goal: a text that failed for one client can succeed later, for any client."""
    s = sluice(default_pool_size=1)
    pg.query("drop table if exists comes_later", dbname="app")
    a, b = s.raw(), s.raw()
    for c in (a, b):
        assert errors(c.ask(parse("s", "select count(*) from comes_later"), SYNC)) == ["42P01"]
    a.query("create table comes_later ()")
    for c in (b, a):
        assert kinds(c.ask(parse("s", "select count(*) from comes_later"), SYNC)) == "1Z"
        assert rows(run(c, "s")) == [["0"]]


def test_parse_skipped_after_error(sluice):
    """Goal: a Parse behind an error in the same pipeline did not happen; one before it did."""
    raw = sluice(default_pool_size=1).raw()
    msgs = raw.ask(parse("before", "select 1"), parse("bad", "selec"), parse("behind", "select 2"),
                   SYNC)
    assert kinds(msgs) == "1EZ"
    assert errors(run(raw, "behind")) == ["26000"]
    assert rows(run(raw, "before")) == [["1"]]
    assert kinds(raw.ask(parse("behind", "select 3"), SYNC)) == "1Z"
    assert rows(run(raw, "behind")) == [["3"]]


def test_close_skipped_after_error(sluice):
    """Goal: a Close behind an error did not happen."""
    raw = sluice(default_pool_size=1).raw()
    raw.ask(parse("s", "select 1"), SYNC)
    assert kinds(raw.ask(parse("bad", "selec"), close("S", "s"), SYNC)) == "EZ"
    assert rows(run(raw, "s")) == [["1"]]


def test_error_then_known_statement_in_next_pipeline(sluice):
    """Goal: pipelines sent ahead: an error in the first does not touch the second."""
    raw = sluice(default_pool_size=1).raw()
    raw.ask(parse("s", "select 1 / ($1::int + (random() * 0)::int)"), SYNC)
    step = bind("", "s", [0]) + execute() + SYNC, bind("", "s", [1]) + execute() + SYNC
    raw.send(*(step * 5))
    assert kinds(raw.ready(10)) == "2EZ2DCZ" * 5


def test_close_then_parse_in_one_pipeline(sluice):
    """Goal: Close and Parse of the same name with another text in one pipeline."""
    raw = sluice(default_pool_size=1).raw()
    raw.ask(parse("s", "select 'old'"), SYNC)
    for n in range(5):
        msgs = raw.ask(close("S", "s"), parse("s", f"select 'new {n}'"), bind("", "s"), execute(),
                       SYNC)
        assert kinds(msgs) == "312DCZ" and rows(msgs) == [[f"new {n}"]]
        assert rows(run(raw, "s")) == [[f"new {n}"]]


def test_close_does_not_hurt_the_other(sluice):
    """Goal: a Close by one client leaves the same statement of another client."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    for c in (a, b):
        c.ask(parse("s", "select 1"), SYNC)
    assert kinds(a.ask(close("S", "s"), SYNC)) == "3Z"
    assert errors(run(a, "s")) == ["26000"]
    assert rows(run(b, "s")) == [["1"]]


def test_close_of_unknown_name(sluice):
    """Goal: Close of an unknown statement or portal is no error."""
    raw = sluice().raw()
    assert kinds(raw.ask(close("S", "nope"), close("P", "nope"), SYNC)) == "33Z"


def test_batched_close(sluice):
    """Goal: many Closes in one packet (PgBouncer 1.25's poisoned servers) leave order intact."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    for c in (a, b):
        c.ask(*[parse(f"s{n}", f"select {n}") for n in range(30)], SYNC)
    assert kinds(a.ask(*[close("S", f"s{n}") for n in range(30)], SYNC)) == "3" * 30 + "Z"
    assert [rows(run(b, f"s{n}")) for n in range(30)] == [[[str(n)]] for n in range(30)]
    assert kinds(a.ask(parse("s1", "select 'again'"), SYNC)) == "1Z"
    assert rows(run(a, "s1")) == [["again"]]


def test_lru_of_two(sluice):
    """Goal: with max_prepared_statements=2 five statements in turn work, two at most are kept."""
    s = sluice(default_pool_size=1, max_prepared_statements=2)
    a, b = s.raw(), s.raw()
    for n in range(5):
        a.ask(parse(f"s{n}", f"select {n}"), SYNC)
        b.ask(parse(f"s{n}", f"select {n * 10}"), SYNC)
    for _ in range(3):
        for n in (0, 3, 1, 4, 2):
            assert rows(run(a, f"s{n}")) == [[str(n)]]
            assert rows(run(b, f"s{n}")) == [[str(n * 10)]]
        assert int(a.one("select count(*) from pg_prepared_statements")) <= 2


def test_lru_inside_one_pipeline(sluice):
    """Goal: more statements in one pipeline than the server may keep."""
    s = sluice(default_pool_size=1, max_prepared_statements=2)
    raw = s.raw()
    for n in range(6):
        raw.ask(parse(f"s{n}", f"select {n}"), SYNC)
    msgs = raw.ask(*[bind("", f"s{n}") + execute() for n in range(6)], SYNC)
    assert kinds(msgs) == "2DC" * 6 + "Z"
    assert rows(msgs) == [[str(n)] for n in range(6)]


def test_shared_text_is_prepared_once(sluice):
    """Goal: twenty clients with one text cost one statement on the server."""
    s = sluice(default_pool_size=1)
    clients = [s.raw() for _ in range(20)]
    for i, c in enumerate(clients):
        c.ask(parse(f"name{i}", "select 'shared'"), SYNC)
        assert rows(run(c, f"name{i}")) == [["shared"]]
    assert clients[0].one("select count(*) from pg_prepared_statements") == "1"


@pytest.mark.parametrize("change", ["alter table ddl add column more text default 'x'",
                                    "alter table ddl alter column n type bigint",
                                    "drop table ddl; create table ddl (n text, m int); "
                                    "insert into ddl values ('7', 8)"])
def test_ddl_changes_the_result(sluice, pg, change):
    """Goal: after DDL at most one 0A000 (outside of transactions), then the new shape."""
    pg.query("drop table if exists ddl; create table ddl (n int); insert into ddl values (7)",
             dbname="app", user="app")
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    for c in (a, b):
        c.ask(parse("s", "select * from ddl"), SYNC)
        assert rows(run(c, "s")) == [["7"]]
    pg.query(change, dbname="app", user="app")
    want = pg.query("select * from ddl", dbname="app")[0]
    seen = []
    for c in (a, b, a, b):
        msgs = run(c, "s")
        seen += errors(msgs)
        if not errors(msgs):
            assert rows(msgs) == [[str(v) for v in want]]
    assert seen in ([], ["0A000"]), seen
    assert rows(run(a, "s")) == [[str(v) for v in want]]
    assert kinds(b.ask(parse("new", "select * from ddl"), SYNC)) == "1Z"
    assert len(rows(run(b, "new"))[0]) == len(want)


@pytest.mark.parametrize("sql", ["deallocate all", "discard all", "DEALLOCATE PREPARE ALL"])
def test_deallocate_all(sluice, sql):
    """Goal: DEALLOCATE ALL and DISCARD ALL drop this client's statements, nobody else's."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    for c in (a, b):
        c.ask(parse("s", "select 'kept'"), SYNC)
        run(c, "s")
    assert kinds(a.query(sql)) == "CZ"
    assert errors(run(a, "s")) == ["26000"]
    assert rows(run(b, "s")) == [["kept"]]
    assert kinds(a.ask(parse("s", "select 'new'"), SYNC)) == "1Z"
    assert rows(run(a, "s")) == [["new"]] and rows(run(b, "s")) == [["kept"]]


def test_deallocate_all_by_extended_protocol(sluice):
    """Goal: the same when DEALLOCATE ALL comes by Parse/Bind/Execute."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    for c in (a, b):
        c.ask(parse("s", "select 'kept'"), SYNC)
    assert kinds(a.ask(parse("", "deallocate all"), bind("", ""), execute(), SYNC)) == "12CZ"
    assert errors(run(a, "s")) == ["26000"]
    assert rows(run(b, "s")) == [["kept"]]


def test_deallocate_by_name(sluice):
    """Goal: SQL DEALLOCATE of a protocol-level name (PHP PDO) works and aborts no transaction."""
    s = sluice(default_pool_size=1)
    a = s.raw()
    a.ask(parse("pdo_stmt_1", "select 1"), SYNC)
    a.query("begin")
    assert kinds(a.query("DEALLOCATE pdo_stmt_1")) == "CZ" and a.status == "T"
    a.query("commit")
    assert errors(run(a, "pdo_stmt_1")) == ["26000"]


def test_unnamed_statement_survives_sync(sluice):
    """Goal: the unnamed statement is still there in the next trip, on whatever server."""
    s = sluice(default_pool_size=2)
    a, b = s.raw(), s.raw()
    for n in range(3):
        assert kinds(a.ask(parse("", f"select {n}, $1::int"), describe("S", ""), SYNC)) == "1tTZ"
        b.query("begin")
        b.ask(parse("", "select 'not yours'"), bind("", ""), execute(), SYNC)
        assert rows(run(a, "", [5])) == [[str(n), "5"]]
        b.query("commit")


def test_unnamed_portal_dies_at_sync(sluice):
    """Goal: outside of a transaction a portal does not survive Sync, as in PostgreSQL."""
    raw = sluice(default_pool_size=1).raw()
    raw.ask(parse("s", "select generate_series(1, 3)"), bind("", "s"), execute("", 1), SYNC)
    assert errors(raw.ask(execute("", 1), SYNC)) == ["34000"]


def test_names_of_any_length_and_bytes(sluice):
    """Goal: statement names of odd bytes and 1 to 3,000 bytes work."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    for name in ("s", "\u00fcml\u00e4ut", "a b\"c'd;--", "n" * 63, "o" * 64, "p" * 3000):
        for c, text in ((a, "A"), (b, "B")):
            assert kinds(c.ask(parse(name, f"select '{text}'"), SYNC)) == "1Z"
        assert (rows(run(a, name)), rows(run(b, name))) == ([["A"]], [["B"]])


def test_thousand_statements(sluice):
    """Goal: a client with a thousand statements over the limit of 200 finds all of them."""
    s = sluice(default_pool_size=2)
    raw = s.raw()
    raw.ask(*[parse(f"s{n}", f"select {n}") for n in range(1000)], SYNC)
    msgs = raw.ask(*[bind("", f"s{n}") + execute() for n in range(999, -1, -1)], SYNC)
    assert [r[0] for r in rows(msgs)] == [str(n) for n in range(999, -1, -1)]


def test_statement_of_dead_server(sluice, pg):
    """Goal: when the server that knew a statement dies, the next one learns it."""
    s = sluice(default_pool_size=1)
    raw = s.raw()
    raw.ask(parse("s", "select 'still here'"), SYNC)
    for _ in range(3):
        pg.terminate()
        wait_until(lambda: pg.backends() == 0, 3)
        time.sleep(0.05)
        assert rows(run(raw, "s")) == [["still here"]]


def test_switched_off(sluice):
    """Goal: max_prepared_statements=0 in session mode passes everything through."""
    raw = sluice(pool_mode="session", max_prepared_statements=0).raw()
    raw.ask(parse("s", "select 1"), SYNC)
    assert rows(run(raw, "s")) == [["1"]]
    assert raw.one("select name from pg_prepared_statements") == "s"


# A differential test: random pipelines have the same answers as from PostgreSQL itself.

SQLS = ["select 1", "select $1::int", "select 1 / $1::int", "selec", "select * from nowhere",
        "select generate_series(1, 4)", "", "select $1::text, $2::int"]


def random_pipeline(rng):
    """Requests up to one Sync (or one Query), with every kind of mistake a client can make."""
    if rng.random() < 0.25:
        return query(rng.choice(["begin", "commit", "rollback", "select 5", "select 1 / 0", "",
                                 "select 1; select 2", "savepoint x", "rollback to x"]))
    out = []
    for _ in range(rng.randint(1, 6)):
        name, kind = rng.choice("abc"), rng.random()
        values = [rng.choice([0, 1, 2])] * rng.choice([0, 1, 1, 2])
        if kind < 0.3:
            out.append(parse(name, rng.choice(SQLS)))
        elif kind < 0.6:
            out.append(bind("", name, values))
            out.append(execute("", rng.choice([0, 0, 2])))
        elif kind < 0.7:
            out += [parse("", rng.choice(SQLS)), bind("", "", values), execute()]
        elif kind < 0.8:
            out.append(describe("S", name))
        elif kind < 0.9:
            out.append(close("S", name))
        elif kind < 0.95:
            out += [bind("p", name, values), describe("P", "p"), execute("p", 1), execute("p"),
                    close("P", "p")]
        else:
            out.append(rawpg.FLUSH)
    return b"".join(out) + SYNC


def essence(msgs):
    """What two servers must agree on: types, rows, codes, tags, transaction state."""
    out = []
    for m in msgs:
        if m.kind in "SN":
            continue
        body = m.sqlstate if m.kind == "E" else m.body if m.kind in "DCZt" else b""
        out.append((m.kind, body))
    return out


def same(got, want, aborted):
    """Equal; but in an aborted transaction, where nothing can be parsed on a server that lacks a
    statement, a Parse may be let through and an error may have another code than PostgreSQL's."""
    def loose(out):
        return [("E",) if kind == "E" else (kind, body) for kind, body in out if kind != "1"]
    return loose(got) == loose(want) if aborted else got == want


@pytest.mark.parametrize("seed", range(8))
def test_random_pipelines_equal_postgres(sluice, pg, seed):
    """Goal: three clients' random pipelines over two servers answer exactly like PostgreSQL."""
    rng = random.Random(seed)
    s = sluice(default_pool_size=3, max_prepared_statements=3)
    pairs = []
    for _ in range(3):
        direct = rawpg.Raw(f"{pg.root}/.s.PGSQL.{pg.port}")
        direct.login("app", "app")
        s.clients.append(direct)
        pairs.append((s.raw(), direct))
    history, aborted = [[], [], []], [False] * 3
    for _ in range(250):
        i = rng.randrange(3)
        packet = b"".join(random_pipeline(rng) for _ in range(rng.choice([1, 1, 1, 2, 3])))
        history[i].append(packet)
        syncs = count_ready(packet)
        got, want = [], []
        for raw, out in ((pairs[i][0], got), (pairs[i][1], want)):
            raw.send(packet)
            out += essence(raw.ready(syncs))
        failed = aborted[i] or ("Z", b"E") in want
        assert same(got, want, failed), f"client {i} after {history[i][-4:]}"
        aborted[i] = want[-1] == ("Z", b"E")


def count_ready(packet):
    """How many ReadyForQuery a packet of whole messages asks for."""
    n, at = 0, 0
    while at < len(packet):
        n += packet[at:at + 1] in (b"Q", b"S")
        at += 1 + int.from_bytes(packet[at + 1:at + 5], "big")
    return n
