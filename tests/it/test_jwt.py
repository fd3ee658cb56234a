"""Tokens as passwords: JWTs whose keys come from a file or an https server, and presigned IAM tokens.

What makes a token good is tested in tests/unit/auth/jwt_test.c and sigv4_verify_test.c."""
import base64
import datetime
import hashlib
import hmac
import json
import os
import ssl
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cluster import wait_until
from rawpg import Raw
from test_hba import attempt, broken, code, guarded, put, unix  # noqa: F401 (guarded is a fixture)
from test_tls import tls

crypto = pytest.importorskip("cryptography")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils  # noqa: E402

pytestmark = pytest.mark.beyond_pgbouncer

ISSUER, AUDIENCE = "https://issuer.example", "pgsluice"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


class Key:
    """A key pair with a kid."""

    def __init__(self, kid, alg="ES256"):
        self.kid, self.alg = kid, alg
        if alg == "ES256":
            self.key = ec.generate_private_key(ec.SECP256R1())
            p = self.key.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": "P-256", "x": number(p.x, 32), "y": number(p.y, 32)}
        elif alg == "RS256":
            self.key = rsa.generate_private_key(65537, 2048)
            p = self.key.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": number(p.n), "e": number(p.e)}
        else:
            self.key = ed25519.Ed25519PrivateKey.generate()
            raw = self.key.public_key().public_bytes(serialization.Encoding.Raw,
                                                     serialization.PublicFormat.Raw)
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        self.jwk.update(kid=kid, alg=alg, use="sig")

    def sign(self, data):
        if self.alg == "ES256":
            r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if self.alg == "RS256":
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(data)

    def token(self, sub="app", header=None, **claims):
        now = int(time.time())
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "iat": now, "exp": now + 300, **claims}
        body = {k: v for k, v in body.items() if v is not None}
        head = {"alg": self.alg, "kid": self.kid, "typ": "JWT", **(header or {})}
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"
        return f"{signed}.{b64(self.sign(signed.encode()))}"


def jwks(*keys):
    return json.dumps({"keys": [k.jwk for k in keys]})


@pytest.fixture(scope="module")
def key():
    return Key("k1")


@pytest.fixture
def tokens(guarded, certs, key):  # noqa: F811
    """Factory: a proxy that takes tokens of `key`."""
    def make(lines="host all all all jwt\nlocal all all jwt\n", maps=None, keys=None, start=True, **kw):
        settings = {**tls(certs, "prefer"), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, **kw}
        s = guarded(lines, maps, start=False, users={"admin": "x"}, **settings)
        s.settings.setdefault("jwt_keys", put(s, "jwks.json", keys or jwks(key)))
        s.write()
        if start:
            s.start()
        return s
    return make


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_algorithms(tokens, alg):
    """Goal: a token of each kind of key comes in by TLS, as the user that it names."""
    k = Key("other", alg)
    s = tokens(keys=jwks(Key("k1"), k))
    assert code(s, via="tls", password=k.token()) is None
    assert code(s, via="tls", user="app2", password=k.token()) == "28000"
    assert code(s, via="unix", password=k.token()) is None


def test_what_is_no_good(tokens, key):
    """Goal: each flaw is a refusal in the same words, with the reason in the log and no token in it."""
    s = tokens()
    now, good = int(time.time()), key.token()
    flaws = {
        "expired": key.token(exp=now - 100),
        "not yet": key.token(nbf=now + 1000),
        "other issuer": key.token(iss="https://evil.example"),
        "other audience": key.token(aud="other"),
        "no audience": key.token(aud=None),
        "other key": Key("k1").token(),
        "unknown key": Key("k2").token(),
        "none": key.token(header={"alg": "none"}),
        "hs256": key.token(header={"alg": "HS256"}),
        "cut": good[:-4], "empty": "", "rubbish": "x" * 20000, "dots": "...",
        "no sub": key.token(sub=None), "role in part": key.token(sub="ap"), "two": key.token(sub="app app2"),
    }
    for name, token in flaws.items():
        error = attempt(s, via="tls", password=token)
        assert error is not None and error.sqlstate == "28000", name
        assert error.text == 'token authentication failed for user "app"', name
    assert code(s, via="tls", password=good) is None
    log = s.log()
    assert "token login of user \"app\" from 127.0.0.1: " in log
    assert good not in log and good.split(".")[1] not in log and flaws["expired"].split(".")[2] not in log


def test_tls_is_required(tokens, key):
    """Goal: a token is not even asked for on an open line."""
    s = tokens()
    raw = Raw(s.addr)
    raw.start()
    m = raw.recv()
    assert m.kind == "E" and m.sqlstate == "28000" and "TLS" in m.fields["M"]
    raw.close()


def test_role_claim(tokens, key):
    """Goal: another claim, in an object, with several roles."""
    s = tokens(jwt_role_claim="access.roles")
    assert code(s, via="tls", password=key.token(sub="x", access={"roles": ["app2", "app"]})) is None
    assert code(s, via="tls", password=key.token(sub="app", access={"roles": ["app2"]})) == "28000"
    assert code(s, via="tls", password=key.token()) == "28000"


def test_map(tokens, key):
    """Goal: map= says who of the issuer may be which user; without a fitting line nobody is."""
    s = tokens("hostssl all all all jwt map=people\n", "people /^(.*)@example\\.net$ \\1\npeople robot app2\n")
    assert code(s, via="tls", password=key.token("app@example.net")) is None
    assert code(s, via="tls", user="app2", password=key.token("robot")) is None
    assert code(s, via="tls", password=key.token("app")) == "28000"
    assert code(s, via="tls", password=key.token("app@example.net.evil")) == "28000"


def test_as_auth_type(tokens, key):
    """Goal: auth_type=jwt without rules; a SET of the audience holds at once; the console too."""
    s = tokens(start=False)
    s.settings.update(auth_type="jwt", auth_hba_file=None, admin_users="app")
    s.write()
    s.start()
    assert code(s, via="tls", password=key.token()) is None
    assert code(s, via="tls", database="pgbouncer", password=key.token()) is None
    assert code(s, via="tls", database="pgbouncer", password="x") == "28000"
    s.settings["jwt_audience"] = "another"
    s.reload()
    wait_until(lambda: code(s, via="tls", password=key.token()) == "28000")
    assert code(s, via="tls", password=key.token(aud=["x", "another"])) is None


def test_new_keys_in_the_file(tokens, key):
    """Goal: a reload with a bad file changes nothing; one with new keys takes them."""
    s, fresh = tokens(), Key("k9")
    put(s, "jwks.json", "{")
    s.reload()
    wait_until(lambda: "reload failed" in s.log())
    assert code(s, via="tls", password=key.token()) is None
    put(s, "jwks.json", jwks(fresh))
    s.reload()
    wait_until(lambda: code(s, via="tls", password=fresh.token()) is None)
    assert code(s, via="tls", password=key.token()) == "28000"


def test_bad_file_at_start(guarded, certs):  # noqa: F811
    """Goal: keys that cannot be read end the start."""
    log = broken(guarded, "hostssl all all all jwt\n", jwt_keys="/nowhere", jwt_issuer="i", jwt_audience="a",
                 **tls(certs))
    assert "jwt_keys=/nowhere: " in log


class Issuer:
    """An https server with a JWK Set."""

    def __init__(self, certs, text):
        self.text, self.calls, self.fails = text, 0, False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.calls += 1
                body = issuer.text.encode()
                self.send_response(500 if issuer.fails else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs.crt("server"), certs.key("server"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}/jwks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def issuer(certs, key):
    i = Issuer(certs, jwks(key))
    yield i
    i.close()


def test_keys_of_a_url(tokens, issuer, certs, key):
    """Goal: keys are fetched, and fetched anew when a token is signed by one that is not known; an issuer
    that is down later on changes nothing; strangers' keys cost one call, not many."""
    s, fresh = tokens(jwt_keys=issuer.url, jwt_ca_file=certs.crt("ca")), Key("k2")
    wait_until(lambda: code(s, via="tls", password=key.token()) is None)
    assert issuer.calls == 1
    issuer.text = jwks(key, fresh)
    wait_until(lambda: code(s, via="tls", password=fresh.token()) is None)
    assert issuer.calls == 2
    issuer.fails = True
    for i in range(20):
        assert code(s, via="tls", password=Key(f"x{i}").token()) == "28000"
    assert issuer.calls == 2
    s.reload()
    wait_until(lambda: issuer.calls == 3)
    assert code(s, via="tls", password=fresh.token()) is None


def test_issuer_that_is_not_there(tokens, certs, key, issuer):
    """Goal: with the wrong CA nobody comes in, and other logins go on."""
    s = tokens("hostssl all all all jwt\nlocal all all trust\n", jwt_keys=issuer.url,
               jwt_ca_file=certs.crt("otherca"))
    assert code(s, via="tls", password=key.token()) == "28000"
    assert "there are no keys to check tokens with yet" in s.log()
    assert code(s, via="unix", user="admin", database="pgbouncer") is None
    assert issuer.calls == 0


# ---- tokens as for RDS ----

ACCESS_KEY, SECRET_KEY = "AKIAIT0000000EXAMPLE", "it-Zq81-iam/secretKEY+x"


def presign(host, user="app", expires=900, at=None, secret=SECRET_KEY, access=ACCESS_KEY, service="rds-db",
            action="connect", region="eu-central-1", more=()):
    """The token that `aws rds generate-db-auth-token` makes."""
    when = (at or datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{when[:8]}/{region}/{service}/aws4_request"
    params = [("Action", action), ("DBUser", user), ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
              ("X-Amz-Credential", f"{access}/{scope}"), ("X-Amz-Date", when),
              ("X-Amz-Expires", str(expires)), ("X-Amz-SignedHeaders", "host"), *more]

    def quote(text):
        return urllib.parse.quote(text, safe="-_.~")

    query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(params))
    canonical = f"GET\n/\n{query}\nhost:{host}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    k = b"AWS4" + secret.encode()
    for part in (when[:8], region, service, "aws4_request"):
        k = hmac.digest(k, part.encode(), "sha256")
    return f"{host}/?{query}&X-Amz-Signature={hmac.digest(k, text.encode(), 'sha256').hex()}"


@pytest.fixture
def iam(guarded, certs):  # noqa: F811
    """Factory: a proxy with auth_type=iam."""
    def make(**kw):
        s = guarded("host all app all iam\n", start=False, users={"admin": "x"}, **tls(certs, "prefer"))
        path = put(s, "iam.json", json.dumps({"username": ACCESS_KEY, "password": SECRET_KEY}))
        os.chmod(path, 0o600)
        s.secrets = {"signer": f"provider=file path={path} min_refresh_interval=1"}
        s.settings.update({"auth_type": "iam", "iam_secret": "signer", **kw})
        s.write()
        s.start()
        return s
    return make


def test_iam(iam):
    """Goal: a presigned connect token comes in, over TLS only, as the user and at the address it names."""
    s = iam()
    host = f"127.0.0.1:{s.port}"
    ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=25)
    assert code(s, via="tls", password=presign(host)) is None
    assert code(s, via="unix", password=presign(host)) is None
    assert code(s, password=presign(host)) == "28000"
    flaws = {
        "other user": presign(host, user="app2"),
        "other host": presign(f"localhost:{s.port}"),
        "other port": presign("127.0.0.1:5432"),
        "other key": presign(host, secret="x" * 30),
        "other id": presign(host, access="AKIAIT0000000OTHERID"),
        "old": presign(host, at=ago),
        "long": presign(host, expires=3600),
        "service": presign(host, service="rds"),
        "action": presign(host, action="delete"),
        "twice": presign(host, more=[("DBUser", "app2")]),
        "changed": presign(host).replace("DBUser=app", "DBUser=%61pp2"),
        "no query": host + "/", "rubbish": "x" * 9000, "empty": "",
    }
    for name, token in flaws.items():
        error = attempt(s, via="tls", password=token)
        assert error is not None and error.sqlstate == "28000", name
        assert error.text == 'IAM token authentication failed for user "app"', name
    assert SECRET_KEY not in s.log() and "X-Amz-Signature" not in s.log()


def test_iam_by_a_line(iam):
    """Goal: iam as a method of HBA lines."""
    s = iam(auth_type="hba")
    host = f"127.0.0.1:{s.port}"
    assert code(s, via="tls", password=presign(host)) is None
    assert code(s, via="tls", user="app2", password=presign(host)) == "28000"
    assert code(s, password=presign(host)) == "28000"


def test_iam_hosts(iam):
    """Goal: iam_hosts replaces our own addresses."""
    s = iam(iam_hosts="db.example.net:5432, proxy:6432")
    assert code(s, via="tls", password=presign("db.example.net:5432")) is None
    assert code(s, via="tls", password=presign("PROXY:6432")) is None
    assert code(s, via="tls", password=presign(f"127.0.0.1:{s.port}")) == "28000"


def test_iam_key_is_rotated(iam):
    """Goal: a token of a key that is new at the provider is waited for, not refused."""
    s = iam()
    host = f"127.0.0.1:{s.port}"
    assert code(s, via="tls", password=presign(host)) is None
    time.sleep(1.2)
    path = put(s, "iam.json.new", json.dumps({"username": "AKIAIT0000000SECOND1", "password": "second-key-Zq"}))
    os.chmod(path, 0o600)
    os.rename(path, f"{s.dir}/iam.json")
    wait_until(lambda: code(s, via="tls", password=presign(
        host, access="AKIAIT0000000SECOND1", secret="second-key-Zq")) is None, 10)
