"""Much data: COPY both ways, large messages, results larger than memory, slow peers."""
import hashlib
import socket
import threading
import time

import psycopg
import pytest

import rawpg
from rawpg import SYNC, bind, execute, kinds, message, parse, query
from sluice import IS_PGBOUNCER

MB = 1 << 20
# What the proxy may grow by while it carries any amount of data: its receive buffers and some
# output for each side, with head-room for a sanitizer's shadow memory.
GROWTH_KB = 24 * 1024


@pytest.fixture(scope="module")
def tables(pg):
    pg.query("""
drop table if exists bulk, picky, lazy;
create table bulk (id int, body text);
create table picky (id int primary key);
create table lazy (id int, body text);
create or replace function slow_first() returns trigger language plpgsql as
$$ begin if new.id = 0 then perform pg_sleep(1.5); end if; return new; end $$;
create trigger slow before insert on lazy for each row execute function slow_first();
""", dbname="app", user="app")


def lines(n, width=1000):
    return b"".join(b"%d\t%s\n" % (i, hashlib.md5(b"%d" % i).hexdigest().encode() * (width // 32))
                    for i in range(n))


def copy_data(data, chunk=60000):
    return b"".join(message("d", data[i:i + chunk]) for i in range(0, len(data), chunk))


def test_copy_10mb_each_way(sluice, pg, tables):
    """Goal: psycopg copies 10 MB in and the same 10 MB out."""
    conn = sluice().connect()
    conn.execute("truncate bulk")
    data = lines(10000)
    assert len(data) > 9 * MB
    with conn.cursor() as cur:
        with cur.copy("copy bulk from stdin") as copy:
            for i in range(0, len(data), 100000):
                copy.write(data[i:i + 100000])
        with cur.copy("copy (select * from bulk order by id) to stdout") as copy:
            back = b"".join(bytes(part) for part in copy)
    assert hashlib.md5(back).digest() == hashlib.md5(data).digest()
    assert conn.execute("select count(*) from bulk").fetchone() == (10000,)


def test_copy_binary_round_trip(sluice, tables):
    """Goal: a binary COPY is not looked into."""
    conn = sluice().connect()
    with conn.cursor() as cur:
        with cur.copy("copy (select g, g::text from generate_series(1, 20000) g) "
                      "to stdout (format binary)") as copy:
            data = b"".join(bytes(part) for part in copy)
        cur.execute("truncate bulk")
        with cur.copy("copy bulk from stdin (format binary)") as copy:
            copy.write(data)
    assert conn.execute("select count(*), sum(id) from bulk").fetchone() == (20000, 200010000)


def test_copy_bad_row_goes_on(sluice, tables):
    """Goal: a COPY with a bad row fails as in PostgreSQL, and the connection goes on."""
    conn = sluice(default_pool_size=1).connect()
    conn.execute("truncate picky")
    for _ in range(3):
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            with conn.cursor().copy("copy picky from stdin") as copy:
                copy.write(b"1\n2\nthree\n" + b"4\n" * 500000)
        assert conn.execute("select count(*) from picky").fetchone() == (0,)
    with conn.cursor().copy("copy picky from stdin") as copy:
        copy.write(b"1\n2\n")
    assert conn.execute("select count(*) from picky").fetchone() == (2,)


def test_copy_client_gives_up(sluice, tables):
    """Goal: CopyFail ends the COPY with the client's words."""
    raw = sluice().raw()
    raw.send(rawpg.query("copy bulk from stdin"))
    raw.recv_until("G")
    raw.send(copy_data(b"1\tx\n"), message("f", b"changed my mind\0"))
    msgs = raw.ready()
    assert rawpg.errors(msgs) == ["57014"] and "changed my mind" in msgs[0].fields["M"]
    assert raw.one("select 1") == "1"


def test_copy_extended_with_sync(sluice, tables):
    """Goal: libpq's COPY by extended query sends Sync ahead, which the server ignores in COPY."""
    raw = sluice(default_pool_size=1).raw()
    raw.query("truncate bulk")
    for n in range(1, 4):
        raw.send(parse("", "copy bulk from stdin"), bind("", ""), execute(), SYNC)
        assert kinds(raw.recv_until("G")) == "12G"
        raw.send(copy_data(lines(2000)), message("c"), SYNC)
        assert kinds(raw.ready()) == "CZ"
        assert raw.one("select count(*) from bulk") == str(2000 * n)


def test_copy_extended_bad_row(sluice, tables):
    """Goal: an error inside an extended COPY skips to the next Sync, exactly one ReadyForQuery."""
    s = sluice(default_pool_size=1)
    raw = s.raw()
    for _ in range(3):
        raw.send(parse("", "copy bulk from stdin"), bind("", ""), execute(), SYNC)
        raw.recv_until("G")
        raw.send(copy_data(b"1\tx\nnonsense\n" * 20000), message("c"), SYNC)
        assert kinds(raw.ready()) == "EZ" and raw.status == "I"
        assert raw.one("select 5") == "5"
    s.serves()


def test_copy_out_in_pipeline(sluice):
    """Goal: COPY TO as one step of a pipeline, with requests before and behind it."""
    raw = sluice().raw()
    step = (bind("", ""), execute())
    msgs = raw.ask(parse("", "select 1"), *step,
                   parse("", "copy (select generate_series(1, 3)) to stdout"), *step,
                   parse("", "select 2"), *step, SYNC)
    assert kinds(msgs) == "12DC12HdddcC12DCZ"


def test_copy_in_cut_off(sluice, pg, tables):
    """Goal: a client that vanishes inside COPY leaves nothing and blocks nobody."""
    s = sluice(default_pool_size=1)
    raw = s.raw()
    raw.query("truncate bulk")
    raw.send(rawpg.query("copy bulk from stdin"))
    raw.recv_until("G")
    raw.send(copy_data(lines(1000))[:-777])
    raw.reset()
    s.serves(3)
    assert s.raw().one("select count(*) from bulk") == "0"


def read_all(raw, n):
    """Read ReadyForQuery's whole answer without keeping it; returns the number of bytes."""
    total, tail = 0, b""
    while True:
        data = raw.sock.recv(1 << 18)
        assert data, "closed early"
        total += len(data)
        tail = (tail + data)[-6:]
        if tail == b"Z\0\0\0\5I" and total >= n:
            return total


def test_100mb_result_bounded_memory(sluice):
    """Goal: a 100 MB result of many rows passes with the proxy's memory bounded."""
    s = sluice()
    raw = s.raw()
    raw.one("select 1")
    before = s.reset_peak()
    raw.send(rawpg.query("select repeat('x', 1000) from generate_series(1, 100000)"))
    assert read_all(raw, 100 * 10**6) > 100 * 10**6
    assert s.rss_kb("VmHWM") - before < GROWTH_KB


def test_100mb_row_bounded_memory(sluice):
    """Goal: one row of 100 MB streams through, it is not collected."""
    s = sluice()
    raw = s.raw()
    before = s.reset_peak()
    raw.send(rawpg.query("select repeat('x', 100000000)"))
    assert read_all(raw, 10**8) > 10**8
    assert s.rss_kb("VmHWM") - before < GROWTH_KB


def test_slow_reader_back_pressure(sluice, pg):
    """Goal: a client that does not read stops its server, costs no memory and delays nobody."""
    s = sluice(default_pool_size=2)
    raw = s.socket()
    raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.login()
    before = s.reset_peak()
    raw.send(rawpg.query("select repeat('x', 1000) from generate_series(1, 150000)"))
    time.sleep(0.5)
    other = s.raw()
    for n in range(50):
        assert other.one(f"select {n}") == str(n)
    time.sleep(0.7)
    assert s.rss_kb("VmHWM") - before < GROWTH_KB
    assert pg.backends("state = 'active' and wait_event = 'ClientWrite'") == 1
    assert read_all(raw, 150 * 10**6) > 150 * 10**6
    assert raw.one("select 1") == "1"


def test_idle_stall_costs_no_cpu(sluice):
    """Goal: while a slow reader stalls its server the proxy sleeps."""
    s = sluice()
    raw = s.raw()
    raw.send(rawpg.query("select repeat('x', 1000) from generate_series(1, 60000)"))
    time.sleep(0.5)
    before = s.cpu_seconds()
    time.sleep(1)
    assert s.cpu_seconds() - before < 0.2
    read_all(raw, 60 * 10**6)


def test_slow_server_back_pressure(sluice, tables):
    """Goal: a server that does not read stops its client; the proxy's memory stays bounded."""
    s = sluice()
    raw = s.raw(timeout=20)
    raw.query("truncate lazy")
    data = copy_data(lines(40000))
    before = s.reset_peak()
    raw.send(rawpg.query("copy lazy from stdin"))
    raw.recv_until("G")
    sender = threading.Thread(target=raw.send, args=(data, message("c")), daemon=True)
    sender.start()
    time.sleep(1)
    assert sender.is_alive(), "the proxy took 40 MB while the server slept"
    assert s.rss_kb("VmHWM") - before < GROWTH_KB
    msgs = raw.ready()
    sender.join(10)
    assert kinds(msgs) == "CZ" and msgs[0].body == b"COPY 40000\0"


@pytest.mark.parametrize("size", [16 * MB])
def test_large_simple_query(sluice, size):
    """Goal: one Query message of 16 MB is answered."""
    raw = sluice().raw()
    assert raw.one("select length('" + "q" * size + "')") == str(size)
    assert raw.one("select 1") == "1"


def test_large_parameter(sluice):
    """Goal: a 16 MB parameter goes in and the same bytes come back."""
    conn = sluice().connect()
    text = "p" * (16 * MB - 1) + "!"
    got = conn.execute("select md5(%s::text), %s::text", [text, text]).fetchone()
    assert got == (hashlib.md5(text.encode()).hexdigest(), text)


@pytest.mark.beyond_pgbouncer
def test_large_parameter_of_named_statement(sluice):
    """Goal: a 16 MB Bind of a statement whose name the proxy rewrites."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    value = b"v" * (16 * MB)
    for raw in (a, b):
        raw.ask(parse("s", "select md5($1)"), SYNC)
    for raw in (b, a, b):
        msgs = raw.ask(bind("", "s", [value]), execute(), SYNC)
        assert rawpg.rows(msgs) == [[hashlib.md5(value).hexdigest()]]


@pytest.mark.beyond_pgbouncer
def test_large_statement_text(sluice):
    """Goal: a 4 MB statement text is prepared and used on another server."""
    s = sluice(default_pool_size=2)
    raw, other = s.raw(), s.raw()
    raw.ask(parse("big", "select length('" + "t" * (4 * MB) + "')"), SYNC)
    other.query("begin")
    for _ in range(2):
        assert rawpg.rows(raw.ask(bind("", "big"), execute(), SYNC)) == [[str(4 * MB)]]


def test_pipelined_megabytes_both_ways(sluice):
    """Goal: a client that sends a lot before it reads does not deadlock the proxy."""
    raw = sluice().raw(timeout=20)
    n, value = 200, b"z" * 100000
    data = b""
    for _ in range(n):
        data += parse("", "select $1::text") + bind("", "", [value]) + execute()
    sender = threading.Thread(target=raw.send, args=(data, SYNC), daemon=True)
    sender.start()
    msgs = raw.ready()
    sender.join(10)
    assert kinds(msgs) == "12DC" * n + "Z"
    assert all(len(m.body) == 6 + len(value) for m in msgs if m.kind == "D")


def test_many_tiny_rows(sluice):
    """Goal: 500,000 rows of one byte arrive complete (header handling across buffer ends)."""
    raw = sluice().raw()
    raw.send(rawpg.query("select 1 from generate_series(1, 500000)"))
    assert read_all(raw, 500000 * 12) > 500000 * 12


def test_rows_of_all_sizes(sluice):
    """Goal: every message size around the buffers' edges arrives with the right content."""
    raw = sluice().raw()
    raw.send(rawpg.query("select n, md5(n::text), repeat(chr(97 + n % 26), n * 37) "
                         "from generate_series(0, 3000) n"))
    n = 0
    for m in raw.ready():
        if m.kind == "D":
            number, digest, body = m.row
            assert int(number) == n and digest == hashlib.md5(number.encode()).hexdigest()
            assert body == chr(97 + n % 26) * (n * 37)
            n += 1
    assert n == 3001


def test_memory_returns(sluice):
    """Goal: a hundred clients that carried a megabyte each leave little behind."""
    s = sluice(default_pool_size=5)
    clients = [s.raw() for _ in range(100)]
    before = s.rss_kb()
    for raw in clients:
        raw.send(rawpg.query("select repeat('x', 1000000)"))
    for raw in clients:
        read_all(raw, 10**6)
    assert s.rss_kb() - before < GROWTH_KB


@pytest.mark.soak
@pytest.mark.skipif(IS_PGBOUNCER, reason="a soak of pgsluice")
def test_soak_copies(sluice, tables):
    """Goal: two minutes of COPY in and out leave the memory where it was."""
    s = sluice(default_pool_size=3)
    conns = [s.connect() for _ in range(6)]
    end, sizes = time.monotonic() + 120, []
    while time.monotonic() < end:
        for conn in conns:
            with conn.cursor().copy("copy (select repeat('x', 500) from generate_series(1, 5000)) "
                                    "to stdout") as copy:
                for _ in copy:
                    pass
        sizes.append(s.rss_kb())
    assert sizes[-1] - sizes[len(sizes) // 4] < 4096


def test_server_of_a_slow_reader_is_read_again(sluice):
    """Goal: a server whose client read slowly, released with its last bytes unread, serves the next one."""
    s = sluice(default_pool_size=1)
    slow, other = s.raw(), s.raw()
    for _ in range(20):
        slow.send(query("select repeat('x', 700000)"))
        time.sleep(0.02)
        other.send(query("select 5"))
        slow.ready()
        assert kinds(other.ready()) == "TDCZ"
