"""The fake services of tests/fake as processes of a test, and what the tests of [secrets] share: a secret
whose user really exists in the embedded PostgreSQL, and what SHOW SECRETS says.

The fakes live in processes of their own, so that a test's threads do not slow them down.  Knows nothing of
the proxy but its console.
"""
import http.client
import json
import os
import subprocess
import sys
import time

import psycopg

from cluster import give_to_postgres, wait_until

FAKES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fake")

# What the machine that runs the tests may have set must not lead the proxy to the real services.
NO_CLOUD = {name: "" for name in (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "VAULT_ADDR",
    "VAULT_TOKEN", "VAULT_NAMESPACE", "GOOGLE_APPLICATION_CREDENTIALS", "IDENTITY_ENDPOINT",
    "AZURE_FEDERATED_TOKEN_FILE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
NO_CLOUD.update(AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_CONFIG_FILE="/nonexistent",
                AWS_EC2_METADATA_DISABLED="true")


class Fake:
    """tests/fake/SCRIPT.py with its arguments; fake(op, ...) tells it what to do, see its docstring."""

    def __init__(self, script, *args):
        self.cmd, self.port, self.proc = [sys.executable, f"{FAKES}/{script}.py", *args], 0, None
        self.start()

    def start(self):
        """At the port of before, with nothing in its memory."""
        self.proc = subprocess.Popen(self.cmd + ["--port", str(self.port)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)
        self.port = int(self.proc.stdout.readline().split()[1])

    def stop(self):
        if self.proc is None:
            return
        proc, self.proc = self.proc, None
        proc.stdin.close()
        proc.stdout.close()
        try:
            proc.wait(10)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __call__(self, op, **args):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            conn.request("POST", "/_control", json.dumps({"op": op, **args}))
            answer = conn.getresponse()
            body = answer.read()
            assert answer.status == 200, f"{op}: {answer.status} {body[:300]!r}"
            return json.loads(body)["result"]
        finally:
            conn.close()

    def count(self, word):
        """How many requests so far had `word` in their name."""
        return sum(n for name, n in self("counters").items() if word in name)


class Aws(Fake):
    """Long-term keys are good from the start; keys.env() hands them to a proxy."""

    ID, SECRET = "AKIDITTEST00000001", "it-Zq81-aws/+=SECRETKEY"

    def __init__(self):
        super().__init__("fake_aws")

    def start(self):
        super().start()
        self("keys", id=self.ID, secret=self.SECRET)

    def env(self, **more):
        return {**NO_CLOUD, "AWS_ACCESS_KEY_ID": self.ID, "AWS_SECRET_ACCESS_KEY": self.SECRET,
                "AWS_REGION": "eu-west-9", **more}

    def entry(self, name, more=""):
        """A line of [secrets]."""
        return f"provider=aws-secretsmanager secret_id={name} endpoint={self.url} {more}"

    def calls(self):
        return self.count("GetSecretValue")


class AwsSecret:
    """A secret and the database's role(s) that it is about; steps as of AWS's rotation functions."""

    def __init__(self, pg, aws, user="aws_app", name="prod/db"):
        self.pg, self.aws, self.name, self.n, self.base = pg, aws, name, 0, user
        for one in (user, user + "_clone"):
            pg.query(f"drop role if exists {one}")
        self.publish(user, self.next_password())
        self.set()

    def next_password(self):
        self.n += 1
        return f"geheim-{self.base}-{self.n}"

    def publish(self, user, password, version=None):
        self.user, self.password = user, password
        self.old = None
        self.version = self.aws("put", name=self.name, version=version, text=json.dumps(
            {"engine": "postgres", "username": user, "password": password}))

    def create(self, alternating=False):
        """AWSPENDING appears; nothing else has changed yet."""
        if alternating:
            self.user = self.base if self.user != self.base else self.base + "_clone"
        self.old, self.password = self.password, self.next_password()
        self.aws("rotate", name=self.name, step="create", user=self.user, password=self.password)

    def set(self):
        """The database takes what the newest version says."""
        known = self.pg.query("select 1 from pg_roles where rolname = %s", [self.user])
        verb = "alter" if known else "create"
        more = "" if known else " login in role app"
        self.pg.query(f"{verb} role {self.user}{more} password '{self.password}'")

    def finish(self, leave=False):
        """AWSCURRENT moves; AWS's own functions leave AWSPENDING on the same version."""
        self.aws("rotate", name=self.name, step="leave" if leave else "finish")


class Vault(Fake):
    """Its roles come and go in `pg`; all dynamic ones are of the group app."""

    def __init__(self, pg):
        super().__init__("fake_vault", "--dsn", pg.dsn())
        self.pg = pg

    def roles(self):
        """The names of the roles that leases have made."""
        return {r[0] for r in self.pg.query("select rolname from pg_roles where rolname like 'v-%%'")}

    def entry(self, provider, more=""):
        return f"provider={provider} endpoint={self.url} {more}"


def rows(s):
    """SHOW SECRETS, every row a dict."""
    with psycopg.connect(s.dsn("admin", "pgbouncer", password="it-Zq81-admin"), autocommit=True) as c:
        cur = c.execute("show secrets")
        names = [d.name for d in cur.description]
        return [dict(zip(names, r)) for r in cur.fetchall()]


def row(s, name="rw"):
    return next(r for r in rows(s) if r["name"] == name)


def refresh(s, name="rw"):
    with psycopg.connect(s.dsn("admin", "pgbouncer", password="it-Zq81-admin"), autocommit=True) as c:
        c.execute(f"refresh secret {name}")


def wait_state(s, state, timeout=10, name="rw"):
    """Until the secret is in that state (one word, or several with blanks between)."""
    return wait_until(lambda: (lambda r: r if r["state"] in state.split() else None)(row(s, name)),
                      timeout, f"secret {name} is {state}: {row(s, name)}\n{s.log()[-1500:]}")


def settles(value, within=5.0, quiet=1.0):
    """What value() is once it has not changed for `quiet` seconds."""
    deadline, last, since = time.monotonic() + within, value(), time.monotonic()
    while time.monotonic() - since < quiet and time.monotonic() < deadline:
        time.sleep(0.1)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last


def write_secret(path, text, mode=0o600):
    """Atomically, readable for the proxy only."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.chmod(path + ".new", mode)
    give_to_postgres(path + ".new")
    os.rename(path + ".new", path)
    return path
