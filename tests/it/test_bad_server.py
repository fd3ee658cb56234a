"""What a malicious or broken server can do: it spoils what is sent to it, and nothing else."""
import struct
import time

import pytest

import rawpg
from badpg import (ANSWER, AUTH_OK, GREETING, KEY, READY, SASL, BadServer, data_row, error, row,
                   status)
from cluster import PASSWORDS, wait_until
from rawpg import SYNC, Closed, ServerError, bind, execute, kinds, message, parse, query

pytestmark = pytest.mark.beyond_pgbouncer
GOOD = PASSWORDS["app"]


@pytest.fixture
def bad(sluice):
    """Factory: bad(script) starts such a server and a proxy with it as database `bad`."""
    servers = []

    def make(script, entry=None, **settings):
        server = BadServer(script)
        servers.append(server)
        target = {"port": server.port, "user": "app", "password": GOOD, **(entry or {})}
        s = sluice(entries={"bad": target}, **{"query_wait_timeout": 1, "server_login_retry": 1,
                                               "server_connect_timeout": 2, **settings})
        s.bad = server
        return s

    yield make
    for server in servers:
        server.stop()


def told(s, within=4):
    """The error that a client of the bad server reads, in time; others are served meanwhile."""
    raw = s.socket(within)
    raw.start(database="bad")
    s.serves(2)
    m = raw.first_answer()
    assert m.kind == "E", "the client got an answer"
    raw.close()
    s.serves(2)
    return m


LOGINS = {
    "closes": lambda c: None,
    "closes after startup": lambda c: c.startup(),
    "reset": lambda c: c.reset(),
    "reset after startup": lambda c: (c.startup(), c.reset()),
    "reset in SASL": lambda c: (c.startup(), c.send(SASL), c.recv(), c.reset()),
    "reset after ok": lambda c: (c.startup(), c.send(AUTH_OK), c.reset()),
    "reset before ready": lambda c: (c.startup(), c.send(GREETING[:-6]), c.reset()),
    "speaks HTTP": lambda c: (c.startup(), c.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "zeros": lambda c: (c.startup(), c.send(bytes(5000))),
    "ones": lambda c: (c.startup(), c.send(b"\xff" * 5000)),
    "length 0": lambda c: (c.startup(), c.send(b"R\0\0\0\0\0\0\0\0")),
    "length 3": lambda c: (c.startup(), c.send(b"R\0\0\0\3\0\0\0\0")),
    "length -1": lambda c: (c.startup(), c.send(b"R\xff\xff\xff\xff\0\0\0\0")),
    "length 2^31-1": lambda c: (c.startup(), c.send(b"R\x7f\xff\xff\xff" + bytes(100))),
    "length 30000": lambda c: (c.startup(), c.send(b"R\0\0\x75\x30" + bytes(30000))),
    "error length -1": lambda c: (c.startup(), c.send(b"E\xff\xff\xff\xffSFATAL\0")),
    "ready at once": lambda c: (c.startup(), c.send(READY)),
    "row at once": lambda c: (c.startup(), c.send(row("x"))),
    "unknown method": lambda c: (c.startup(), c.send(message("R", struct.pack("!i", 99)))),
    "kerberos": lambda c: (c.startup(), c.send(message("R", struct.pack("!i", 2)))),
    "unknown mechanism": lambda c: (c.startup(), c.send(
        message("R", struct.pack("!i", 10) + b"SCRAM-SHA-999\0\0"))),
    "no mechanism": lambda c: (c.startup(), c.send(message("R", struct.pack("!i", 10) + b"\0"))),
    "many mechanisms": lambda c: (c.startup(), c.send(
        message("R", struct.pack("!i", 10) + b"X\0" * 900 + b"\0"))),
    "error": lambda c: (c.startup(), c.send(error())),
    "error before startup": lambda c: (c.send(error()), c.recv()),
    "old error": lambda c: (c.startup(), c.send(b"EFATAL: too old\n\0")),
    "error of 1 MB": lambda c: (c.startup(), c.send(error(text="x" * 1000000))),
    "empty error": lambda c: (c.startup(), c.send(message("E", b"\0"))),
    "error without end": lambda c: (c.startup(), c.send(message("E", b"SFATAL"))),
    "error without SQLSTATE": lambda c: (c.startup(), c.send(error(sqlstate=None))),
    "error without message": lambda c: (c.startup(), c.send(error(text=None))),
    "error without severity": lambda c: (c.startup(), c.send(error(severity=None))),
    "error of long SQLSTATE": lambda c: (c.startup(), c.send(error(sqlstate="X" * 5000))),
    "error with lines": lambda c: (c.startup(), c.send(error(text="a\nLOG forged\x1b[2J%s%n"))),
    "nonce is another": lambda c: (c.startup(), c.scram(GOOD, nonce=lambda n: "x" * len(n))),
    "nonce is not longer": lambda c: (c.startup(), c.scram(GOOD, nonce=lambda n: n)),
    "nonce is shorter": lambda c: (c.startup(), c.scram(GOOD, nonce=lambda n: n[:-1])),
    "nonce of 1 MB": lambda c: (c.startup(), c.scram(GOOD, nonce=lambda n: n + "x" * 1000000)),
    "nonce of 20 kB": lambda c: (c.startup(), c.scram(GOOD, nonce=lambda n: n + "x" * 20000)),
    "iterations 0": lambda c: (c.startup(), c.scram(GOOD, first=lambda n: f"r={n}x,s=AAAA,i=0")),
    "iterations -1": lambda c: (c.startup(), c.scram(GOOD, first=lambda n: f"r={n}x,s=AAAA,i=-1")),
    "iterations 1e3": lambda c: (c.startup(),
                                 c.scram(GOOD, first=lambda n: f"r={n}x,s=AAAA,i=1e3")),
    "iterations 2^40": lambda c: (c.startup(), c.scram(
        GOOD, first=lambda n: f"r={n}x,s=AAAA,i={2**40}")),
    "no salt": lambda c: (c.startup(), c.scram(GOOD, first=lambda n: f"r={n}x,s=,i=4096")),
    "bad salt": lambda c: (c.startup(), c.scram(GOOD, first=lambda n: f"r={n}x,s=!!!,i=4096")),
    "empty first": lambda c: (c.startup(), c.scram(GOOD, first=lambda n: "")),
    "error in first": lambda c: (c.startup(), c.scram(GOOD, first=lambda n: "e=other-error")),
    "no signature": lambda c: (c.startup(), c.scram(GOOD, final=False), c.send(GREETING)),
    "wrong signature": lambda c: (c.startup(), c.scram(
        GOOD, signature=lambda v: "A" * 43 + "="), c.send(GREETING)),
    "empty signature": lambda c: (c.startup(), c.scram(GOOD, signature=lambda v: ""),
                                  c.send(GREETING)),
    "other password": lambda c: (c.startup(), c.scram("other"), c.send(GREETING)),
    "final without first": lambda c: (c.startup(), c.send(SASL), c.recv(), c.send(
        message("R", struct.pack("!i", 12) + b"v=AAAA"), GREETING)),
    "first twice": lambda c: (c.startup(), c.send(SASL), c.recv(), c.send(SASL), c.recv()),
}


@pytest.mark.parametrize("script", list(LOGINS.values()), ids=list(LOGINS))
def test_login(bad, script):
    """Goal: a server that does not let us in properly is an error of its clients, soon, with the SQLSTATE of
    a lost or refused connection; it never counts as logged in; others are served."""
    s = bad(script)
    m = told(s)
    assert m.sqlstate in ("08006", "08P01", "28000", "28P01", "57P03", "53300", "08001"), m.fields
    assert "\nLOG forged" not in s.log() and "\x1b" not in s.log()
    assert len(m.body) < 2000
    assert [r for r in s.admin("show servers") if r["database"] == "bad"] == []


@pytest.mark.parametrize("stage", ["accept", "startup", "SASL", "ok", "trickle"])
def test_silent_at_login(bad, stage):
    """Goal: a server that falls silent at login is given up after server_connect_timeout."""
    def script(c):
        if stage != "accept":
            c.startup()
        if stage == "SASL":
            c.send(SASL)
        elif stage == "ok":
            c.send(GREETING[:-6])
        elif stage == "trickle":
            for byte in GREETING:
                time.sleep(0.5)
                c.send(bytes([byte]))
        time.sleep(20)

    s = bad(script, server_connect_timeout=1, query_wait_timeout=4)
    t = time.monotonic()
    m = told(s, 8)
    assert m.sqlstate in ("08006", "53300") and time.monotonic() - t < 6
    assert s.bad.connections >= 2, "it is tried again"


def test_good_scram_is_fine(bad):
    """Goal: the scripts fail for their faults: without one this server is served."""
    s = bad(lambda c: (c.startup(), c.scram(GOOD), c.send(GREETING), c.serve()))
    raw = s.socket()
    raw.start(database="bad")
    assert raw.first_answer().kind == "D"


def test_many_iterations(bad):
    """Goal: a server that asks for 10^9 iterations delays its own clients only, not the logins of other
    pools (CVE-2026-6669)."""
    s = bad(lambda c: (c.startup(), c.scram(GOOD, first=lambda n: f"r={n}x,s=AAAA,i=1000000000")),
            default_pool_size=2, connectors=2)
    raws = [s.socket(10) for _ in range(6)]
    for raw in raws:
        raw.start(database="bad")
    time.sleep(0.5)
    for user in ("app2", "limited", "md5user"):
        raw = s.raw(user, timeout=3)
        assert raw.one("select 1") == "1"
    for raw in raws:
        assert raw.first_answer().kind == "E"


def test_clear_text_password(bad):
    """Goal: a server that asks for the password in clear text gets it, as from any libpq, but neither the log
    nor an error shows it (the log is looked at when the proxy ends)."""
    seen = []

    def script(c):
        c.startup()
        c.send(message("R", struct.pack("!i", 3)))
        seen.append(c.recv()[1])
        c.send(error("FATAL", "28P01", "no"))

    m = told(bad(script, verbose=3))
    assert seen and m.sqlstate == "28P01" and GOOD.encode() not in m.body


def test_long_host_list(sluice):
    """Goal: a host list of 40 kB is a host list, or refused when the configuration is read; never another
    host (PgBouncer 1.18 #747)."""
    hosts = ",".join(["127.0.0.1"] * 4000)
    assert len(hosts) == 39999
    s = sluice(entries={"many": dict(host=hosts)})
    assert s.raw(database="many").one("select inet_server_addr()") == "127.0.0.1"


# ---- after login ----


def after_login(script):
    """A server that is fine until the first query comes."""
    def whole(c):
        c.startup()
        c.send(GREETING)
        if c.recv_until("Q", "X"):
            script(c)
    return whole


ANSWERS = {
    "closes": lambda c: None,
    "reset": lambda c: c.reset(),
    "reset in a row": lambda c: (c.send(ANSWER[:30]), c.reset()),
    "closes in a large row": lambda c: c.send(b"D" + struct.pack("!i", 1 << 20) + b"x" * 70000),
    "zeros": lambda c: c.send(bytes(100)),
    "length 0": lambda c: c.send(b"D\0\0\0\0"),
    "length 3": lambda c: c.send(b"C\0\0\0\3"),
    "length -1": lambda c: c.send(b"D\xff\xff\xff\xff"),
    "length -2^31": lambda c: c.send(b"D\x80\0\0\0"),
    "ready of length 2^31-1": lambda c: c.send(b"Z\x7f\xff\xff\xffI"),
    "status of length 2^31-1": lambda c: c.send(b"S\x7f\xff\xff\xff" + b"a" * 100),
    "ready without status": lambda c: c.send(message("Z")),
    "ready of no such status": lambda c: c.send(message("Z", b"Q")),
    "ready of two": lambda c: c.send(message("Z", b"II")),
    "unknown type": lambda c: c.send(message("@", b"what")),
    "authentication": lambda c: c.send(AUTH_OK),
    "key": lambda c: c.send(KEY),
    "parse complete": lambda c: c.send(message("1")),
    "two readys": lambda c: c.send(ANSWER, READY),
    "answers ahead": lambda c: c.send(ANSWER * 5),
    "status without end": lambda c: c.send(message("S", b"DateStyle")),
    "fatal": lambda c: c.send(error("FATAL", "57P01", "gone")),
    "copy both": lambda c: c.send(message("W", b"\0\0\0")),
}


@pytest.mark.parametrize("script", list(ANSWERS.values()), ids=list(ANSWERS))
def test_answer(bad, script):
    """Goal: whatever a server answers, its client hears of it at once or is ended, that server is not used
    again, and another client of the same pool gets a clean one."""
    logins = []

    def once(c):
        c.startup()
        c.send(GREETING)
        logins.append(c)
        if len(logins) > 1:
            c.serve()
        if c.recv_until("Q", "X"):
            script(c)

    s = bad(once, default_pool_size=1, query_wait_timeout=5)
    raw = s.raw(database="bad")
    raw.send(query("select 1"))
    raw.sock.settimeout(3)
    try:
        raw.ready()
    except (ServerError, Closed):
        pass
    except TimeoutError:
        pytest.fail("the client was told nothing")
    time.sleep(0.02)
    other = s.raw(database="bad", timeout=5)
    assert other.rows("select 1") == [["1"]]
    assert other.rows("select 1") == [["1"]]
    s.serves(2)
    assert len(logins) == 2, "the bad connection was used again, or a good one was not"


def test_never_answers(bad):
    """Goal: a server that takes a query and is silent costs its client query_timeout, and nobody else anything."""
    s = bad(after_login(lambda c: time.sleep(20)), query_timeout=1, default_pool_size=1)
    raw = s.raw(database="bad")
    raw.send(query("select 1"))
    for _ in range(3):
        s.serves(1)
    t = time.monotonic()
    assert raw.recv_until("E")[-1].sqlstate == "57014"
    assert time.monotonic() - t < 3


def test_rows_without_end(bad):
    """Goal: a server that sends rows for ever to a client that has gone is closed, and no memory is lost to it."""
    def flood(c):
        c.send(row("first"))
        while True:
            c.send(data_row("x" * 60000))

    s = bad(after_login(flood), default_pool_size=1)
    raw = s.raw(database="bad")
    raw.send(query("select 1"))
    raw.read(1000000)
    before = s.rss_kb()
    time.sleep(0.5)
    assert s.rss_kb() - before < 8192
    raw.reset()
    wait_until(lambda: not [r for r in s.admin("show servers") if r["database"] == "bad"], 3)


def test_many_parameters(bad):
    """Goal: a server that reports thousands of parameters, or huge ones, cannot fill the memory."""
    flood = b"".join(status(f"made_up_{i}", "v" * 1000) for i in range(3000))
    s = bad(lambda c: (c.startup(), c.send(AUTH_OK, flood, KEY, READY), c.serve()))
    before = s.rss_kb()
    raw = s.socket(5)
    raw.start(database="bad")
    try:
        raw.first_answer()
    except Closed:
        pass
    s.serves()
    assert s.rss_kb() - before < 32 * 1024
    s = bad(after_login(lambda c: c.send(flood * 3, ANSWER)))
    raw = s.raw(database="bad")
    raw.send(query("select 1"))
    try:
        raw.ready()
    except (Closed, ServerError):
        pass
    s.serves()
    assert s.rss_kb() - before < 48 * 1024


def test_notices_while_idle(bad):
    """Goal: a server that talks while idle costs no memory; what it must not say ends it."""
    def script(c):
        c.startup()
        c.send(GREETING)
        time.sleep(0.3)
        for _ in range(200):
            c.send(message("N", b"SNOTICE\0C00000\0M" + b"x" * 10000 + b"\0\0"))
        time.sleep(0.3)
        c.send(row("nobody asked"))
        c.recv_until("X")

    s = bad(script, default_pool_size=1)
    raw = s.raw(database="bad")
    before = s.rss_kb()
    wait_until(lambda: not [r for r in s.admin("show servers") if r["database"] == "bad"], 3)
    assert s.rss_kb() - before < 8192
    s.serves()


def test_duplicate_statement(sluice):
    """Goal: 42P05, as PostgreSQL has it: a Parse of a name that is taken fails, the statement stays, whatever
    server it meets, and SQL's PREPARE and the protocol's names are apart."""
    s = sluice(default_pool_size=2)
    a, b = s.raw(), s.raw()
    assert kinds(a.ask(parse("s", "select 1"), SYNC)) == "1Z"
    for _ in range(3):
        msgs = a.ask(parse("s", "select 2"), bind("", "s"), execute(), SYNC)
        assert [m.sqlstate for m in msgs if m.kind == "E"] == ["42P05"]
        assert rawpg.rows(a.ask(bind("", "s"), execute(), SYNC)) == [["1"]]
        b.query("begin")  # whichever server it had: a gets the other one
        assert rawpg.rows(a.ask(bind("", "s"), execute(), SYNC)) == [["1"]]
        b.query("commit")
    assert kinds(b.ask(parse("s", "select 3"), bind("", "s"), execute(), SYNC)) == "12DCZ"
    msgs = a.ask(parse("t", "select 4"), SYNC, parse("t", "select 5"), SYNC)
    assert kinds(msgs + a.ready()) == "1ZEZ"
    assert rawpg.rows(a.ask(bind("", "t"), execute(), SYNC)) == [["4"]]
