"""Faults that a hostile review found once: each had broken isolation, a worker or the process."""
import signal
import socket
import ssl
import time

import pytest

from cluster import PASSWORDS
from rawpg import (SSL_REQUEST, SYNC, bind, execute, kinds, message, parse, query, request, rows,
                   startup_packet)
from test_tls import tls

pytestmark = pytest.mark.beyond_pgbouncer


def test_part_of_a_tls_record_costs_no_cpu(sluice, certs):
    """Goal: a TLS record of which only a part arrives does not make its worker spin."""
    s = sluice(**tls(certs, "prefer"), workers=1)
    raw = s.socket()
    raw.tls()
    raw.login("app", "app")
    with socket.socket(fileno=raw.sock.detach()) as plain:
        plain.send(b"\x17\x03\x03\x01\x00abc")
        time.sleep(0.3)
        before = s.cpu_seconds()
        time.sleep(1)
        s.serves(3)
        assert s.cpu_seconds() - before < 0.4


def test_login_timeout_in_a_tls_handshake(sluice, certs):
    """Goal: the second half of a ClientHello that comes after client_login_timeout finds the process alive."""
    s = sluice(**tls(certs, "prefer"), client_login_timeout=1, workers=1)
    raw = s.socket()
    raw.send(request(SSL_REQUEST))
    assert raw.read(1) == b"S"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    hello = out.read()
    raw.send(hello[:50])
    time.sleep(1.3)
    try:
        raw.send(hello[50:])
    except OSError:
        pass
    time.sleep(0.3)
    assert s.alive()
    s.serves()


@pytest.mark.parametrize("queries", [["set lock_timeout='5s'", "begin"],
                                     ["begin; set lock_timeout='5s'; commit; begin"]])
def test_client_leaves_behind_a_set(sluice, queries):
    """Goal: a client that disconnects right behind a SET, in the next transaction, leaves nothing of it."""
    s = sluice(default_pool_size=1)
    a = s.raw()
    a.send(*[query(q) for q in queries])
    a.ready(len(queries))
    a.close()
    time.sleep(0.3)
    assert s.raw().one("show lock_timeout") == "0"


@pytest.mark.parametrize("sql", ["select set_config('app.tenant', 'blue', false)",
                                 "select 1; set app.tenant = 'blue'",
                                 "select '" + "x" * 3000000 + "' limit 0; "
                                 "select set_config('app.tenant', 'blue', false)"],
                         ids=["function", "second", "far behind"])
def test_custom_parameter_of_an_unseen_name(sluice, sql):
    """Goal: a custom parameter that is set where its name is not seen does not reach the next client."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query(sql)
    assert (b.one("select current_setting('app.tenant', true)") or "") == ""


def test_temp_table_behind_discard_all(sluice):
    """Goal: DISCARD ALL with a CREATE TEMP TABLE pipelined behind it does not give the table away."""
    s = sluice(default_pool_size=1)
    a = s.raw()
    a.send(query("discard all"), query("create temp table leaky()"))
    a.ready(2)
    b = s.raw(timeout=2)
    try:
        assert b.one("select to_regclass('pg_temp.leaky') is null") == "t"
    except TimeoutError:
        pass  # the session is pinned, as it should be


def test_session_authorization_stays(sluice, pg):
    """Goal: SET SESSION AUTHORIZATION neither reaches another client nor is lost."""
    pg.query("drop role if exists leak_auth")
    pg.query("create role leak_auth")
    pg.query("drop role if exists leak_su")
    pg.query("create role leak_su superuser login password 'it-Zq81-su'")
    s = sluice(default_pool_size=2, users={**PASSWORDS, "leak_su": "it-Zq81-su"})
    a, b = s.raw("leak_su"), s.raw("leak_su")
    a.query("set session authorization leak_auth")
    assert b.one("select session_user") == "leak_su"
    assert a.one("select session_user") == "leak_auth"


def test_waiter_that_leaves_unblocks(sluice):
    """Goal: a pool whose only waiter for a shared limit left does not make the others close servers."""
    s = sluice(default_pool_size=5, max_db_connections=1)
    a, b = s.raw("app"), s.raw("app2")
    a.query("begin")
    b.send(query("select 1"))
    time.sleep(0.2)
    b.close()
    time.sleep(0.2)
    a.query("commit")
    assert len({a.one("select pg_backend_pid()") for _ in range(10)}) <= 2


def test_made_up_answer_of_a_refused_client(sluice):
    """Goal: an answer made up for a client that is refused meanwhile reaches nobody."""
    s = sluice(default_pool_size=1)
    a, b, c, o = s.raw(), s.raw(), s.raw(), s.raw(database="other")
    known = parse("p", "select 42")
    for raw in (a, o):
        raw.ask(known, bind("", "p"), execute(), SYNC)
    c.query("begin")
    a.close()
    s.raw().send(known + message("~"))
    time.sleep(0.1)
    b.send(query("select 9"))
    time.sleep(0.1)
    c.query("commit")
    assert kinds(b.ready()) == "TDCZ"


def test_copy_data_behind_an_error(sluice):
    """Goal: CopyData that still comes when a COPY has failed does not keep the server."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw(timeout=3)
    a.query("create table if not exists cp(x int)")
    a.send(query("copy cp from stdin"))
    a.recv_until("G")
    rows = message("d", b"1\n" * 2000000)
    a.send(message("d", b"bad\n"), rows[:3000000])
    a.ready()
    time.sleep(0.2)
    a.send(rows[3000000:])
    time.sleep(0.2)
    assert b.one("select 8") == "8"


def test_shutdown_ends_pinned_sessions(sluice):
    """Goal: SIGINT ends idle pinned clients, and a busy one as soon as its transaction is over."""
    s = sluice()
    a, b = s.raw(), s.raw()
    a.query("listen x")
    b.query("begin")
    s.dead_ok = True
    s.kill(signal.SIGINT)
    time.sleep(0.3)
    b.send(query("set lock_timeout='3s'"), query("commit"))
    assert s.wait_exit(5) == 0
    s.proc = None


def test_pause_covers_new_databases(sluice):
    """Goal: PAUSE of everything holds for a database that the fallback makes afterwards."""
    s = sluice(entries={"*": {"dbname": "app"}})
    console = s.console()
    console.query("pause")
    late = s.socket()
    late.send(startup_packet({"user": "app", "database": "never_seen_before"}))
    with pytest.raises(TimeoutError):
        late.sock.settimeout(0.7)
        late.ready()
    console.query("resume")
    late.sock.settimeout(10)
    late.ready()
    assert late.one("select 1") == "1"


def test_console_command_with_the_password(sluice):
    """Goal: a console command that arrives together with the password is answered without another byte."""
    s = sluice(auth_type="plain")
    s.console().close()
    raw = s.socket(timeout=5)
    raw.send(startup_packet({"user": "admin", "database": "pgbouncer"})
             + message("p", PASSWORDS["admin"].encode() + b"\0") + query("show version"))
    raw.ready()
    assert "pgsluice" in str(rows(raw.ready()))
