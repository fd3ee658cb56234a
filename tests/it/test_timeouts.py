"""Every timeout: what it ends, what it says, what it leaves alone."""
import socket
import time

import pytest

import rawpg
from cluster import wait_until
from rawpg import SYNC, Closed, bind, execute, parse
from sluice import outcome

BEYOND = pytest.mark.beyond_pgbouncer
PID = "select pg_backend_pid()"
pytestmark = pytest.mark.slow


def ended(raw, low=0.5, high=4.0):
    """Wait until the peer ends `raw`; returns the last ErrorResponse or None."""
    t, error = time.monotonic(), None
    try:
        while True:
            m = raw.recv()
            if m.kind == "E":
                error = m
    except Closed:
        pass
    assert low < time.monotonic() - t < high
    return error


def test_query_wait_timeout(sluice):
    """Goal: a client that waits longer than query_wait_timeout is told so."""
    s = sluice(default_pool_size=1, query_wait_timeout=1)
    a, b = s.raw(), s.raw()
    a.query("begin")
    t = time.monotonic()
    b.send(rawpg.query("select 2"))
    m = b.recv()
    assert m.kind == "E" and "query_wait_timeout" in m.fields["M"]
    assert 0.6 < time.monotonic() - t < 3.5
    assert a.one("select 1") == "1"


@BEYOND
def test_query_wait_timeout_sqlstate(sluice):
    """Goal: waiting too long is 53300, so that clients know to try again."""
    s = sluice(default_pool_size=1, query_wait_timeout=1)
    a, b = s.raw(), s.raw()
    a.query("begin")
    b.send(rawpg.query("select 2"))
    assert outcome(b) == ("E", "53300")


def test_server_lifetime(sluice):
    """Goal: a server older than server_lifetime is replaced when it is free."""
    s = sluice(default_pool_size=1, server_lifetime=1)
    raw = s.raw()
    first = raw.one(PID)
    raw.query("begin")
    pid = raw.one(PID)
    time.sleep(2)
    assert raw.one(PID) == pid, "not while it is in use"
    raw.query("commit")
    wait_until(lambda: raw.one(PID) not in (first, pid), 4, "a new server")


def test_server_idle_timeout(sluice, pg):
    """Goal: idle servers are closed after server_idle_timeout."""
    s = sluice(default_pool_size=3, server_idle_timeout=1)
    clients = [s.raw() for _ in range(3)]
    for c in clients:
        c.query("begin")
    for c in clients:
        c.query("commit")
    assert pg.backends() == 3
    wait_until(lambda: pg.backends() == 0, 5)
    assert clients[0].one("select 1") == "1"


def test_server_idle_timeout_keeps_minimum(sluice, pg):
    """Goal: min_pool_size servers survive server_idle_timeout."""
    s = sluice(default_pool_size=3, min_pool_size=1, server_idle_timeout=1)
    clients = [s.raw() for _ in range(3)]
    for c in clients:
        c.query("begin")
    for c in clients:
        c.query("commit")
    wait_until(lambda: pg.backends() == 1, 5)
    time.sleep(1.5)
    assert pg.backends() == 1


def test_idle_transaction_timeout(sluice, pg):
    """Goal: an idle transaction is ended, its client told, its work undone."""
    s = sluice(default_pool_size=1, idle_transaction_timeout=1)
    pg.query("drop table if exists idle_tx; create table idle_tx (n int)", dbname="app", user="app")
    raw = s.raw()
    raw.query("begin; insert into idle_tx values (1)")
    error = ended(raw)
    assert "idle" in error.fields["M"]
    s.serves()
    assert pg.one("select count(*) from idle_tx", dbname="app") == 0
    assert pg.backends("state like 'idle in transaction%'") == 0


@BEYOND
def test_idle_transaction_timeout_sqlstate(sluice):
    """Goal: it is PostgreSQL's own 25P03."""
    raw = sluice(idle_transaction_timeout=1).raw()
    raw.query("begin")
    assert ended(raw).sqlstate == "25P03"


@BEYOND
def test_idle_transaction_timeout_spares_the_busy(sluice):
    """Goal: a transaction whose statements run long is not idle."""
    raw = sluice(idle_transaction_timeout=1).raw()
    raw.query("begin")
    for _ in range(3):
        assert raw.query("select pg_sleep(0.7)")[-1].kind == "Z"
    raw.query("commit")
    assert raw.status == "I"
    time.sleep(1.6)
    assert raw.one("select 1") == "1"


@BEYOND
def test_transaction_timeout(sluice, pg):
    """Goal: a transaction longer than transaction_timeout is ended though it is busy."""
    s = sluice(default_pool_size=1, transaction_timeout=1)
    raw = s.raw()
    raw.query("begin")
    t = time.monotonic()
    error = None
    try:
        while time.monotonic() - t < 5:
            for m in raw.query("select pg_sleep(0.1)"):
                error = m if m.kind == "E" else error
            assert error is None or error.sqlstate == "25P04"
    except rawpg.ServerError as e:
        assert e.sqlstate == "25P04"
    except Closed:
        pass
    assert time.monotonic() - t < 3.5
    s.serves()
    wait_until(lambda: pg.backends("state <> 'idle'") == 0, 3)


@BEYOND
def test_transaction_timeout_sqlstate(sluice):
    """Goal: the client of an overlong transaction reads 25P04."""
    raw = sluice(transaction_timeout=1).raw()
    raw.query("begin")
    assert ended(raw).sqlstate == "25P04"


def test_query_timeout(sluice, pg):
    """Goal: a query longer than query_timeout ends, on the server too."""
    s = sluice(default_pool_size=1, query_timeout=1)
    raw = s.raw()
    t = time.monotonic()
    raw.send(rawpg.query("select pg_sleep(20)"))
    while True:
        try:
            m = raw.recv()
        except Closed:
            break
        if m.kind == "E":
            break
    assert 0.6 < time.monotonic() - t < 4
    s.serves()


@BEYOND
def test_query_timeout_cancels_on_the_server(sluice, pg):
    """Goal: query_timeout is 57014 and the server stops working on it."""
    s = sluice(query_timeout=1)
    raw = s.raw()
    raw.send(rawpg.query("select pg_sleep(20)"))
    assert outcome(raw) == ("E", "57014")
    wait_until(lambda: pg.backends("state = 'active'") == 0, 2)


@BEYOND
def test_query_timeout_of_user(sluice):
    """Goal: query_timeout in [users] holds for that user only."""
    s = sluice(user_settings={"app": "query_timeout=1"})
    a, b = s.raw(), s.raw("app2")
    for c in (a, b):
        c.send(rawpg.query("select pg_sleep(2)"))
    assert outcome(a) == ("E", "57014")
    assert rawpg.kinds(b.ready()) == "TDCZ"


def test_client_idle_timeout(sluice):
    """Goal: a client that asks nothing is disconnected; one that asks stays."""
    s = sluice(client_idle_timeout=1)
    idle, busy = s.raw(), s.raw()
    t = time.monotonic()
    while time.monotonic() - t < 2.5:
        assert busy.one("select 1") == "1"
        time.sleep(0.2)
    assert "idle" in ended(idle, low=-1).fields["M"]


@BEYOND
def test_client_idle_timeout_sqlstate(sluice):
    """Goal: the idle client reads 57P05 and 'idle' is not a transaction in progress."""
    assert ended(sluice(client_idle_timeout=1).raw()).sqlstate == "57P05"


@pytest.mark.parametrize("stage", [
    "silent", pytest.param("half a startup", marks=BEYOND), "password asked"])
def test_client_login_timeout(sluice, stage):
    """Goal: a login that stands still at any stage is ended after client_login_timeout."""
    s = sluice(client_login_timeout=1, auth_type="scram-sha-256")
    raw = s.socket()
    if stage == "half a startup":
        raw.send(rawpg.startup_packet({"user": "app", "database": "app"})[:-5])
    elif stage == "password asked":
        raw.start()
        raw.recv_until("R")
    t = time.monotonic()
    raw.drain()
    assert 0.4 < time.monotonic() - t < 4


@BEYOND
def test_client_login_timeout_in_tls(sluice, certs):
    """Goal: a TLS handshake that stands still is ended too."""
    s = sluice(client_login_timeout=1, client_tls_sslmode="require",
               client_tls_cert_file=certs.crt("server"), client_tls_key_file=certs.key("server"))
    raw = s.socket()
    raw.send(rawpg.request(rawpg.SSL_REQUEST))
    assert raw.read(1) == b"S"
    t = time.monotonic()
    raw.drain()
    assert 0.4 < time.monotonic() - t < 4


@BEYOND
def test_login_timeout_is_total(sluice):
    """Goal: one byte now and then does not stretch a login (slow-loris)."""
    s = sluice(client_login_timeout=1)
    raw = s.socket()
    packet = rawpg.startup_packet({"user": "app", "database": "app", "application_name": "x" * 50})
    t = time.monotonic()
    with pytest.raises((Closed, ConnectionError)):
        for byte in packet[:-1]:
            raw.send(bytes([byte]))
            raw.sock.settimeout(0.2)
            try:
                raw._fill()
            except TimeoutError:
                pass
    assert time.monotonic() - t < 4


def test_server_that_never_answers(sluice):
    """Goal: a server that accepts and is silent costs its clients a bounded time, with an error."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        s = sluice(server_connect_timeout=1, query_wait_timeout=3, server_login_retry=1,
                   entries={"hole": dict(port=hole.getsockname()[1])})
        raw = s.socket()
        t = time.monotonic()
        raw.start(database="hole")
        assert raw.first_answer().fields["M"]
        assert time.monotonic() - t < 6
        s.serves()


def test_query_timeout_spares_the_short(sluice):
    """Goal: many short statements under query_timeout are left alone, in pipelines as well."""
    raw = sluice(query_timeout=1, default_pool_size=1).raw()
    t = time.monotonic()
    while time.monotonic() - t < 2:
        raw.ask(parse("", "select pg_sleep(0.1)"), bind("", ""), execute(), SYNC)
    assert raw.one("select 1") == "1"


@BEYOND
def test_query_wait_notify(sluice):
    """Goal: who waits longer than query_wait_notify gets a NOTICE that says so."""
    s = sluice(default_pool_size=1, query_wait_notify=1)
    a, b = s.raw(), s.raw()
    a.query("begin")
    t = time.monotonic()
    b.send(rawpg.query("select 2"))
    assert b.recv().kind == "N" and 0.6 < time.monotonic() - t < 3
    a.query("commit")
    assert rawpg.rows(b.ready()) == [["2"]]
