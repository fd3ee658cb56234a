"""Credentials from Vault: dynamic roles that are really made and dropped in the embedded PostgreSQL
(tests/fake/fake_vault.py), static roles, KV, and our own logins to Vault."""
import time

import psycopg
import pytest

from cluster import wait_until
from fakes import NO_CLOUD, Vault, refresh, row, settles, wait_state, write_secret
from test_secrets import Load, folder  # noqa: F401  (folder is a fixture)

pytestmark = pytest.mark.beyond_pgbouncer
TOKEN = "it-Zq81-vault-token"


@pytest.fixture
def vault(pg):
    fake = Vault(pg)
    fake("token", token=TOKEN)
    yield fake
    fake.stop()


def proxy(sluice, vault, provider, more, env=None, **settings):
    return sluice(entries={"sec": {"secret": "rw"}}, secrets={"rw": vault.entry(provider, more)},
                  env=env or {**NO_CLOUD, "VAULT_TOKEN": TOKEN}, **settings)


def dynamic(sluice, vault, ttl, max_ttl, more="grace=1", **settings):
    vault("dynamic_role", name="app", ttl=ttl, max_ttl=max_ttl, group="app")
    return proxy(sluice, vault, "vault-database", f"role=app {more}", **settings)


def whoami(s, user="app", **kw):
    with psycopg.connect(s.dsn(user, "sec", **kw), autocommit=True) as c:
        return c.execute("select session_user").fetchone()[0]


def goes_on(load, within=5):
    before = load.done
    wait_until(lambda: load.done > before + 20, within, "the load goes on")


class Loaded:
    """with Loaded(s): a load for as long, of which no client may see an error."""

    def __init__(self, s, clients=20, **kw):
        self.load = Load(s, clients, **{"user": "app", "dbname": "sec", **kw})

    def __enter__(self):
        self.load.start()
        return self.load

    def __exit__(self, kind, *_):
        if kind is None:
            try:
                goes_on(self.load)
            finally:
                self.load.stop()
            assert self.load.errors == []
        self.load.stop()


# ---- dynamic roles ----

@pytest.mark.slow
def test_generations(vault, sluice):
    """Goal: roles that live for 4 s at most, whatever is renewed: several generations under load with 0
    errors, each old role given back and dropped soon after its last connection, all at the end."""
    s = dynamic(sluice, vault, 2, 4, default_pool_size=10)
    seen, most = set(), 0
    with Loaded(s, 50):
        end = time.monotonic() + 7
        while time.monotonic() < end:
            roles = vault.roles()
            seen |= roles
            most = max(most, len(roles))
            time.sleep(0.1)
    assert len(seen) >= 3
    assert most <= 3, "the one in use, the one before, and one that is just being made or dropped"
    assert row(s)["changes"] == vault.count("GET /v1/database/creds/app") - 1
    assert "is revoked" in s.log()
    s.stop()
    assert (vault("leases"), vault.roles()) == ([], set())


@pytest.mark.slow
def test_renewal(vault, sluice):
    """Goal: as long as Vault renews the lease the same role stays in use, and its own end in PostgreSQL
    moves with it."""
    s = dynamic(sluice, vault, 2, 60, server_lifetime=1)
    with Loaded(s):
        user = wait_state(s, "ok")["user"]
        time.sleep(4)
        assert row(s)["user"] == user
    assert vault.roles() == {user}
    assert vault.count("sys/leases/renew") >= 2
    assert (vault.count("creds/app"), row(s)["changes"]) == (1, 0)


def test_busy_connections_of_a_former_role(vault, sluice):
    """Goal: who is in a transaction when another role takes over ends it as the former one; that lease is
    given back after it only."""
    s = dynamic(sluice, vault, 4, 4)
    busy = s.connect(dbname="sec", autocommit=False)
    former = busy.execute("select session_user").fetchone()[0]
    wait_until(lambda: row(s)["user"] != former, 6, "another role takes over")
    assert whoami(s) != former
    assert former in vault.roles()
    assert busy.execute("select session_user").fetchone()[0] == former
    busy.commit()
    wait_until(lambda: former not in vault.roles(), 3, "its lease is given back")


def test_given_back_at_shutdown(vault, sluice):
    """Goal: a proxy that ends leaves no lease, neither of the role in use nor of the one before."""
    s = dynamic(sluice, vault, 60, 60, "grace=60")
    first = whoami(s)
    refresh(s)
    wait_until(lambda: row(s)["changes"] == 1, 5, "another role is in use")
    assert whoami(s) != first
    s.stop()
    assert vault("leases") == []
    assert vault.roles() == set()


def test_given_back_when_gone_from_the_configuration(vault, sluice):
    """Goal: an entry that a reload removes gives its lease back."""
    s = dynamic(sluice, vault, 60, 60)
    assert whoami(s).startswith("v-")
    s.secrets = {}
    s.databases["sec"] = s.target()
    s.reload()
    wait_until(lambda: "no longer in the configuration" in s.log(), 5, "it is removed")
    time.sleep(0.3)			# every worker has heard of it
    assert whoami(s) == "app"
    wait_until(lambda: vault.roles() == set(), 5, "the role is dropped")


@pytest.mark.parametrize("kind", ["lease", "role"])
def test_revoked_by_others(vault, sluice, pg, kind):
    """Goal: somebody revokes the lease, or drops the role: the next login is refused, another role is asked
    for, nobody sees an error."""
    s = dynamic(sluice, vault, 60, 60, "grace=1 min_refresh_interval=0", server_lifetime=1)
    with Loaded(s) as load:
        goes_on(load)
        user = row(s)["user"]
        if kind == "lease":
            vault("revoke_lease", id=vault("leases")[0]["id"])
        else:
            pg.query(f'drop owned by "{user}"; drop role "{user}"')
        wait_until(lambda: row(s)["user"] != user, 8, "another role is in use")
    assert row(s)["forced"] >= 1


# ---- Vault is away ----

@pytest.mark.slow
def test_vault_fails_while_serving(vault, sluice):
    """Goal: while a lease lasts its role serves, whatever Vault says; another one is got afterwards."""
    s = dynamic(sluice, vault, 20, 60, "retry_max=1 timeout=1", server_lifetime=1)
    with Loaded(s):
        assert wait_state(s, "ok")["user"].startswith("v-")
        for kind in ("sealed", "throttled", "hang", "reset", "garbage", "status", "standby"):
            again = s.log().count("answers again")
            vault("fault", kind=kind, count=-1)
            refresh(s)
            assert wait_state(s, "stale", 5)["last_error"] != ""
            vault("clear")
            refresh(s)
            wait_state(s, "ok", 6)
            assert s.log().count("answers again") == again + 1, kind
    assert row(s)["failures"] >= 7


def test_ended_while_vault_is_away(vault, sluice):
    """Goal: a lease that has ended is not used any more; clients wait, and are served when Vault is back."""
    s = dynamic(sluice, vault, 2, 60, "retry_max=1 timeout=1 grace=1", query_wait_timeout=20)
    whoami(s)
    vault("fault", kind="sealed", count=-1)
    wait_state(s, "expired", 6)
    raw = s.socket(15)
    raw.start("app", "sec")
    time.sleep(1)
    vault("clear")
    answer = raw.first_answer("select session_user")
    assert answer.kind == "D", answer
    assert answer.row[0].startswith("v-")
    wait_state(s, "ok")


# ---- static roles, KV ----

@pytest.mark.slow
def test_static_role(vault, sluice, pg):
    """Goal: Vault changes the password of one user every 3 s, first in the database and then for those who
    ask: 0 errors with servers that live for a second."""
    pg.query("drop role if exists vault_static; create role vault_static login in role app")
    vault("static_role", name="web", username="vault_static", period=3)
    s = proxy(sluice, vault, "vault-database", "role=web role_type=static min_refresh_interval=0",
              server_lifetime=1)
    with Loaded(s, 30):
        time.sleep(7)
    assert row(s)["changes"] >= 2
    assert row(s)["user"] == "vault_static"
    assert vault.count("static-creds/web") <= 16


def kv(pg, vault, n, **more):
    """The n-th version of a KV secret whose user has that password."""
    password = f"geheim-kv-{n}"
    known = pg.query("select 1 from pg_roles where rolname = 'vault_kv'")
    pg.query(f"{'alter' if known else 'create'} role vault_kv login in role app password '{password}'"
             if not known else f"alter role vault_kv password '{password}'")
    return vault("kv_put", path="apps/shop", data={"username": "vault_kv", "password": password}, **more)


def test_kv(vault, sluice, pg):
    """Goal: versions of a KV secret are followed; the database has the new password for a while already; a
    deleted version is flagged and stays in use."""
    kv(pg, vault, 1)
    s = proxy(sluice, vault, "vault-kv", "path=apps/shop ttl=1", server_lifetime=1)
    with Loaded(s):
        assert wait_state(s, "ok")["version"] == "1"
        pg.query("alter role vault_kv password 'geheim-kv-2'")
        time.sleep(1.5)
        kv(pg, vault, 2)
        wait_until(lambda: row(s)["version"] == "2", 5, "version 2 is in use")
        vault("kv_delete", path="apps/shop", version=2)
        wait_state(s, "stale deleted", 5)
        time.sleep(1.2)
    assert whoami(s) == "vault_kv"


# ---- our own logins ----

def test_approle(vault, sluice, pg, folder):  # noqa: F811
    """Goal: an AppRole whose token ends every 2 s logs in again, with the secret_id that its file holds
    then; a secret_id that is refused is told and served through."""
    kv(pg, vault, 1)
    vault("approle", role_id="r-1", secret_id="it-Zq81-sid-1", ttl=2, max_ttl=2)
    path = write_secret(f"{folder}/sid", "it-Zq81-sid-1\n")
    s = proxy(sluice, vault, "vault-kv", "path=apps/shop ttl=1 auth_method=approle role_id=r-1 retry_max=1 "
              f"secret_id_file={path}", env=NO_CLOUD)
    assert whoami(s) == "vault_kv"
    vault("approle", role_id="r-1", secret_id="it-Zq81-sid-2", ttl=2, max_ttl=2)
    r = wait_state(s, "stale", 6)
    assert "invalid role or secret ID" in r["last_error"]
    assert whoami(s) == "vault_kv"
    write_secret(path, "it-Zq81-sid-2\n")
    wait_state(s, "ok", 6)
    assert vault.count("auth/approle/login") >= 3
    assert "it-Zq81-sid" not in s.log()


def test_kubernetes_and_namespace(vault, sluice, folder):  # noqa: F811
    """Goal: a service account's token logs in, in a namespace, and dynamic roles are got with it."""
    vault("kubernetes", role="shop", jwt="it-Zq81.jwt.x", namespace="team-a")
    vault("dynamic_role", name="app", ttl=60, group="app", namespace="team-a", mount="pg/main")
    path = write_secret(f"{folder}/jwt", "it-Zq81.jwt.x")
    s = proxy(sluice, vault, "vault-database", "role=app mount=pg/main namespace=team-a auth_role=shop "
              f"auth_method=kubernetes token_file={path}", env=NO_CLOUD)
    assert whoami(s).startswith("v-app-")


@pytest.mark.slow
def test_our_token_is_renewed(vault, sluice):
    """Goal: a token of 2 s is renewed for as long as Vault allows, and with it the leases it has made."""
    vault("token", token="it-Zq81-short", ttl=2)
    s = dynamic(sluice, vault, 60, 600, env={**NO_CLOUD, "VAULT_TOKEN": "it-Zq81-short"},
                server_lifetime=1)
    with Loaded(s):
        time.sleep(4)
    assert vault.count("renew-self") >= 2
    assert (vault.count("creds/app"), row(s)["state"]) == (1, "ok")


@pytest.mark.slow
def test_our_token_ends(vault, sluice):
    """Goal: tokens of 3 s that nobody can renew: the role, which dies with its token, is replaced by one of
    the next token before that; 0 errors."""
    vault("approle", role_id="r-2", ttl=3, max_ttl=3, renewable=False)
    s = dynamic(sluice, vault, 60, 600, "grace=1 auth_method=approle role_id=r-2", env=NO_CLOUD,
                server_lifetime=1)
    with Loaded(s):
        time.sleep(6)
    assert row(s)["changes"] >= 2
    assert row(s)["failures"] == 0, s.log()


def test_our_token_is_revoked(vault, sluice):
    """Goal: our token is revoked, and all it has made with it: we log in anew and get another role."""
    vault("approle", role_id="r-3", ttl=60)
    s = dynamic(sluice, vault, 60, 600, "grace=1 auth_method=approle role_id=r-3 min_refresh_interval=0",
                env=NO_CLOUD, server_lifetime=1)
    with Loaded(s) as load:
        goes_on(load)
        user = row(s)["user"]
        token = next(e["token"] for e in vault("leases"))
        vault("revoke_token", token=token)
        wait_until(lambda: row(s)["user"] != user, 8, "another role is in use")
    assert vault.count("approle/login") == 2


def test_refused(vault, sluice):
    """Goal: a token without a policy for this is told, once, and asked for with growing pauses only."""
    vault("token", token="it-Zq81-weak", policies=["nothing"])
    s = dynamic(sluice, vault, 60, 600, env={**NO_CLOUD, "VAULT_TOKEN": "it-Zq81-weak"})
    r = wait_state(s, "failing")
    assert "403" in r["last_error"]
    assert settles(lambda: vault.count("creds/app"), 3) <= 12
    assert s.log().count("403") == 1
    assert "it-Zq81-weak" not in s.log()
