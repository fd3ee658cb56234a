"""Logging in: every method with every kind of secret, and what a stranger may learn."""
import base64
import hashlib
import hmac
import os
import re
import statistics
import struct
import time

import psycopg
import pytest

import rawpg
from cluster import PASSWORDS, wait_until
from rawpg import Closed, ServerError

BEYOND = pytest.mark.beyond_pgbouncer
GOOD = PASSWORDS["app"]


def md5_secret(user, password):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()


def scram_secret(password, iterations=4096):
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    b64 = [base64.b64encode(x).decode() for x in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{b64[0]}${b64[1]}:{b64[2]}"


SECRETS = {"plain": GOOD, "md5": md5_secret("app", GOOD), "scram": scram_secret(GOOD)}
MATRIX = [(a, k) for a, ks in {
    "trust": ("plain", "md5", "scram"), "plain": ("plain", "md5", "scram"),
    "md5": ("plain", "md5", "scram"), "scram-sha-256": ("plain", "scram")}.items() for k in ks]


def guarded(sluice, pg, auth_type, secret="plain", **kw):
    """A proxy whose server side needs no password, so that only the client's login is tested."""
    users = {"app": SECRETS.get(secret, secret), "admin": PASSWORDS["admin"]}
    return sluice(auth_type=auth_type, users=users, **kw,
                  entries={"app": dict(host=pg.root), "other": dict(dbname="other", host=pg.root)})


@pytest.mark.parametrize("auth_type,secret", MATRIX)
def test_right_and_wrong_password(sluice, pg, auth_type, secret):
    """Goal: each method takes the right password with each kind of secret, and no other."""
    s = guarded(sluice, pg, auth_type, secret)
    assert s.raw(password=GOOD).one("select current_user") == "app"
    if auth_type == "trust":
        return
    for wrong in ("wrong", GOOD + " ", GOOD[:-1], GOOD.upper(), "", SECRETS[secret][:60] + "x"):
        assert s.login_error(password=wrong) is not None, repr(wrong)
    s.raw(password=GOOD)


def test_stored_secret_is_not_a_password(sluice, pg):
    """Goal: the md5 or SCRAM text of the auth_file does not log in under plain."""
    for kind in ("md5", "scram"):
        s = guarded(sluice, pg, "plain", kind)
        assert s.login_error(password=SECRETS[kind]) is not None


def test_md5_secret_cannot_do_scram(sluice, pg):
    """Goal: with scram-sha-256 a user whose secret is md5 is refused, not let in."""
    s = guarded(sluice, pg, "scram-sha-256", "md5")
    assert s.login_error(password=GOOD) is not None


def test_psycopg_logs_in(sluice):
    """Goal: a real driver logs in by SCRAM, through to a server that wants SCRAM too."""
    s = sluice(auth_type="scram-sha-256")
    assert s.connect(password=GOOD).execute("select current_user").fetchone() == ("app",)
    with pytest.raises(psycopg.OperationalError, match="(password|SASL) authentication failed"):
        s.connect(password="wrong")


@pytest.mark.parametrize("user", ["app", "md5user", "we\"ird user"])
def test_server_side_methods(sluice, user):
    """Goal: the proxy logs in to the server by SCRAM and by md5, with odd names and passwords."""
    s = sluice(auth_type="md5")
    assert s.raw(user, password=PASSWORDS[user]).one("select current_user") == user


@BEYOND
@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_failures_are_28p01_and_alike(sluice, pg, auth_type):
    """Goal: wrong password, unknown user, unknown database: one code, one text before login."""
    s = guarded(sluice, pg, auth_type)
    errors = [s.login_error(password="wrong"),
              s.login_error(user="nobody", password="wrong"),
              s.login_error(user="nobody", database="nowhere", password="wrong"),
              s.login_error(database="nowhere", password="wrong")]
    assert {e.sqlstate for e in errors} == {"28P01"}
    texts = {re.sub('"(app|nobody)"', '"USER"', e.text) for e in errors}
    assert len(texts) == 1, texts


@BEYOND
def test_unknown_database_only_after_login(sluice, pg):
    """Goal: 3D000 is told only to somebody who proved who he is."""
    s = guarded(sluice, pg, "scram-sha-256")
    assert s.login_error(database="nowhere", password=GOOD).sqlstate == "3D000"
    assert s.login_error(database="nowhere", password="wrong").sqlstate == "28P01"


def exchange(s, user, database="app"):
    """The server's first SASL messages for a user: (mechanisms, salt, iterations)."""
    raw = s.socket()
    raw.start(user, database)
    offer = raw.recv_until("R")[-1].body
    raw.send(rawpg.sasl_initial(rawpg.Scram("x", "abcdefghijklmnopqrstuvwx").first()))
    first = raw.recv_until("R")[-1].body[4:].decode()
    raw.close()
    attrs = dict(a.split("=", 1) for a in first.split(","))
    assert attrs["r"].startswith("abcdefghijklmnopqrstuvwx")
    return offer, attrs["s"], attrs["i"]


@BEYOND
def test_mock_exchange(sluice, pg):
    """Goal: an unknown user is led through SCRAM like a known one, with a salt that stays."""
    s = guarded(sluice, pg, "scram-sha-256", "scram")
    known, a, b = exchange(s, "app"), exchange(s, "ghost"), exchange(s, "phantom")
    assert a[0] == known[0] and a[2] == known[2]
    assert len(base64.b64decode(a[1])) == len(base64.b64decode(known[1]))
    assert exchange(s, "ghost") == a, "a salt that changes gives the unknown away"
    assert a[1] != b[1], "a salt shared by all unknown users gives them away"
    assert exchange(s, "app") == known


@BEYOND
def test_mock_exchange_after_wrong_database(sluice, pg):
    """Goal: the exchange of a known user does not depend on the database's existence."""
    s = guarded(sluice, pg, "scram-sha-256", "scram")
    assert exchange(s, "app") == exchange(s, "app", "nowhere")


@BEYOND
@pytest.mark.parametrize("secret", ["plain", "scram"])
def test_timing_is_comparable(sluice, pg, secret):
    """Goal: the time to a refusal tells nothing about the user's or database's existence."""
    s = guarded(sluice, pg, "scram-sha-256", secret)

    def cost(user, database):
        out = []
        for _ in range(9):
            raw = s.socket()
            scram = rawpg.Scram("wrong")
            raw.start(user, database)
            raw.recv_until("R")
            t = time.perf_counter()
            raw.send(rawpg.sasl_initial(scram.first()))
            first = raw.recv_until("R")[-1].body[4:]
            spent = time.perf_counter() - t
            final = scram.final(first)
            t = time.perf_counter()
            raw.send(rawpg.message("p", final))
            raw.recv_until("E")
            out.append(spent + time.perf_counter() - t)
            raw.close()
        return statistics.median(out)

    cost("app", "app")
    costs = [cost("app", "app"), cost("ghost", "app"), cost("app", "nowhere")]
    assert max(costs) - min(costs) < 0.004, costs


def test_trust_needs_a_known_user(sluice):
    """Goal: trust lets in the users of the auth_file, not everybody."""
    s = sluice()
    assert s.login_error(user="nobody") is not None
    assert s.login_error(user="app") is None


def test_auth_file_reloaded(sluice, pg):
    """Goal: after RELOAD the new secret counts; connected clients stay."""
    s = guarded(sluice, pg, "scram-sha-256")
    old = s.raw(password=GOOD)
    s.users = {**s.users, "app": "it-new-secret", "stats": PASSWORDS["stats"]}
    s.reload()
    wait_until(lambda: s.login_error(password="it-new-secret") is None, 3)
    assert s.login_error(password=GOOD) is not None
    assert s.login_error(user="stats", password=PASSWORDS["stats"], database="pgbouncer") is None
    assert old.one("select 1") == "1"


@BEYOND
@pytest.mark.parametrize("length", [1, 100, 1000, 1023, 1024, 4000, 60000])
@pytest.mark.parametrize("auth_type", ["plain", "scram-sha-256"])
def test_long_passwords(sluice, pg, auth_type, length):
    """Goal: passwords up to 60 kB work and are compared to their last byte."""
    password = "p" * (length - 1) + "!"
    s = guarded(sluice, pg, auth_type, password)
    assert s.login_error(password=password) is None
    assert s.login_error(password=password[:-1] + "?") is not None


@BEYOND
def test_scram_iterations_of_secret(sluice, pg):
    """Goal: a stored verifier with its own iteration count is offered with that count."""
    s = guarded(sluice, pg, "scram-sha-256", scram_secret(GOOD, 1000))
    assert exchange(s, "app")[2] == "1000"
    assert s.login_error(password=GOOD) is None


def test_saslprep(sluice, pg):
    """Goal: non-ASCII passwords log in by SCRAM as psycopg (libpq) prepares them."""
    password = "gr\u00fc\u00df-\u2168\u00a0x"
    s = guarded(sluice, pg, "scram-sha-256", password)
    assert s.connect(password=password).execute("select 1").fetchone() == (1,)


@BEYOND
@pytest.mark.parametrize("change", ["proof", "nonce", "binding", "no proof", "extra", "cut"])
def test_scram_final_must_be_exact(sluice, pg, change):
    """Goal: a client-final message that is wrong anywhere is refused, the process lives."""
    s = guarded(sluice, pg, "scram-sha-256")
    raw, scram = s.socket(), rawpg.Scram(GOOD)
    raw.start()
    raw.recv_until("R")
    raw.send(rawpg.sasl_initial(scram.first()))
    final = scram.final(raw.recv_until("R")[-1].body[4:]).decode()
    head, proof = final.rsplit(",p=", 1)
    wrong = {"proof": f"{head},p={'B' if proof[0] != 'B' else 'C'}{proof[1:]}",
             "nonce": final.replace("r=", "r=x"), "binding": final.replace("biws", "eSws"),
             "no proof": head, "extra": final + ",z=1", "cut": final[:-8]}[change]
    raw.send(rawpg.message("p", wrong.encode()))
    try:
        assert raw.recv_until("E")[-1].sqlstate in ("28P01", "08P01")
    except Closed:
        pass
    s.raw(password=GOOD)


@BEYOND
@pytest.mark.parametrize("length", [1, 100, 1000, 20000])
def test_client_nonce_lengths(sluice, pg, length):
    """Goal: short and long client nonces are served or refused; the process lives."""
    s = guarded(sluice, pg, "scram-sha-256")
    raw = s.socket()
    try:
        raw.login(password=GOOD, scram=rawpg.Scram(GOOD, "n" * length))
        assert raw.one("select 1") == "1"
    except (ServerError, Closed):
        assert length > 100
    assert s.login_error(password=GOOD) is None


@BEYOND
def test_unknown_mechanism(sluice, pg):
    """Goal: a mechanism that was not offered is a protocol violation."""
    s = guarded(sluice, pg, "scram-sha-256")
    for mechanism in ("SCRAM-SHA-1", "PLAIN", "SCRAM-SHA-256-PLUS", "", "x" * 1000):
        raw = s.socket()
        raw.start()
        raw.recv_until("R")
        raw.send(rawpg.sasl_initial(b"n,,n=,r=abcdefghijkl", mechanism))
        assert raw.recv_until("E")[-1].sqlstate in ("08P01", "28P01")
    assert s.login_error(password=GOOD) is None


def test_negotiates_old_version(sluice):
    """Goal: plain protocol 3.0 gets no NegotiateProtocolVersion and an eight byte cancel key."""
    raw = sluice().socket()
    msgs = raw.login()
    assert "v" not in [m.kind for m in msgs] and len(raw.key) == 8


@BEYOND
def test_negotiate_protocol_version(sluice):
    """Goal: 3.9 and unknown _pq_. options are answered by 3.2 and the names; login goes on."""
    raw = sluice().socket()
    msgs = raw.login(protocol=0x30009, **{"_pq_.magic": "1", "_pq_.more": "2"})
    answer = [m for m in msgs if m.kind == "v"][0].body
    minor, count = struct.unpack_from("!ii", answer)
    assert minor in (2, rawpg.V32) and count == 2
    assert answer[8:].split(b"\0")[:2] == [b"_pq_.magic", b"_pq_.more"]
    assert raw.one("select 1") == "1"


@BEYOND
def test_unknown_option_with_30(sluice):
    """Goal: an unknown _pq_. option with 3.0 is negotiated away as well, keeping 3.0."""
    raw = sluice().socket()
    msgs = raw.login(**{"_pq_.magic": "1"})
    assert [m.kind for m in msgs].count("v") == 1
    assert len(raw.key) == 8 and raw.one("select 1") == "1"


@BEYOND
@pytest.mark.parametrize("protocol", [0x10000, 0x20000, 0x40000])
def test_other_major_versions(sluice, protocol):
    """Goal: another major version is refused with 0A000."""
    raw = sluice().socket()
    raw.start(protocol=protocol)
    assert raw.recv_until("E")[-1].sqlstate == "0A000"


def test_gssenc_is_refused_properly(sluice):
    """Goal: GSSENCRequest is answered N, and the same connection logs in."""
    raw = sluice().socket()
    raw.send(rawpg.request(rawpg.GSSENC_REQUEST))
    assert raw.read(1) == b"N"
    raw.login()
    assert raw.one("select 1") == "1"


def test_ssl_is_refused_properly(sluice):
    """Goal: SSLRequest without TLS configured is answered N, and the connection logs in."""
    raw = sluice().socket()
    assert raw.tls() is False
    raw.login()
    assert raw.one("select 1") == "1"


def test_database_defaults_to_user(sluice):
    """Goal: without a database in the startup packet the user's name is the database."""
    raw = sluice().socket()
    raw.send(rawpg.startup_packet({"user": "app"}))
    raw.ready()
    assert raw.one("select current_database()") == "app"
