"""Cancel requests: they hit the query they are meant for, or nothing."""
import struct
import threading
import time

import psycopg
import pytest

import rawpg
from cluster import wait_until
from rawpg import errors, kinds, query, request

BEYOND = pytest.mark.beyond_pgbouncer


def test_cancel_running_query(sluice, pg):
    """Goal: a driver's cancel ends the running query with 57014; the connection is usable."""
    s = sluice(default_pool_size=1)
    conn = s.connect()
    timer = threading.Timer(0.3, conn.cancel)
    timer.start()
    t = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        conn.execute("select pg_sleep(20)")
    timer.join()
    assert time.monotonic() - t < 3
    assert conn.execute("select 1").fetchone() == (1,)
    assert pg.backends("state = 'active'") == 0


def test_cancel_in_transaction(sluice):
    """Goal: a cancel inside a transaction aborts it, no more."""
    s = sluice(default_pool_size=1)
    raw = s.raw()
    raw.query("begin")
    raw.send(query("select pg_sleep(20)"))
    time.sleep(0.2)
    raw.cancel()
    assert errors(raw.ready()) == ["57014"] and raw.status == "E"
    raw.query("rollback")
    assert raw.one("select 1") == "1"


def test_cancel_connection_is_closed_without_words(sluice):
    """Goal: a cancel request gets no answer but the end of its connection."""
    raw = sluice().raw()
    raw.query("begin")
    raw.one("select 1")
    assert rawpg.send_cancel(raw.addr, raw.cancel_packet()) == b""


@BEYOND
def test_cancel_while_queued(sluice, pg):
    """Goal: a cancel takes a waiting query out of the queue with 57014; it is never executed."""
    s = sluice(default_pool_size=1)
    pg.query("drop table if exists queued; create table queued (n int)", dbname="app", user="app")
    a, b = s.raw(), s.raw()
    a.query("begin")
    b.send(query("insert into queued values (1)"))
    time.sleep(0.2)
    t = time.monotonic()
    b.cancel()
    assert errors(b.ready()) == ["57014"] and b.status == "I"
    assert time.monotonic() - t < 1
    a.query("commit")
    assert b.one("select count(*) from queued") == "0"


@BEYOND
def test_cancel_while_queued_extended(sluice):
    """Goal: the same for a pipeline that waits: one error, one ReadyForQuery, then normal life."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("begin")
    b.send(rawpg.parse("", "select 1"), rawpg.bind("", ""), rawpg.execute(), rawpg.SYNC)
    time.sleep(0.2)
    b.cancel()
    assert kinds(b.ready()) == "EZ"
    a.query("commit")
    assert kinds(b.query("select 1")) == "TDCZ"


def test_cancel_of_idle_client(sluice):
    """Goal: a cancel for a client that runs nothing hits nobody."""
    s = sluice(default_pool_size=1)
    idle, busy = s.raw(), s.raw()
    idle.one("select 1")
    busy.send(query("select pg_sleep(0.5)"))
    for _ in range(5):
        idle.cancel()
    assert kinds(busy.ready()) == "TDCZ"
    assert idle.one("select 1") == "1"


@pytest.mark.parametrize("change", ["secret", "pid", "zero", "short", "long"])
def test_wrong_key_is_ignored(sluice, change):
    """Goal: a cancel with a wrong key does nothing and is not answered."""
    s = sluice()
    raw = s.raw()
    raw.send(query("select pg_sleep(0.6)"))
    pid, secret = struct.unpack("!II", raw.key[:8])
    body = {"secret": struct.pack("!II", pid, secret ^ 1), "pid": struct.pack("!II", pid ^ 1, secret),
            "zero": bytes(8), "short": raw.key[:4], "long": raw.key + b"x"}[change]
    assert rawpg.send_cancel(raw.addr, request(rawpg.CANCEL_REQUEST, body)) == b""
    assert kinds(raw.ready()) == "TDCZ"
    s.serves()


def test_cancel_over_tls(sluice, certs):
    """Goal: a cancel request inside TLS works."""
    s = sluice(client_tls_sslmode="require", client_tls_cert_file=certs.crt("server"),
               client_tls_key_file=certs.key("server"))
    raw = s.socket()
    assert raw.tls()
    raw.login()
    raw.send(query("select pg_sleep(20)"))
    time.sleep(0.2)
    other = s.socket()
    assert other.tls()
    other.send(raw.cancel_packet())
    assert errors(raw.ready()) == ["57014"]


@pytest.mark.parametrize("server_tls", [pytest.param("require", marks=BEYOND), "disable"])
def test_cancel_reaches_server(sluice, pg, server_tls):
    """Goal: the cancel works towards a server with and without TLS, in session mode too."""
    s = sluice(server_tls_sslmode=server_tls, pool_mode="session")
    raw = s.raw()
    raw.send(query("select pg_sleep(20)"))
    wait_until(lambda: pg.backends("state = 'active'") == 1, 3)
    raw.cancel()
    assert errors(raw.ready()) == ["57014"]


@BEYOND
def test_cancel_storm_hits_nobody_else(sluice, pg):
    """Goal: late cancels of quick clients never hit another client's query on the same server."""
    s = sluice(default_pool_size=3)
    stop, wrong, asked = threading.Event(), [], [0]

    def innocent():
        raw = rawpg.Raw(s.addr)
        raw.login()
        while not stop.is_set():
            wrong.extend(errors(raw.query("select pg_sleep(0.01)")))
            asked[0] += 1
        raw.close()

    def canceller():
        raw = rawpg.Raw(s.addr)
        raw.login()
        packet = raw.cancel_packet()
        while not stop.is_set():
            late = rawpg.Raw(s.addr)
            msgs = raw.query("select 1")
            if set(errors(msgs)) - {"57014"}:
                wrong.append(errors(msgs))
            late.send(packet)
            late.close()
        raw.close()

    threads = [threading.Thread(target=f, daemon=True) for f in [innocent] * 6 + [canceller] * 6]
    for t in threads:
        t.start()
    time.sleep(4)
    stop.set()
    for t in threads:
        t.join(10)
        assert not t.is_alive()
    assert wrong == [] and asked[0] > 100
    s.serves()


@BEYOND
def test_cancel_ahead_of_commit(sluice):
    """Goal: cancels that race with the query's end leave the connection in step."""
    s = sluice(default_pool_size=1)
    raw, other = s.raw(), s.raw()
    for n in range(40):
        raw.send(query("select pg_sleep(0.005)"))
        canceller = threading.Thread(target=raw.cancel, daemon=True)
        canceller.start()
        msgs = raw.ready()
        assert errors(msgs) in ([], ["57014"])
        assert other.one(f"select {n}") == str(n), "another client's query was hit"
        canceller.join(5)
        assert raw.one(f"select {n}") == str(n)


@BEYOND
def test_long_cancel_key(sluice):
    """Goal: protocol 3.2 gets a long key, which cancels; a cut one does not."""
    s = sluice()
    raw = s.raw(protocol=rawpg.V32)
    assert 8 < len(raw.key) <= 260
    raw.send(query("select pg_sleep(20)"))
    time.sleep(0.1)
    rawpg.send_cancel(s.addr, request(rawpg.CANCEL_REQUEST, raw.key[:8]))
    time.sleep(0.2)
    raw.cancel()
    t = time.monotonic()
    assert errors(raw.ready()) == ["57014"] and time.monotonic() - t < 2


@BEYOND
def test_keys_are_not_guessable(sluice):
    """Goal: cancel keys of successive clients share no pattern a client could use."""
    s = sluice()
    keys = [struct.unpack("!II", s.raw().key) for _ in range(30)]
    secrets = [k[1] for k in keys]
    assert len(set(secrets)) == 30
    assert len({b - a for a, b in zip(secrets, secrets[1:])}) > 25


@BEYOND
def test_cancel_with_every_server_down(sluice, pg2):
    """Goal: cancelling while the server is unreachable answers the waiting client at once."""
    s = sluice(cluster=pg2)
    raw = s.raw()
    raw.one("select 1")
    pg2.stop()
    raw.send(query("select 1"))
    time.sleep(0.3)
    raw.cancel()
    assert errors(raw.ready()) == ["57014"]
