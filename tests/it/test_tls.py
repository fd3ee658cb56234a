"""TLS on both sides: modes, certificates, channel binding, direct TLS, reload."""
import hashlib
import os
import shutil
import ssl
import time

import psycopg
import pytest

import rawpg
from cluster import BIN, PASSWORDS, run, wait_until
from rawpg import Closed, ServerError, rows

BEYOND = pytest.mark.beyond_pgbouncer
MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


def tls(certs, mode="require", name="server", **more):
    """Settings of a proxy that offers TLS."""
    return {"client_tls_sslmode": mode, "client_tls_cert_file": certs.crt(name),
            "client_tls_key_file": certs.key(name), "client_tls_ca_file": certs.crt("ca"), **more}


def context(certs, client=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.load_verify_locations(certs.crt("ca"))
    if client:
        c.load_cert_chain(certs.crt(client), certs.key(client))
    return c


def attempt(s, certs, client):
    """How a login ends: 'ok', 'no TLS' or 'refused'."""
    raw = s.socket()
    try:
        if client != "plain" and not raw.tls(context(certs, client)):
            return "no TLS"
        raw.login("app", "app", PASSWORDS["app"])
        return "ok" if raw.one("select 1") == "1" else "wrong"
    except (ServerError, Closed, ssl.SSLError, ConnectionError):
        return "refused"
    finally:
        raw.close()


@pytest.mark.parametrize("mode,want", [
    ("disable", ("ok", "no TLS", "no TLS", "no TLS")),
    ("allow", ("ok", "ok", "ok", None)),
    ("prefer", ("ok", "ok", "ok", None)),
    ("require", ("refused", "ok", "ok", None)),
    ("verify-ca", ("refused", "refused", "ok", "refused")),
    ("verify-full", ("refused", "refused", "ok", "refused")),
])
def test_client_modes(sluice, certs, mode, want):
    """Goal: each client_tls_sslmode lets in who it should: plain, TLS, certificate, stranger's."""
    s = sluice(**tls(certs, mode))
    clients = ("plain", None, "client-app", "client-stranger")
    for client, expected in zip(clients, want):
        if expected:
            assert attempt(s, certs, client) == expected, client


@BEYOND
def test_tls_required_sqlstate(sluice, certs):
    """Goal: a plain login where TLS is required is told 28000."""
    assert sluice(**tls(certs)).login_error().sqlstate == "28000"


@pytest.mark.parametrize("mode", MODES)
def test_psql_modes(sluice, certs, mode):
    """Goal: libpq with each of its sslmodes is content with the proxy's certificate."""
    s = sluice(**tls(certs, "prefer"))
    dsn = s.dsn(sslmode=mode, sslrootcert=certs.crt("ca"), host="localhost",
                hostaddr="127.0.0.1")
    assert run(["psql", "-XAtc", "select 42", dsn]).strip() == "42"


@pytest.mark.parametrize("mode,encrypted", zip(MODES, [False, None, True, True, True, True]))
def test_server_modes(sluice, pg, certs, mode, encrypted):
    """Goal: each server_tls_sslmode talks to PostgreSQL as it says."""
    s = sluice(server_tls_sslmode=mode, server_tls_ca_file=certs.crt("ca"))
    got = s.raw().one("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    assert encrypted is None or got == ("t" if encrypted else "f")


@pytest.mark.parametrize("mode,host,ca,works", [
    ("verify-ca", "127.0.0.1", "otherca", False),
    ("verify-full", "127.0.0.1", "otherca", False),
    ("verify-full", "localhost", "ca", True),
    ("verify-ca", "127.0.0.2", "ca", True),
    ("verify-full", "127.0.0.2", "ca", False),
])
def test_server_verification(sluice, certs, mode, host, ca, works):
    """Goal: a wrong CA or a wrong host name of the server is refused, with a reason."""
    s = sluice(server_tls_sslmode=mode, server_tls_ca_file=certs.crt(ca), query_wait_timeout=2,
               server_login_retry=1, entries={"app": dict(host=host)})
    raw = s.socket()
    raw.start()
    assert raw.first_answer().kind == ("D" if works else "E")


@BEYOND
def test_server_verification_names_the_reason(sluice, certs):
    """Goal: the client of a server with a bad certificate reads 08006 and 'certificate'."""
    s = sluice(server_tls_sslmode="verify-full", server_tls_ca_file=certs.crt("otherca"),
               query_wait_timeout=1, server_login_retry=1)
    raw = s.socket()
    raw.start()
    error = raw.first_answer()
    assert error.sqlstate in ("08006", "53300") and "certificate" in str(error.fields)


def test_bulk_over_tls_both_sides(sluice, certs):
    """Goal: 10 MB each way through TLS on both sides arrive unchanged."""
    s = sluice(**tls(certs), server_tls_sslmode="require")
    conn = s.connect(sslmode="require")
    text = os.urandom(1 << 20).hex() * 5
    digest, back = conn.execute("select md5(%s::text), %s::text", [text, text]).fetchone()
    assert digest == hashlib.md5(text.encode()).hexdigest() and back == text
    total = conn.execute("select sum(length(r)) from (select repeat('x', n % 3000) r "
                         "from generate_series(1, 10000) n) x").fetchone()
    cur = conn.execute("select repeat('x', n % 3000) from generate_series(1, 10000) n")
    assert sum(len(r[0]) for r in cur) == total[0]


def test_tls_records_of_all_sizes(sluice, certs):
    """Goal: pipelined requests whose records and messages do not coincide are all answered."""
    raw = sluice(**tls(certs)).socket()
    assert raw.tls()
    raw.login()
    packet = b"".join(rawpg.query(f"select {n}, repeat('y', {n * 53})") for n in range(300))
    for i in range(0, len(packet), 1777):
        raw.send(packet[i:i + 1777])
    got = [(int(r[0]), len(r[1])) for r in rows(raw.ready(300))]
    assert got == [(n, n * 53) for n in range(300)]


def test_slow_tls_reader(sluice, certs):
    """Goal: back-pressure through TLS: bounded memory, whole answer."""
    s = sluice(**tls(certs))
    raw = s.socket(20)
    assert raw.tls()
    raw.login()
    before = s.reset_peak()
    raw.send(rawpg.query("select repeat('x', 1000) from generate_series(1, 40000)"))
    time.sleep(0.7)
    assert s.rss_kb("VmHWM") - before < 24 * 1024
    assert sum(m.kind == "D" for m in raw.ready()) == 40000


def test_pgbench_over_tls(sluice, certs, pgbench_tables):
    """Goal: new TLS connections one after the other all work."""
    s = sluice(**tls(certs), default_pool_size=2)
    out = run([f"{BIN}/pgbench", "-n", "-S", "-C", "-c", "4", "-t", "10",
               s.dsn(sslmode="require")])
    assert "transactions actually processed: 40/40" in out


@BEYOND
def test_channel_binding(sluice, certs):
    """Goal: SCRAM-SHA-256-PLUS: libpq with channel_binding=require logs in."""
    s = sluice(**tls(certs), auth_type="scram-sha-256")
    conn = s.connect(password=PASSWORDS["app"], sslmode="require", channel_binding="require")
    assert conn.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        s.connect(password="wrong", sslmode="require", channel_binding="require")


@BEYOND
def test_plus_is_offered_over_tls_only(sluice, certs):
    """Goal: SCRAM-SHA-256-PLUS is offered inside TLS, not outside."""
    s = sluice(**tls(certs, "prefer"), auth_type="scram-sha-256")
    for encrypted in (True, False):
        raw = s.socket()
        assert not encrypted or raw.tls()
        raw.start()
        offer = raw.recv_until("R")[-1].body
        assert (b"SCRAM-SHA-256-PLUS" in offer) == encrypted
        raw.close()


@BEYOND
def test_channel_binding_downgrade(sluice, certs):
    """Goal: a client that believes PLUS was not offered ('y') is refused: somebody removed it."""
    s = sluice(**tls(certs), auth_type="scram-sha-256")
    raw = s.socket()
    assert raw.tls()
    raw.start()
    raw.recv_until("R")
    raw.send(rawpg.sasl_initial(b"y,,n=,r=abcdefghijklmnopqr"))
    assert raw.recv_until("E")[-1].sqlstate in ("28P01", "08P01", "28000")


def test_cert_auth(sluice, certs):
    """Goal: auth_type=cert logs in who the certificate names, nobody else."""
    s = sluice(**tls(certs, "verify-full"), auth_type="cert")
    for cert, user, works in (("client-app", "app", True), ("client-app2", "app2", True),
                              ("client-app2", "app", False), ("client-app", "nobody", False)):
        raw = s.socket()
        assert raw.tls(context(certs, cert))
        try:
            raw.login(user)
            assert works and raw.one("select current_user") == user
        except (ServerError, Closed):
            assert not works, (cert, user)


def serial(s, certs):
    """The serial number of the certificate that a newcomer is shown."""
    raw = s.socket()
    try:
        assert raw.tls(context(certs))
        return raw.sock.getpeercert()["serialNumber"]
    finally:
        raw.close()


def test_certificate_replaced_at_reload(sluice, certs):
    """Goal: RELOAD takes the new certificate for newcomers and drops nobody."""
    s = sluice(start=False)
    for kind in ("crt", "key"):
        shutil.copy2(f"{certs.root}/server.{kind}", f"{s.dir}/tls.{kind}")
        if os.getuid() == 0:
            shutil.chown(f"{s.dir}/tls.{kind}", "postgres")
    s.settings.update({"client_tls_sslmode": "require", "client_tls_key_file": f"{s.dir}/tls.key",
                       "client_tls_cert_file": f"{s.dir}/tls.crt"})
    s.write()
    s.start()
    old = s.socket()
    assert old.tls()
    old.login()
    before = serial(s, certs)
    old.query("begin")
    for kind in ("crt", "key"):
        shutil.copyfile(f"{certs.root}/server2.{kind}", f"{s.dir}/tls.{kind}")
    s.reload()
    wait_until(lambda: serial(s, certs) != before, 3, "the new certificate is shown")
    assert old.one("select 1") == "1"
    old.query("commit")
    assert old.one("select 2") == "2"


@BEYOND
def test_bad_certificate_at_reload(sluice, certs):
    """Goal: a reload with an unusable certificate changes nothing."""
    s = sluice(**tls(certs))
    before = serial(s, certs)
    s.settings["client_tls_cert_file"] = s.auth_file
    s.reload()
    time.sleep(0.3)
    assert serial(s, certs) == before
    with pytest.raises(ServerError):
        raw = s.socket()
        assert raw.tls()
        raw.login("admin", "pgbouncer")
        m = [m for m in raw.query("reload") if m.kind == "E"]
        raise ServerError(m[0])


@BEYOND
@pytest.mark.parametrize("alpn,works", [(["postgresql"], True), (["http/1.1", "postgresql"], True),
                                        (None, False), (["http/1.1"], False)])
def test_direct_tls(sluice, certs, alpn, works):
    """Goal: TLS from the first byte is served with ALPN postgresql only."""
    s = sluice(**tls(certs))
    raw = s.socket()
    try:
        raw.tls(context(certs), alpn=alpn, direct=True)
        raw.login()
        assert works and raw.sock.selected_alpn_protocol() == "postgresql"
        assert raw.one("select 1") == "1"
    except (ssl.SSLError, Closed, ConnectionError, ServerError):
        assert not works
    s2 = s.socket()
    assert s2.tls()
    s2.login()


@BEYOND
def test_direct_tls_when_disabled(sluice):
    """Goal: a ClientHello to a proxy without TLS is refused, no harm done."""
    s = sluice()
    raw = s.socket()
    with pytest.raises((ssl.SSLError, Closed, ConnectionError)):
        raw.tls(alpn=["postgresql"], direct=True)
    s.serves()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(sluice, certs, version):
    """Goal: TLS 1.0 and 1.1 are refused by default, 1.2 and 1.3 served."""
    s = sluice(**tls(certs))
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = version
    with pytest.raises((ssl.SSLError, Closed, ConnectionError)):
        s.socket().tls(old)
    for good in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = context(certs)
        c.minimum_version = c.maximum_version = good
        raw = s.socket()
        assert raw.tls(c)
        raw.login()
        assert raw.one("select 1") == "1"


def test_gssenc_then_ssl(sluice, certs):
    """Goal: GSSENCRequest refused, then SSLRequest on the same connection (libpq's order)."""
    raw = sluice(**tls(certs)).socket()
    raw.send(rawpg.request(rawpg.GSSENC_REQUEST))
    assert raw.read(1) == b"N"
    assert raw.tls()
    raw.login()
    assert raw.one("select 1") == "1"


def test_tls_client_vanishes(sluice, certs, pg):
    """Goal: TLS clients that end without close_notify, or in the handshake, leave nothing."""
    s = sluice(**tls(certs), default_pool_size=1)
    before = None
    for _ in range(10):
        raw = s.socket()
        assert raw.tls()
        raw.login()
        raw.query("begin")
        raw.sock.close()
        half = s.socket()
        half.send(rawpg.request(rawpg.SSL_REQUEST))
        half.read(1)
        half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        half.reset()
        before = before or s.fds()
    wait_until(lambda: s.fds() <= before, 5, "descriptors return")
    wait_until(lambda: pg.backends("state like 'idle in%'") == 0, 3)
