"""Credentials from [secrets], by the provider `file`: rotation under load, clients' passwords, faults.

What the providers on the network say and how they fail is tested in test_secrets_aws.py and
test_secrets_vault.py; the rules of the cache in tests/unit/auth/secret_cache_test.c."""
import json
import os
import threading
import time

import psycopg
import pytest

from cluster import give_to_postgres, wait_until

pytestmark = pytest.mark.beyond_pgbouncer


class Rotating:
    """A role whose password lives in a JSON file, as in a mounted Kubernetes Secret."""

    def __init__(self, pg, folder, user="rot_app"):
        self.pg, self.user, self.path, self.n = pg, user, f"{folder}/{user}.json", 0
        pg.query(f"drop role if exists {user}")
        pg.query(f"create role {user} login in role app password '{self.password()}'")
        self.publish()

    def password(self, n=None):
        return f"geheim-{self.user}-{self.n if n is None else n}"

    def alter(self):
        """The database takes the next password; the file still has the old one."""
        self.n += 1
        self.pg.query(f"alter role {self.user} password '{self.password()}'")

    def publish(self, text=None):
        body = text if text is not None else json.dumps(
            {"username": self.user, "password": self.password(), "engine": "postgres"})
        with open(self.path + ".new", "w") as f:
            f.write(body)
        os.chmod(self.path + ".new", 0o600)
        give_to_postgres(self.path + ".new")
        os.rename(self.path + ".new", self.path)


@pytest.fixture
def folder(tmp_path):
    os.chmod(tmp_path, 0o755)
    for p in list(tmp_path.parents)[:3]:
        try:
            os.chmod(p, 0o755)
        except PermissionError:
            pass
    give_to_postgres(str(tmp_path))
    return str(tmp_path)


@pytest.fixture
def rotating(pg, folder):
    return Rotating(pg, folder)


def proxy(sluice, rotating, entry="", **settings):
    return sluice(entries={"sec": {"secret": "rw"}},
                  secrets={"rw": f"provider=file path={rotating.path} {entry}"}, **settings)


def row(s, name="rw"):
    """{column: value} of SHOW SECRETS."""
    with psycopg.connect(s.dsn("admin", "pgbouncer"), autocommit=True) as c:
        cur = c.cursor()
        cur.execute("show secrets")
        names = [d.name for d in cur.description]
        return next(dict(zip(names, r)) for r in cur.fetchall() if r[0] == name)


def whoami(s, **kw):
    with psycopg.connect(s.dsn("app", "sec", **kw), autocommit=True) as c:
        return c.execute("select session_user").fetchone()[0]


def test_server_side(sluice, rotating):
    """Goal: servers log in as the secret's user, whoever the client is, and SHOW SECRETS says so."""
    s = proxy(sluice, rotating)
    assert whoami(s) == rotating.user
    r = row(s)
    assert (r["provider"], r["state"], r["user"], r["calls"]) == ("file", "ok", rotating.user, 1)
    assert rotating.password() not in str(r)


class Load(threading.Thread):
    """Clients that connect and query without pause; counts what succeeds, keeps what fails."""

    def __init__(self, s, clients, **kw):
        super().__init__()
        self.s, self.n, self.kw = s, clients, kw
        self.done, self.errors, self.end = 0, [], False

    def one(self):
        while not self.end:
            try:
                with psycopg.connect(self.s.dsn(**self.kw), autocommit=True) as c:
                    for _ in range(20):
                        c.execute("select 1")
                        self.done += 1
                        if self.end:
                            break
            except psycopg.Error as e:
                self.errors.append(str(e))
                time.sleep(0.05)

    def run(self):
        threads = [threading.Thread(target=self.one) for _ in range(self.n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def stop(self):
        self.end = True
        self.join()


def test_rotation_single_user(sluice, rotating):
    """Goal: the password changes in the database first and in the file later; with servers that live for a
    second nobody sees an error, and what runs goes on."""
    s = proxy(sluice, rotating, server_lifetime=1, default_pool_size=5)
    load = Load(s, 12, user="app", dbname="sec")
    load.start()
    for _ in range(2):
        time.sleep(1.5)
        rotating.alter()
        time.sleep(1.5)		# the gap: new logins are refused
        rotating.publish()
    time.sleep(2)
    before = load.done
    time.sleep(0.5)
    assert load.done > before, "it goes on after the rotations"
    load.stop()
    assert load.errors == []
    assert row(s)["changes"] == 2


def test_rotation_of_users(sluice, pg, folder):
    """Goal: another user takes over: idle servers of the old one end within seconds, busy ones at the end of
    their transaction, a session's own never."""
    a, b = Rotating(pg, folder, "rot_a"), Rotating(pg, folder, "rot_b")
    s = sluice(entries={"sec": {"secret": "rw"}},
               secrets={"rw": f"provider=file path={a.path}"}, default_pool_size=5)
    busy, idle = s.connect(dbname="sec", autocommit=False), s.connect(dbname="sec")
    busy.execute("select 1")
    idle.execute("select 1")
    a.path, path = a.path + ".unused", a.path
    b.path = path
    b.publish()
    wait_until(lambda: row(s)["user"] == "rot_b", 15, "the new user is in use")
    assert whoami(s) == "rot_b"
    assert busy.execute("select session_user").fetchone()[0] == "rot_a"
    busy.commit()
    assert busy.execute("select session_user").fetchone()[0] == "rot_b"
    busy.commit()
    wait_until(lambda: pg.query("select count(*) from pg_stat_activity where usename='rot_a'")
               in (0, "0", [(0,)]), 10, "no server of the old user is left")


def test_client_side(sluice, rotating):
    """Goal: a client logs in with the secret's user and password; the old one is good within its grace, the
    new one at once, a wrong one never."""
    s = proxy(sluice, rotating, "grace=3 ttl=600", auth_type="scram-sha-256")
    old = rotating.password()

    def login(password):
        with psycopg.connect(s.dsn(rotating.user, "sec", password=password)) as c:
            return c.execute("select session_user").fetchone()[0]

    assert login(old) == rotating.user
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        login("wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        with psycopg.connect(s.dsn("nobody_at_all", "sec", password=old)):
            pass
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        with psycopg.connect(s.dsn(rotating.user, "app", password=old)):
            pass
    rotating.alter()
    rotating.publish()
    assert login(rotating.password()) == rotating.user
    assert login(old) == rotating.user, "within its grace"
    time.sleep(3.5)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        login(old)
    assert login(rotating.password()) == rotating.user


@pytest.mark.parametrize("method", ["md5", "plain"])
def test_client_side_other_methods(sluice, rotating, method):
    """Goal: users of a secret come in by the other password methods too."""
    s = proxy(sluice, rotating, auth_type=method)
    with psycopg.connect(s.dsn(rotating.user, "sec", password=rotating.password())) as c:
        assert c.execute("select session_user").fetchone()[0] == rotating.user
    with pytest.raises(psycopg.OperationalError):
        with psycopg.connect(s.dsn(rotating.user, "sec", password="wrong")):
            pass


@pytest.mark.parametrize("text,word", [
    ("{", "ends"), ('{"username": "x"}', "password"), ('{"username":"x","password":"a\\u0000b"}', "NUL"),
    (json.dumps({"username": "x", "password": "y" * 5000}), "longer"), ("[1]", "object")])
def test_bad_value(sluice, rotating, text, word):
    """Goal: a version that cannot be used leaves the last good one in use, and the log says what is wrong."""
    s = proxy(sluice, rotating, "format=json")
    assert whoami(s) == rotating.user
    rotating.publish(text)
    wait_until(lambda: row(s)["state"] == "stale", 15, "the fault is seen")
    assert word in row(s)["last_error"], row(s)
    assert whoami(s) == rotating.user
    assert word in s.log()
    rotating.publish()
    wait_until(lambda: row(s)["state"] == "ok", 15, "it is well again")


def test_gone(sluice, rotating):
    """Goal: a file that is removed is served stale, and said so."""
    s = proxy(sluice, rotating)
    assert whoami(s) == rotating.user
    os.unlink(rotating.path)
    wait_until(lambda: row(s)["state"] == "stale", 15, "the loss is seen")
    assert whoami(s) == rotating.user


def test_cold(sluice, rotating):
    """Goal: clients that come before there is a secret wait and are served as soon as it is there."""
    os.unlink(rotating.path)
    s = proxy(sluice, rotating, auth_type="scram-sha-256")
    got = []

    def client():
        with psycopg.connect(s.dsn(rotating.user, "sec", password=rotating.password())) as c:
            got.append(c.execute("select session_user").fetchone()[0])

    threads = [threading.Thread(target=client) for _ in range(20)]
    for t in threads:
        t.start()
    time.sleep(0.7)
    assert got == []
    rotating.publish()
    for t in threads:
        t.join(15)
    assert got == [rotating.user] * 20


def test_refresh(sluice, rotating):
    """Goal: REFRESH SECRET asks at once, an unknown name is an error, stats users may not."""
    s = proxy(sluice, rotating)
    wait_until(lambda: row(s)["state"] == "ok", 5, "it is there")
    before = row(s)["calls"]
    assert row(s)["next_refresh"] in range(140, 301)
    with psycopg.connect(s.dsn("admin", "pgbouncer"), autocommit=True) as c:
        c.execute("refresh secret rw")
        with pytest.raises(psycopg.Error, match="no such secret"):
            c.execute("refresh secret nope")
        with pytest.raises(psycopg.Error, match="REFRESH SECRET name"):
            c.execute("refresh rw")
    wait_until(lambda: row(s)["calls"] > before, 5, "it was asked")
    with psycopg.connect(s.dsn("stats", "pgbouncer"), autocommit=True) as c:
        assert c.execute("show secrets").fetchone()[0] == "rw"
        with pytest.raises(psycopg.Error):
            c.execute("refresh secret rw")


def test_reload(sluice, pg, folder, rotating):
    """Goal: a reload adds, changes and removes secrets; a faulty one changes nothing."""
    s = proxy(sluice, rotating)
    assert whoami(s) == rotating.user
    other = Rotating(pg, folder, "rot_other")
    s.secrets["rw"] = "provider=nowhere"
    s.reload()
    wait_until(lambda: "reload failed" in s.log(), 5, "the fault is told")
    assert "expected one of aws-secretsmanager" in s.log()
    assert whoami(s) == rotating.user
    s.secrets = {"rw": f"provider=file path={other.path}"}
    s.reload()
    wait_until(lambda: row(s)["user"] == "rot_other", 5, "the changed entry is in force")
    assert whoami(s) == "rot_other"
    s.secrets = {}
    s.databases["sec"] = s.target()
    s.reload()
    wait_until(lambda: "no longer in the configuration" in s.log(), 5, "it is removed")
    time.sleep(0.3)
    assert whoami(s) == "app"


def test_entry_gets_another_user(sluice, rotating):
    """Goal: a client of a pool whose entry got another user by a reload is told to connect again, and is never
    logged in under the name of the pool."""
    s = proxy(sluice, rotating)
    old = s.connect(dbname="sec")
    assert old.execute("select session_user").fetchone()[0] == rotating.user
    s.secrets = {}
    s.databases["sec"] = s.target()
    s.reload()
    wait_until(lambda: "no longer in the configuration" in s.log(), 5, "the reload is done")
    time.sleep(0.5)
    with pytest.raises(psycopg.OperationalError, match="connect again"):
        old.execute("select 1")
    assert whoami(s) == "app"


def test_nothing_shows_it(sluice, rotating):
    """Goal: no value in the log at the highest verbosity, in SHOW, or in what the kernel shows of us."""
    s = proxy(sluice, rotating, auth_type="scram-sha-256", verbose=2)
    with psycopg.connect(s.dsn(rotating.user, "sec", password=rotating.password())) as c:
        c.execute("select 1")
    with psycopg.connect(s.dsn("admin", "pgbouncer", password="it-Zq81-admin"), autocommit=True) as c:
        shown = "".join(str(c.execute(f"show {v}").fetchall())
                        for v in ("secrets", "config", "databases", "servers", "clients", "pools"))
    assert rotating.password() not in shown
    assert rotating.password() not in s.log()
    for name in ("cmdline", "environ"):
        with open(f"/proc/{s.pid}/{name}", "rb") as f:
            assert rotating.password().encode() not in f.read()
