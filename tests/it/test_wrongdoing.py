"""What a hostile or broken client can send.  After each attack the process lives and serves."""
import random
import socket
import ssl
import struct
import threading
import time

import pytest

import rawpg
from cluster import PASSWORDS, as_postgres, run, wait_until
from rawpg import (SYNC, Closed, ServerError, cstr, kinds, message, query, request,
                   startup_packet)

BEYOND = pytest.mark.beyond_pgbouncer
GOOD = PASSWORDS["app"]
LENGTHS = [0, 1, 3, 4, 5, 7, 8, 9, 10001, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC]


def answer(raw, wait=3.0):
    """What the peer says until it closes or `wait` seconds pass; never raises."""
    raw.sock.settimeout(wait)
    try:
        return raw.drain()
    except OSError:
        return raw.buf


def attack(s, *parts, wait=3.0):
    """Send bytes on a new connection; its answer."""
    raw = s.socket()
    try:
        raw.send(*parts)
        return answer(raw, wait)
    except (Closed, OSError):
        return b""
    finally:
        raw.close()


def attack_all(s, packets, wait):
    """Send each packet on a new connection, all at once; wait; vanish."""
    raws = []
    for packet in packets:
        raw = s.socket()
        raws.append(raw)
        try:
            raw.send(packet)
        except Closed:
            pass
    time.sleep(wait)
    for raw in raws:
        raw.reset()
        s.clients.remove(raw)


def lets_in(s):
    try:
        return s.login_error() is None
    except Closed:
        return False


def not_spinning(s):
    before = s.cpu_seconds()
    time.sleep(0.3)
    assert s.cpu_seconds() - before < 0.15, "the proxy spins"


@pytest.mark.parametrize("rest", [b"", struct.pack("!i", rawpg.V30),
                                  struct.pack("!i", rawpg.V30) + b"user\0app\0\0"],
                         ids=["bare", "version", "user"])
def test_startup_lengths(sluice, rest):
    """Goal: any length field of the first packet is refused or timed out; memory stays."""
    s = sluice(client_login_timeout=1)
    before = s.rss_kb()
    attack_all(s, [struct.pack("!I", length) + rest for length in LENGTHS], 0.3)
    assert s.rss_kb() - before < 8192
    s.serves()
    not_spinning(s)


@pytest.mark.parametrize("code", [rawpg.SSL_REQUEST, rawpg.CANCEL_REQUEST, rawpg.GSSENC_REQUEST])
def test_request_lengths(sluice, code):
    """Goal: SSLRequest, GSSENCRequest and CancelRequest of odd lengths do no harm."""
    s = sluice(client_login_timeout=1)
    attack_all(s, [struct.pack("!II", n, code) + bytes(min(n, 300))
                   for n in (0, 4, 7, 9, 12, 15, 17, 256, 0x7FFFFFFF, 0xFFFFFFFF)], 0.2)
    s.serves()
    not_spinning(s)


@pytest.mark.parametrize("kind", list("QPBDECSHFdcfXp") + ["@", "\0", "R"])
def test_message_lengths_after_login(sluice, pg, kind):
    """Goal: each message type with each length, after login and in a transaction."""
    s = sluice(default_pool_size=20)
    before, raws = s.rss_kb(), []
    for length in (0, 1, 3, 4, 5, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        for first in ("select 1", "begin"):
            raw = s.raw()
            raws.append(raw)
            raw.query(first)
            raw.send(kind.encode("latin1"), struct.pack("!I", length), b"\0" * 40)
    time.sleep(0.1)
    s.serves()
    assert s.rss_kb() - before < 8192
    for raw in raws:
        raw.close()
    wait_until(lambda: pg.backends("state like 'idle in transaction%'") == 0, 3)


@pytest.mark.parametrize("packet", [
    message("P", b"no end"), message("P", b"a\0no end"), message("P", b"a\0b\0"),
    message("P", b"a\0b\0\xff\xff"), message("P", b"a\0select 1\0\0\1"),
    message("B", b""), message("B", b"\0"), message("B", b"\0\0\xff\xff"),
    message("B", b"\0\0\0\0\xff\xff"), message("B", b"\0\0\0\0\0\1\x7f\xff\xff\xff"),
    message("B", b"\0\0\0\0\0\1\xff\xff\xff\xfe"), message("D", b""), message("D", b"Xa\0"),
    message("D", b"Sno end"), message("E", b""), message("E", b"\0"), message("E", b"\0\0\0\0\xff"),
    message("C", b""), message("C", b"Xa\0"), message("C", b"Sno end"), message("Q", b""),
    message("Q", b"no end"), message("Q", b"select 1\0select 2\0"), message("S", b"extra"),
    message("H", b"extra"), message("F", b""), message("F", b"\0\0\0\1\xff\xff"),
], ids=lambda p: repr(p[:1] + p[5:])[2:-1])
def test_malformed_messages(sluice, packet):
    """Goal: malformed bodies are an error of that client (as PostgreSQL's 08P01), no more."""
    s = sluice(default_pool_size=1)
    raw = s.raw()
    raw.query("select 1")
    raw.send(packet, SYNC)
    answer(raw, 0.05)
    raw.close()
    for _ in range(2):
        other = s.raw()
        assert kinds(other.query("select 1")) == "TDCZ"


@BEYOND
def test_unknown_message_type(sluice):
    """Goal: an unknown message type is FATAL 08P01 and the end of that connection."""
    raw = sluice().raw()
    raw.send(message("@", b"what"))
    assert raw.recv_until("E")[-1].sqlstate == "08P01"
    assert raw.drain() == b""


@pytest.mark.parametrize("length", [pytest.param(0xFFFFFFFF, marks=BEYOND),
                                    pytest.param(0xFFFFFFFE, marks=BEYOND), 0x80000000,
                                    0x7FFFFFFF, 1000, 0, 5])
def test_sasl_response_lengths(sluice, length):
    """Goal: SASLInitialResponse with a wrong inner length (CVE-2026-6664)."""
    s = sluice(auth_type="scram-sha-256", client_login_timeout=2)
    raw = s.socket()
    raw.start()
    raw.recv_until("R")
    raw.send(rawpg.sasl_initial(rawpg.Scram("x").first(), length=length))
    reply = answer(raw, 0.3)
    assert not reply.startswith(b"R\0\0\0\x08\0\0\0\0"), "logged in"
    s.serves()


@pytest.mark.parametrize("body", [
    b"", b"\0", b"SCRAM-SHA-256", b"SCRAM-SHA-256\0", b"SCRAM-SHA-256\0\0\0\0\4n,,n",
    b"SCRAM-SHA-256\0\0\0\0\3n,,", b"SCRAM-SHA-256\0\0\0\0\x0an,,n=,r=,x",
    b"SCRAM-SHA-256\0\0\0\0\x08p=x,,n=,", b"SCRAM-SHA-256\0\0\0\0\x0cn,a=b,n=,r=\xff",
    b"SCRAM-SHA-256\0\0\0\0\x0en,,m=1,n=,r=ab", b"SCRAM-SHA-256\0\0\0\x27\x10" + b"n,,n=,r=" + b"x" * 9992,
], ids=lambda b: repr(b[:34])[2:-1])
def test_sasl_initial_garbage(sluice, body):
    """Goal: garbage instead of a client-first message."""
    s = sluice(auth_type="scram-sha-256", client_login_timeout=2)
    raw = s.socket()
    raw.start()
    raw.recv_until("R")
    raw.send(message("p", body))
    assert b"R\0\0\0\x08\0\0\0\0" not in answer(raw, 0.3)
    s.serves()


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
@pytest.mark.parametrize("size", [0, 1, 100, 100000])
def test_password_sizes(sluice, auth_type, size):
    """Goal: PasswordMessages of any size, with and without their end, are a refusal."""
    s = sluice(auth_type=auth_type, client_login_timeout=2)
    for end in (b"", b"\0"):
        raw = s.socket()
        raw.start()
        raw.recv_until("R")
        try:
            raw.send(message("p", b"x" * size + end))
            assert b"R\0\0\0\x08\0\0\0\0" not in answer(raw, 0.3)
        except Closed:
            pass
    s.serves()


@pytest.mark.parametrize("code", [rawpg.SSL_REQUEST, rawpg.GSSENC_REQUEST])
def test_bytes_ahead_of_tls(sluice, pg, certs, code):
    """Goal: plaintext sent along with SSLRequest is never taken as if it came encrypted."""
    s = sluice(client_tls_sslmode="require", client_tls_cert_file=certs.crt("server"),
               client_tls_key_file=certs.key("server"), client_login_timeout=1)
    reply = attack(s, request(code), startup_packet({"user": "app", "database": "app"}),
                   query("select 'injected'"), wait=1.5)
    assert b"injected" not in reply and b"Z\0\0\0\5" not in reply
    if code == rawpg.SSL_REQUEST:
        raw = s.socket()
        raw.send(request(code), b"\x51\0\0\0\x08abc\0")
        with pytest.raises((OSError, Closed, AssertionError)):
            raw.read(1)
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
            c.wrap_socket(raw.sock)
    raw = s.socket()
    assert raw.tls()
    raw.login()


OPTIONS = ["-c =", "-c=", "--=", "-c ", "-c", "-c x", "--", "-", "-c =5", "-c a=", "\\", "-c a=\\",
           " ", "-c -c a=b", "-x", "x" * 9000, "-c " * 2000, "-c work_mem", "=", "-c a==b"]


@BEYOND
@pytest.mark.parametrize("ignored", ["", "options"])
def test_odd_options(sluice, ignored):
    """Goal: odd `options` are accepted or refused at once (CVE-2026-107349 spins for ever)."""
    s = sluice(ignore_startup_parameters=ignored)
    for options in OPTIONS:
        raw = s.socket()
        t = time.monotonic()
        raw.start(options=options)
        assert raw.first_answer().kind in "DE"
        assert time.monotonic() - t < 2, options[:20]
        raw.close()
        s.serves(2)
    not_spinning(s)


@pytest.mark.parametrize("length", [63, 64, 65, 128, 1000, 9000])
def test_long_names(sluice, length):
    """Goal: long database and user names with * configured are refused (CVE-2012-4575)."""
    s = sluice(entries={"*": dict(dbname="app")}, auth_type="scram-sha-256")
    attack_all(s, [startup_packet(params) for params in (
        {"user": "app", "database": "d" * length}, {"user": "u" * length},
        {"user": "app", "database": "app", "application_name": "a" * length},
        {"user": "app", "database": "app", "x" * length: "1"})], 0.1)
    s.serves()


def test_messages_before_startup(sluice):
    """Goal: no message before the StartupMessage does harm (CVE-2015-4054)."""
    s = sluice(client_login_timeout=1)
    for kind in "pQPBDECSHFdcfX@":
        attack_all(s, [message(kind, b"secret\0")], 0.02)
        s.serves()


ODD_STARTUPS = [
    startup_packet({}), startup_packet({"database": "app"}), startup_packet({"user": ""}),
    startup_packet({"user": "app", "": "x"}),
    struct.pack("!ii", 17, rawpg.V30) + b"user\0app\0",
    struct.pack("!ii", 16, rawpg.V30) + b"user\0app",
    struct.pack("!ii", 13, rawpg.V30) + b"user\0",
    struct.pack("!ii", 22, rawpg.V30) + b"user\0app\0\0junk",
    struct.pack("!ii", 27, rawpg.V30) + b"user\0app\0user\0app2\0",
    struct.pack("!ii", 8, 0), struct.pack("!ii", 8, -1), struct.pack("!ii", 8, 80877105),
    struct.pack("!ii", 8, rawpg.V30), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" * 100,
    b"\0" * 1000, b"\xff" * 1000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def test_odd_startup_packets(sluice):
    """Goal: startup packets without user, without end, of other protocols."""
    s = sluice(client_login_timeout=1, entries={"*": dict(dbname="app")})
    for packet in ODD_STARTUPS:
        attack_all(s, [packet] * 3, 0.02)
        s.serves()
    not_spinning(s)


@pytest.mark.parametrize("database", ["nowhere", "app"])
@pytest.mark.parametrize("second", [
    startup_packet({"user": "app2", "database": "app"}), query("select current_user"), SYNC,
    message("d", b"x"), message("X"), message("R", b"\0\0\0\0"), request(rawpg.SSL_REQUEST),
], ids=["startup", "query", "sync", "copy", "terminate", "ok", "ssl"])
def test_other_messages_during_scram(sluice, database, second):
    """Goal: during a login only its own message advances (CVE-2026-107350)."""
    s = sluice(auth_type="scram-sha-256", client_login_timeout=1)
    for step in (0, 1):
        raw, scram = s.socket(), rawpg.Scram(GOOD)
        raw.start("app", database)
        raw.recv_until("R")
        reply = b""
        try:
            if step:
                raw.send(rawpg.sasl_initial(scram.first()))
                first = raw.recv_until("R")[-1].body[4:]
                raw.send(second, message("p", scram.final(first)))
            else:
                raw.send(second, rawpg.sasl_initial(scram.first()))
            raw.send(query("select current_user"))
            reply = answer(raw, 1.4)
        except (Closed, OSError):
            pass
        assert b"R\0\0\0\x08\0\0\0\0" not in reply and b"Z\0\0\0\5" not in reply
    s.serves()


def test_query_ahead_of_authentication(sluice):
    """Goal: a query sent before the login is complete is not executed by it."""
    s = sluice(auth_type="plain", client_login_timeout=1)
    raw = s.socket()
    raw.start()
    raw.send(query("select 'early'"), message("p", cstr("wrong")), query("select 'late'"))
    reply = answer(raw, 2)
    assert b"early" not in reply and b"late" not in reply


@BEYOND
def test_byte_by_byte(sluice):
    """Goal: a client that sends each byte alone is served like any other."""
    raw = sluice().socket()
    packet = startup_packet({"user": "app", "database": "app"})
    for byte in packet:
        raw.send(bytes([byte]))
        time.sleep(0.001)
    raw.ready()
    for byte in query("select 'slow'") + rawpg.parse("", "select 1") + SYNC:
        raw.send(bytes([byte]))
    assert kinds(raw.ready(2)) == "TDCZ1Z"


@BEYOND
def test_silent_sockets_do_not_lock_out(sluice):
    """Goal: silent sockets and stalled logins beyond every limit leave room for a real login."""
    s = sluice(max_client_conn=20, max_login_connections=10, tcp_defer_accept=0,
               auth_type="scram-sha-256")
    silent = [s.socket() for _ in range(40)]
    s.serves(2)
    for raw in silent[:20]:
        try:
            raw.start()
        except Closed:
            pass
    half = [s.socket() for _ in range(20)]
    for raw in half:
        try:
            raw.send(startup_packet({"user": "app", "database": "app"})[:9])
        except Closed:
            pass
    for _ in range(5):
        s.serves(2)


@BEYOND
def test_silent_sockets_are_capped(sluice):
    """Goal: at most max_login_connections (and a few) sockets wait for their login at a time."""
    s = sluice(max_login_connections=10, tcp_defer_accept=0)
    before = s.fds()
    for _ in range(60):
        s.socket()
    time.sleep(0.5)
    assert s.fds() - before <= 16
    s.serves(2)


@BEYOND
def test_silent_sockets_with_default_limits(sluice):
    """Goal: the same holds without any limit being configured."""
    s = sluice(max_client_conn=30, tcp_defer_accept=0)
    for _ in range(100):
        s.socket()
    for _ in range(3):
        s.serves(2)


@BEYOND
def test_real_clients_survive_a_flood(sluice):
    """Goal: logged-in clients are neither dropped nor delayed by a flood of silent sockets."""
    s = sluice(max_client_conn=30, max_login_connections=5, tcp_defer_accept=0)
    clients = [s.raw() for _ in range(10)]
    for _ in range(50):
        s.socket()
    for c in clients:
        t = time.monotonic()
        assert c.one("select 1") == "1"
        assert time.monotonic() - t < 1


@pytest.mark.slow
def test_disconnect_and_cancel_storm(sluice, pg):
    """Goal: random cancels and disconnects (PgBouncer's fatal()s of 1.18-1.21)."""
    s = sluice(default_pool_size=3)
    end = time.monotonic() + 4
    failures = []

    def storm(seed):
        rng = random.Random(seed)
        while time.monotonic() < end:
            raw = rawpg.Raw(s.addr, 5)
            try:
                raw.login()
                raw.send(query(rng.choice(["select pg_sleep(0.02)", "begin", "select 1"])))
                for _ in range(rng.randint(0, 3)):
                    other = rawpg.Raw(s.addr, 5)
                    other.send(raw.cancel_packet())
                    other.reset() if rng.random() < 0.5 else other.close()
                if rng.random() < 0.5:
                    raw.ready()
            except (Closed, ServerError):
                pass
            except OSError as e:
                failures.append(repr(e))
            raw.reset() if rng.random() < 0.5 else raw.close()

    threads = [threading.Thread(target=storm, args=(i,), daemon=True) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
        assert not t.is_alive()
    assert not [f for f in failures if "timed out" in f.lower()], failures
    s.serves()
    wait_until(lambda: pg.backends("state <> 'idle'") == 0, 5)


def test_flood_of_syncs(sluice):
    """Goal: 200,000 Syncs sent ahead are all answered, in bounded memory."""
    s = sluice()
    raw = s.raw(timeout=25)
    before = s.rss_kb()
    n = 200000
    sender = threading.Thread(target=raw.send, args=(SYNC * n,), daemon=True)
    sender.start()
    got = 0
    while got < n * 6:
        data = raw.sock.recv(1 << 18)
        assert data and set(data) <= set(b"Z\0\0\0\5I")
        got += len(data)
    sender.join(5)
    assert got == n * 6 and s.rss_kb() - before < 32 * 1024
    assert raw.one("select 1") == "1"


@BEYOND
@pytest.mark.parametrize("request_", [SYNC, rawpg.parse("", "select 1") + SYNC,
                                      query("select 1"), rawpg.close("S", "x") + SYNC],
                         ids=["sync", "parse", "query", "close"])
def test_flood_without_reading(sluice, request_):
    """Goal: a client that only sends is stopped by back-pressure, not by the proxy's memory."""
    s = sluice(default_pool_size=2)
    raw = s.raw()
    before = s.rss_kb()
    raw.sock.settimeout(0.5)
    end = time.monotonic() + 2
    sent = 0
    try:
        while time.monotonic() < end:
            sent += raw.sock.send(request_ * 5000)
    except OSError:
        pass
    assert s.rss_kb() - before < 48 * 1024, f"after {sent} bytes"
    s.serves()
    raw.reset()
    s.serves()


@BEYOND
def test_out_of_descriptors(sluice):
    """Goal: with no descriptor left the proxy sheds load at once and recovers at once."""
    s = sluice(tcp_defer_accept=0)
    client = s.raw()
    assert client.one("select 1") == "1"
    limit = s.fds() + 6
    run(as_postgres(["prlimit", f"--pid={s.pid}", f"--nofile={limit}:{limit}"]))
    flood = [s.socket() for _ in range(40)]
    t = time.monotonic()
    for _ in range(20):
        assert client.one("select 1") == "1"
    assert time.monotonic() - t < 2
    not_spinning(s)
    for raw in flood:
        raw.close()
    wait_until(lambda: lets_in(s), 2, "a login right after the flood")


def test_huge_declared_query_is_not_allocated(sluice):
    """Goal: a declared length of 1 GB costs memory only for bytes that came."""
    s = sluice()
    before = s.rss_kb()
    held = []
    for kind in "QPBF":
        raw = s.raw()
        raw.send(kind.encode(), struct.pack("!i", 1 << 30), b"x" * 1000)
        held.append(raw)
    time.sleep(0.3)
    assert s.rss_kb() - before < 8192
    for raw in held:
        raw.reset()
    s.serves()


@BEYOND
def test_large_packet_limit(sluice):
    """Goal: a message above max_packet_size is refused with 54000 without reading it."""
    s = sluice(max_packet_size=100000)
    raw = s.raw()
    raw.send(b"Q", struct.pack("!i", 200000), b"select 1;")
    assert raw.recv_until("E")[-1].sqlstate == "54000"
    s.serves()


@BEYOND
@pytest.mark.soak
def test_rest_of_message_has_a_deadline(sluice):
    """Goal: a large message that stops half-way does not hold a server for ever."""
    s = sluice(default_pool_size=1)
    raw = s.raw()
    raw.send(b"Q", struct.pack("!i", 8 << 20), b"s" * (2 << 20))
    time.sleep(0.2)
    t = time.monotonic()
    assert s.raw(timeout=100).one("select 1") == "1"
    assert time.monotonic() - t < 90


def test_console_is_attacked_too(sluice):
    """Goal: the same bytes at the console's door."""
    s = sluice()
    for packet in (message("Q", b"no end"), message("P", b""), message("B", b"\xff" * 30),
                   b"Q\xff\xff\xff\xff", b"Q\0\0\0\0", message("@"), message("F", b"x"),
                   query("show " + "x" * 100000), query("show \0 version"), query(";" * 5000)):
        raw = s.console()
        raw.send(packet)
        answer(raw, 0.1)
        raw.close()
    assert s.admin("show version")


@BEYOND
def test_peer_bytes_are_not_copied_to_the_log(sluice):
    """Goal: control bytes of a client do not reach the log: no forged lines."""
    s = sluice()
    for name in ("evil\nLOG forged line", "evil\x1b[2J"):
        s.login_error(user=name)
        s.login_error(database=name)
        s.login_error(application_name=name)
    assert "\nLOG forged" not in s.log() and "\x1b" not in s.log()


@BEYOND
def test_no_secret_at_any_verbosity(sluice):
    """Goal: with verbose=3 logins of every method leave no secret in the log (checked at the end)."""
    for auth_type in ("plain", "md5", "scram-sha-256"):
        s = sluice(auth_type=auth_type, verbose=3,
                   entries={"forced": dict(user="app2", password=PASSWORDS["app2"])})
        s.raw(password=GOOD).one("select 1")
        s.raw(database="forced", password=GOOD).one("select 1")
        s.login_error(password="it-Zq81-wrong")
        s.reload()
        time.sleep(0.2)
        assert "it-Zq81" not in s.log()


def test_random_bytes(sluice):
    """Goal: random bytes after each stage of a connection (a small fuzz with a fixed seed)."""
    s = sluice(client_login_timeout=2)
    rng = random.Random(11)
    for n in range(150):
        raw = s.socket(2)
        try:
            if n % 3 == 1:
                raw.login()
            elif n % 3 == 2:
                raw.login()
                raw.query("begin")
            raw.send(rng.randbytes(rng.choice([1, 5, 20, 300, 5000])))
        except Closed:
            pass
        raw.reset()
        s.clients.remove(raw)
    s.serves()


def test_half_open_shutdown(sluice):
    """Goal: a client that shuts its sending side down still gets its answer, or a clean end."""
    s = sluice()
    raw = s.raw()
    raw.send(query("select pg_sleep(0.1)"))
    raw.sock.shutdown(socket.SHUT_WR)
    answer(raw, 3)
    s.serves()
