"""Credentials from AWS: Secrets Manager, the chain of credentials, rds-iam.  tests/fake/fake_aws.py plays
the services and verifies every signature; the roles are real ones of the embedded PostgreSQL."""
import os
import ssl
import struct
import threading
import time

import psycopg
import pytest

import badpg
import rawpg
import sluice as sluice_module
from cluster import PASSWORDS, wait_until
from fakes import Aws, AwsSecret, refresh, row, settles, wait_state, write_secret
from sluice import ASAN, TSAN
from test_secrets import Load, folder  # noqa: F401  (folder is a fixture)

pytestmark = pytest.mark.beyond_pgbouncer
CALLS_PER_SEARCH = 3  # AWSCURRENT, AWSPENDING, AWSPREVIOUS


@pytest.fixture
def aws():
    fake = Aws()
    yield fake
    fake.stop()


@pytest.fixture
def secret(pg, aws):
    return AwsSecret(pg, aws)


def proxy(sluice, aws, secret, more="", env=None, **settings):
    return sluice(entries={"sec": {"secret": "rw"}}, secrets={"rw": aws.entry(secret.name, more)},
                  env=env or aws.env(), **settings)


def whoami(s, user="app", **kw):
    with psycopg.connect(s.dsn(user, "sec", **kw), autocommit=True) as c:
        return c.execute("select session_user").fetchone()[0]


def goes_on(load, within=5):
    before = load.done
    wait_until(lambda: load.done > before + 20, within, "the load goes on")


# ---- rotation ----

GAPS = [pytest.param(5, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.soak)]


@pytest.mark.parametrize("gap", GAPS)
def test_single_user_under_load(sluice, aws, secret, gap):
    """Goal: the database takes the new password long before AWSCURRENT moves; with 200 clients and servers
    that live for a second nobody sees an error, because AWSPENDING is tried."""
    s = proxy(sluice, aws, secret, "ttl=2 grace=5", server_lifetime=1, default_pool_size=20)
    load = Load(s, 200, user="app", dbname="sec")
    load.start()
    try:
        goes_on(load)
        secret.create()
        secret.set()
        wait_state(s, "rotating")
        assert "takes version" in s.log() and "before it is the current one" in s.log()
        time.sleep(gap)
        goes_on(load)
        secret.finish(leave=True)
        wait_state(s, "ok")
        time.sleep(1.5)
        goes_on(load)
    finally:
        load.stop()
    assert load.errors == []
    r = row(s)
    assert (r["changes"], r["user"]) == (1, secret.user)


@pytest.mark.parametrize("gap", [pytest.param(1, marks=pytest.mark.slow),
                                 pytest.param(30, marks=pytest.mark.soak)])
def test_alternating_users_under_load(sluice, pg, aws, secret, gap):
    """Goal: two users take turns, twice, so that the password of the first one changes while it is the
    one before: 0 errors of 200 clients, and no server of the former user is left seconds later."""
    s = proxy(sluice, aws, secret, "ttl=2 grace=2", server_lifetime=2, default_pool_size=20)
    load = Load(s, 200, user="app", dbname="sec")
    load.start()
    try:
        for turn in (1, 2):
            goes_on(load)
            former = secret.user
            secret.create(alternating=True)
            secret.set()
            time.sleep(gap)
            secret.finish()
            wait_until(lambda: row(s)["user"] == secret.user, 8, "the other user is in use")
            wait_until(lambda: pg.one("select count(*) from pg_stat_activity where usename = %s",
                                      [former]) == 0, 8, "the former user's servers are gone")
            assert row(s)["changes"] == turn
        goes_on(load)
    finally:
        load.stop()
    assert load.errors == []
    assert whoami(s) == secret.user == secret.base


@pytest.mark.parametrize("alternating", [False, True])
def test_clients_of_the_secret(sluice, aws, secret, alternating):
    """Goal: clients that log in with the secret's own user and password are let in with the old one until
    its grace is over and with the new one as soon as it exists: 0 errors of both."""
    s = proxy(sluice, aws, secret, "ttl=600 grace=30 min_refresh_interval=0",
              auth_type="scram-sha-256", server_lifetime=1, default_pool_size=10)
    loads = [Load(s, 20, user=secret.user, password=secret.password, dbname="sec")]
    loads[0].start()
    try:
        goes_on(loads[0])
        secret.create(alternating)
        secret.set()
        loads.append(Load(s, 20, user=secret.user, password=secret.password, dbname="sec"))
        loads[1].start()		# nobody has told the proxy: the client's password does
        goes_on(loads[1])
        goes_on(loads[0])
        secret.finish()
        refresh(s)
        wait_until(lambda: row(s)["changes"] == 1, 5, "the new version is current")
        time.sleep(1.5)
        for load in loads:
            goes_on(load)
    finally:
        for load in loads:
            load.stop()
    assert [load.errors for load in loads] == [[], []]


def test_previous_of_alternating_users(sluice, aws, secret):
    """Goal: a proxy that starts after the switch lets clients in who still have the version before."""
    user, password = secret.user, secret.password
    secret.create(alternating=True)
    secret.set()
    secret.finish()
    s = proxy(sluice, aws, secret, "grace=20", auth_type="scram-sha-256")
    assert whoami(s, secret.user, password=secret.password) == secret.user
    assert whoami(s, user, password=password) == secret.user


# ---- how often the source is asked ----

def scram_clients(s, secret, n):
    """n clients that have sent their startup packet and wait for an answer."""
    clients = [s.socket(30) for _ in range(n)]
    for c in clients:
        c.start(secret.user, "sec")
    return clients


@pytest.mark.slow
def test_cold_start(sluice, aws, secret):
    """Goal: 1,000 clients at once before there is a secret: exactly one call, and all are served."""
    aws("fault", path="secretsmanager", kind="delay", seconds=3, count=1)
    s = proxy(sluice, aws, secret, auth_type="scram-sha-256", max_client_conn=1100,
              default_pool_size=20)
    console = s.socket()
    console.login("admin", "pgbouncer", PASSWORDS["admin"])
    clients = scram_clients(s, secret, 1000)
    console.send(rawpg.query("show secrets"))	# psycopg cannot wait for descriptors above 1023
    assert (aws.calls(), rawpg.rows(console.ready())[0][4]) == (1, "cold")
    for c in clients:
        scram = rawpg.Scram(secret.password)
        while True:
            m = c.recv()
            if m.kind == "R":
                c._answer(m.body, secret.user, secret.password, scram)
            assert m.kind != "E", m
            if m.kind == "Z":
                break
        c.send(rawpg.query("select session_user"))
    assert all(rawpg.rows(c.ready())[0][0] == secret.user for c in clients)
    assert aws.calls() == 1


def test_throttled(sluice, aws, secret):
    """Goal: a service that throttles is asked with growing pauses (from 2 s on, with full jitter), however
    many clients are waiting, and served from again as soon as it allows."""
    aws("fault", path="secretsmanager", kind="throttle", count=-1)
    s = proxy(sluice, aws, secret, "retry_max=4", auth_type="scram-sha-256")
    clients = scram_clients(s, secret, 50)
    time.sleep(4)
    calls = aws.calls()
    assert 1 <= calls <= 8, "4 s of pauses of 1, 2, 2, ... s on average"
    assert row(s)["state"] == "failing" and "ThrottlingException" in row(s)["last_error"]
    assert s.log().count("ThrottlingException") == 1
    aws("clear")
    wait_state(s, "ok")
    for c in clients:
        assert c.recv().kind == "R"
    assert aws.calls() <= calls + 2


def test_budget(sluice, aws, secret):
    """Goal: max_calls_per_hour is never exceeded, whoever asks for a refresh; what is there stays in use."""
    s = proxy(sluice, aws, secret, "max_calls_per_hour=6 ttl=1")
    wait_state(s, "ok")
    for _ in range(30):
        refresh(s)
        time.sleep(0.05)
    wait_until(lambda: "max_calls_per_hour" in row(s)["last_error"], 5, "the budget is said to be used up")
    assert settles(aws.calls) == 6
    assert whoami(s) == secret.user
    assert s.log().count("max_calls_per_hour=6 is reached") == 1


def test_wrong_client_password(sluice, aws, secret):
    """Goal: clients that try wrong passwords or names without pause (an unknown name may be the one that
    users alternate to) make the proxy look for newer versions now and then only: after 0, 1, 3, 7 ... s,
    each time in three stages at most."""
    s = proxy(sluice, aws, secret, "min_refresh_interval=1", auth_type="scram-sha-256")
    wait_state(s, "ok")
    end, tries = time.monotonic() + 5, [0] * 8

    def knock(i):
        while time.monotonic() < end:
            user = secret.user if i % 2 else f"nobody{tries[i]}"
            assert s.login_error(user, "sec", f"wrong-{i}").sqlstate == "28P01"
            tries[i] += 1

    threads = [threading.Thread(target=knock, args=(i,)) for i in range(len(tries))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert min(tries) >= 2
    assert aws.calls() <= 1 + 3 * CALLS_PER_SEARCH, f"{sum(tries)} tries"
    assert whoami(s, secret.user, password=secret.password) == secret.user


# ---- the source fails while it is needed ----

@pytest.mark.slow
def test_source_fails_while_serving(sluice, aws, secret):
    """Goal: no answer, no connection, rubbish: the last good version serves, 0 errors, SHOW says stale and
    the log says that it works again."""
    s = proxy(sluice, aws, secret, "ttl=1 retry_max=1 timeout=1", server_lifetime=1)
    load = Load(s, 10, user="app", dbname="sec")
    load.start()
    try:
        goes_on(load)
        for kind in ("hang", "reset", "garbage", "truncated", "xml_500"):
            again = s.log().count("answers again")
            aws("fault", path="secretsmanager", kind=kind, count=-1)
            wait_state(s, "stale", 5)
            assert row(s)["last_error"] != ""
            aws("clear")
            wait_state(s, "ok", 8)
            assert s.log().count("answers again") == again + 1, kind
        aws.stop()
        wait_state(s, "stale", 5)
        goes_on(load)
        aws.start()
        secret.publish(secret.user, secret.password, version=secret.version)
        wait_state(s, "ok", 8)
        goes_on(load)
    finally:
        load.stop()
    assert load.errors == []
    assert row(s)["changes"] == 0


@pytest.mark.slow
def test_what_people_must_repair(sluice, pg, aws, secret):
    """Goal: a secret that is denied, deleted or gone is served stale and flagged, and told once."""
    names = ["rw", "deleted", "gone"]
    for name in names[1:]:
        aws("put", name=name, text='{"username": "aws_app", "password": "x"}', version=name * 8)
    s = sluice(entries={"sec": {"secret": "rw"}}, env=aws.env(), secrets={
        "rw": aws.entry(secret.name, "ttl=1"), **{n: aws.entry(n, "ttl=1") for n in names[1:]}})
    for name in names:
        wait_state(s, "ok", name=name)
    aws("delete", name="deleted")
    aws("stages", name="gone", stages={})
    words = {"deleted": "marked for deletion", "gone": "ResourceNotFound"}
    for name, word in words.items():
        assert word in wait_state(s, "stale deleted", name=name)["last_error"]
    time.sleep(1.5)
    assert [s.log().count(word) for word in words.values()] == [1, 1]
    aws("undelete", name="deleted")
    aws("stages", name="gone", stages={"gone" * 8: ["AWSCURRENT"]})
    for name in words:
        wait_state(s, "ok", name=name)
    aws("fault", path="secretsmanager", kind="access_denied", count=-1)
    assert "AccessDeniedException" in wait_state(s, "stale")["last_error"]
    assert whoami(s) == secret.user
    aws("clear")
    wait_state(s, "ok")


@pytest.fixture
def fast_clock(folder, monkeypatch):  # noqa: F811
    """All proxies of the test live 120 times as fast."""
    lib = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
    if not os.path.exists(lib) or ASAN or TSAN:
        pytest.skip("libfaketime is not installed, or does not go with sanitizers")
    # not by the environment: setpriv, which starts as root, would leave a semaphore of root's
    path = write_secret(f"{folder}/fast", f"""#!/bin/sh
LD_PRELOAD={lib} FAKETIME="+0 x120" exec {sluice_module.PROGRAM} "$@"
""", 0o755)
    monkeypatch.setattr(sluice_module, "PROGRAM", path)


@pytest.mark.slow
def test_down_for_ten_minutes(fast_clock, sluice, aws, secret):
    """Goal: the source is away for ten minutes of a clock that runs 120 times as fast: 0 errors, few
    calls, and it is in use again soon after."""
    s = proxy(sluice, aws, secret, "ttl=60 timeout=120", server_lifetime=60, server_connect_timeout=600,
              client_login_timeout=600)
    wait_state(s, "ok")
    aws.stop()
    load = Load(s, 10, user="app", dbname="sec")
    load.start()
    try:
        wait_until(lambda: row(s)["checked"] >= 600, 20, "ten minutes have gone by")
        r = row(s)
        assert r["state"] == "stale" and r["failures"] > 3
        assert r["calls"] < 100, "every 15 s on average"
        goes_on(load)
        aws.start()
        secret.publish(secret.user, secret.password, version=secret.version)
        wait_state(s, "ok")
        goes_on(load)
    finally:
        load.stop()
    assert load.errors == []


def test_clock_skew(sluice, aws, secret):
    """Goal: our clock is an hour wrong; the service's answer says so, and the second request is signed with
    its time, as are all after it."""
    aws("skew", seconds=3600)
    s = proxy(sluice, aws, secret)
    wait_state(s, "ok")
    assert (aws.calls(), whoami(s)) == (2, secret.user)
    refresh(s)
    wait_until(lambda: row(s)["calls"] == 2, 5, "it was asked again")
    assert settles(aws.calls) == 3


# ---- the chain of credentials ----


def chain_env(aws, folder):
    """{kind: variables} that lead to keys, each by another way."""
    token = write_secret(f"{folder}/web", "web-token")
    role = "arn:aws:iam::123456789012:role/pgsluice"
    long_term = f"aws_access_key_id = {aws.ID}\naws_secret_access_key = {aws.SECRET}\n"
    files = {"plain": f"[work]\n{long_term}", "config": f"[profile work]\n{long_term}region = eu-west-8\n",
             "role": f"[profile work]\nrole_arn = {role}\nsource_profile = base\nexternal_id = x-1\n"
                     f"[profile base]\n{long_term}",
             "process": f"[profile work]\ncredential_process = /bin/cat {folder}/process\n"}
    write_secret(f"{folder}/process", '{"Version":1,"AccessKeyId":"%s","SecretAccessKey":"%s"}' %
                 (aws.ID, aws.SECRET))
    paths = {k: write_secret(f"{folder}/{k}.ini", text) for k, text in files.items()}
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL_STS": aws.url}
    work = {**none, "AWS_PROFILE": "work"}
    return {
        "environment": {},
        "session token": {"AWS_ACCESS_KEY_ID": "ASIATEST", "AWS_SECRET_ACCESS_KEY": "it-temp",
                          "AWS_SESSION_TOKEN": "it-Zq81-session-token"},
        "imds": {**none, "AWS_EC2_METADATA_DISABLED": "", "AWS_REGION": "",
                 "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url},
        "container": {**none, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{aws.url}/v2/credentials/x",
                      "AWS_CONTAINER_AUTHORIZATION_TOKEN": "it-Zq81-container"},
        "web identity": {**none, "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": role,
                         "AWS_ROLE_SESSION_NAME": "it"},
        "credentials file": {**work, "AWS_SHARED_CREDENTIALS_FILE": paths["plain"]},
        "config file": {**work, "AWS_CONFIG_FILE": paths["config"], "AWS_REGION": ""},
        "assumed role": {**work, "AWS_CONFIG_FILE": paths["role"]},
        "process": {**work, "AWS_CONFIG_FILE": paths["process"]},
    }


CHAIN = {"environment": ("eu-west-9", None), "session token": ("eu-west-9", None),
         "imds": ("eu-west-9", "imds GET /latest/meta-data/iam/security-credentials/fake-role"),
         "container": ("eu-west-9", "ecs GET /v2/credentials/x"),
         "web identity": ("eu-west-9", "sts AssumeRoleWithWebIdentity"),
         "credentials file": ("eu-west-9", None), "config file": ("eu-west-8", None),
         "assumed role": ("eu-west-9", "sts AssumeRole"), "process": ("eu-west-9", None)}


@pytest.mark.parametrize("kind", CHAIN)
def test_credential_chain(sluice, aws, secret, folder, kind):  # noqa: F811
    """Goal: our own keys are found in each place that AWS's programs know, and are good for a signature;
    when the service takes them no more, other ones are got."""
    region, asked = CHAIN[kind]
    aws("container_token", text="it-Zq81-container")
    aws("keys", id="ASIATEST", secret="it-temp", token="it-Zq81-session-token")
    s = proxy(sluice, aws, secret, env=aws.env(**chain_env(aws, folder)[kind]), verbose=2)
    assert whoami(s) == secret.user, s.log()
    entry = [e for e in aws("log") if e["operation"] == "GetSecretValue"][-1]
    assert entry["region"] == region
    assert entry["key"].startswith("AKID" if asked is None and kind != "session token" else "ASIA")
    if asked is not None:
        assert aws("counters").get(asked) == 1, aws("counters")
        aws("revoke")
        refresh(s)
        wait_until(lambda: row(s)["calls"] == 2 and aws("counters")[asked] == 2, 5, "other keys were got")
        assert wait_state(s, "ok")["failures"] == 0
    for word in (aws.SECRET, "it-temp", "it-Zq81-session-token", "web-token", "it-Zq81-container"):
        assert word not in s.log()


@pytest.mark.slow
def test_keys_end(sluice, aws, secret):
    """Goal: keys of the instance that live for 3 s are renewed in time: no call is refused."""
    aws("life", seconds=3)
    s = proxy(sluice, aws, secret, "ttl=1", env=aws.env(
        AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="",
        AWS_EC2_METADATA_SERVICE_ENDPOINT=aws.url))
    time.sleep(6)
    r = row(s)
    assert (r["state"], r["failures"]) == ("ok", 0)
    assert len({e["key"] for e in aws("log")}) >= 3


# ---- RDS IAM ----

class RdsLike:
    """A server that asks for the password in the clear, over TLS or not, and keeps what it is given."""

    def __init__(self, certs, tls=True):
        self.given, self.plain = [], []
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certs.crt("server"), certs.key("server"))
        self.server = badpg.BadServer(self.script)
        self.port = self.server.port

    def script(self, conn):
        size, code = struct.unpack("!ii", conn.read(8))
        if code == rawpg.SSL_REQUEST and self.tls:
            conn.send(b"S")
            conn.sock = self.tls.wrap_socket(conn.sock, server_side=True)
            conn.startup()
        elif code == rawpg.SSL_REQUEST:
            conn.send(b"N")
            conn.startup()
        else:
            conn.read(size - 8)
        conn.send(badpg.message("R", struct.pack("!i", 3)))
        kind, body = conn.recv()
        (self.given if isinstance(conn.sock, ssl.SSLSocket) else self.plain).append(
            (time.time(), body.rstrip(b"\0").decode()))
        conn.send(badpg.GREETING)
        conn.serve()

    def stop(self):
        self.server.stop()


def iam_proxy(sluice, aws, certs, server, env=None, **settings):
    tls = {"server_tls_sslmode": "verify-full", "server_tls_ca_file": certs.crt("ca"), **settings}
    return sluice(databases={"sec": "dbname=app secret=rw"},
                  secrets={"rw": f"provider=rds-iam host=localhost port={server.port} user=iam_app "
                                 "region=eu-west-9"}, env=env or aws.env(), **tls)


@pytest.mark.slow
def test_rds_iam(sluice, aws, certs):
    """Goal: each login has a token that was signed with keys that are still good; the keys end every 3 s."""
    aws("life", seconds=3)
    server = RdsLike(certs)
    try:
        s = iam_proxy(sluice, aws, certs, server, server_lifetime=1, env=aws.env(
            AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="",
            AWS_EC2_METADATA_SERVICE_ENDPOINT=aws.url))
        end = time.monotonic() + 7
        while time.monotonic() < end:
            raw = s.raw("app", "sec")
            assert raw.one("select 1") == "1"
            raw.close()
            time.sleep(0.02)
        tokens = {}
        for when, token in server.given:
            tokens.setdefault(token, []).append(when)
        assert len(tokens) >= 3
        for token, used in tokens.items():
            assert aws("rds_verify", token=token) == {
                "host": "localhost", "port": server.port, "user": "iam_app", "region": "eu-west-9"}
            assert max(used) - min(used) < 3.5
            assert token not in s.log()
    finally:
        server.stop()


def refused(s):
    with pytest.raises(psycopg.Error):
        with psycopg.connect(s.dsn("app", "sec")) as c:
            c.execute("select 1")


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_rds_iam_without_tls(sluice, aws, certs, mode):
    """Goal: settings by which a token might go over a connection without TLS are refused, at the start and at
    a reload."""
    server = RdsLike(certs, tls=False)
    try:
        s = iam_proxy(sluice, aws, certs, server)
        s.settings["server_tls_sslmode"] = mode
        s.reload()
        wait_until(lambda: "reload failed" in s.log(), 5, "the reload is refused")
        assert f"found server_tls_sslmode={mode}, expected require" in s.log()
        with pytest.raises(rawpg.ServerError):
            s.admin(f"set server_tls_sslmode = '{mode}'")
        refused(s)
        assert server.plain == []
        s.stop()
        s = iam_proxy(sluice, aws, certs, server, server_tls_sslmode=mode, start=False)
        s.dead_ok = True
        with pytest.raises(AssertionError, match="rds-iam token"):
            s.start()
        s.proc = None
    finally:
        server.stop()


@pytest.mark.parametrize("mode,ca,tls", [("require", "ca", False), ("verify-full", "ca", False),
                                         ("verify-ca", "otherca", True), ("verify-full", "otherca", True)])
def test_rds_iam_needs_tls(sluice, aws, certs, mode, ca, tls):
    """Goal: a token, which is good for anybody who has it, is sent to no server without TLS, and to none whose
    certificate is not as it must be."""
    server = RdsLike(certs, tls)
    try:
        s = iam_proxy(sluice, aws, certs, server, server_tls_sslmode=mode,
                      server_tls_ca_file=certs.crt(ca), query_wait_timeout=1)
        refused(s)
        assert (server.plain, server.given) == ([], [])
    finally:
        server.stop()
