"""Credentials from Google Secret Manager and Azure Key Vault, played by tests/fake/fake_cloud.py."""
import json
import time

import psycopg
import pytest

from cluster import wait_until
from fakes import NO_CLOUD, Fake, refresh, row, wait_state, write_secret
from test_secrets import Load, folder  # noqa: F401  (folder is a fixture)

pytestmark = pytest.mark.beyond_pgbouncer
AZURE_ID = "https://acme.vault.azure.net/secrets/shop-db"


@pytest.fixture
def cloud():
    fake = Fake("fake_cloud")
    yield fake
    fake.stop()


class User:
    """The database's user whose password the newest version of the secret holds."""

    def __init__(self, pg, cloud, kind):
        self.pg, self.cloud, self.kind, self.n = pg, cloud, kind, 0
        pg.query("drop role if exists cloud_app; create role cloud_app login in role app")
        self.alter()
        self.publish()

    def alter(self):
        self.n += 1
        self.pg.query(f"alter role cloud_app password '{self.password()}'")

    def password(self):
        return f"geheim-cloud-{self.n}"

    def publish(self, text=None):
        name = "projects/acme-prod/secrets/shop-db" if self.kind == "gcp" else "shop-db"
        self.version = self.cloud(f"{self.kind}_put", name=name, text=text or json.dumps(
            {"username": "cloud_app", "password": self.password()}))


def gcp(sluice, cloud, more="", secret_id="projects/acme-prod/secrets/shop-db", **settings):
    return sluice(entries={"sec": {"secret": "rw"}}, secrets={
        "rw": f"provider=gcp-secretmanager secret_id={secret_id} endpoint={cloud.url} {more}"},
        env={**NO_CLOUD, "GCE_METADATA_HOST": f"127.0.0.1:{cloud.port}"}, **settings)


def azure(sluice, cloud, more="", env=None, **settings):
    return sluice(entries={"sec": {"secret": "rw"}}, secrets={
        "rw": f"provider=azure-keyvault secret_id={AZURE_ID} endpoint={cloud.url} {more}"},
        env={**NO_CLOUD, "AZURE_POD_IDENTITY_AUTHORITY_HOST": cloud.url, **(env or {})}, **settings)


def whoami(s, user="app", **kw):
    with psycopg.connect(s.dsn(user, "sec", **kw), autocommit=True) as c:
        return c.execute("select session_user").fetchone()[0]


@pytest.mark.parametrize("start,kind", [(gcp, "gcp"), (azure, "azure")])
def test_rotation(sluice, pg, cloud, start, kind):
    """Goal: a new version is followed, although the database has the password earlier; 0 errors, and with
    tokens that live for 2 s."""
    cloud("tokens", ttl=2)
    user = User(pg, cloud, kind)
    s = start(sluice, cloud, "ttl=1", server_lifetime=1)
    load = Load(s, 20, user="app", dbname="sec")
    load.start()
    wait_state(s, "ok")
    time.sleep(0.5)
    user.alter()
    time.sleep(1.5)
    user.publish()
    wait_until(lambda: row(s)["changes"] == 1, 5, "the new version is in use")
    time.sleep(1.2)
    load.stop()
    assert load.errors == []
    assert row(s)["failures"] == 0
    for word in (user.password(), "ya29.", "eyJ0."):
        assert word not in s.log()


@pytest.mark.parametrize("start,kind", [(gcp, "gcp"), (azure, "azure")])
def test_clients_with_the_former_password(sluice, pg, cloud, start, kind):
    """Goal: clients use the new version before the proxy knows of it, and the former one within its grace."""
    user = User(pg, cloud, kind)
    s = start(sluice, cloud, "min_refresh_interval=0 grace=1", auth_type="scram-sha-256")
    old = user.password()
    assert whoami(s, "cloud_app", password=old) == "cloud_app"
    user.alter()
    user.publish()
    assert whoami(s, "cloud_app", password=user.password()) == "cloud_app"
    assert whoami(s, "cloud_app", password=old) == "cloud_app"
    time.sleep(1.5)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        whoami(s, "cloud_app", password=old)


@pytest.mark.parametrize("start,kind", [(gcp, "gcp"), (azure, "azure")])
def test_faults(sluice, pg, cloud, start, kind):
    """Goal: disabled versions, no answer, no tokens, rubbish: the last good version serves, and is flagged."""
    user = User(pg, cloud, kind)
    s = start(sluice, cloud, "ttl=1 retry_max=1 timeout=1")
    wait_state(s, "ok")
    user.publish("no JSON {")
    user.publish('{"username": "cloud_app"}')
    assert "password" in wait_state(s, "stale")["last_error"]
    user.publish()
    wait_state(s, "ok")
    name = "projects/acme-prod/secrets/shop-db" if kind == "gcp" else "shop-db"
    cloud(f"{kind}_disable", name=name, version=user.version)
    assert "isabled" in wait_state(s, "stale")["last_error"].replace("DISABLED", "isabled")
    user.publish()
    wait_state(s, "ok")
    for fault in ("hang", "garbage"):
        cloud("fault", kind=fault, count=-1)
        wait_state(s, "stale", 5)
        assert whoami(s) == "cloud_app"
        cloud("clear")
        wait_state(s, "ok", 6)
    failures = row(s)["failures"]
    cloud("revoke")			# our token is good no more: another one is got at once
    refresh(s)
    time.sleep(0.5)
    assert row(s)["failures"] == failures


def test_gcp_damage_and_project(sluice, pg, cloud):
    """Goal: a payload whose CRC32C is wrong is refused; a bare name is looked for in the machine's project."""
    User(pg, cloud, "gcp")
    s = gcp(sluice, cloud, "ttl=1", secret_id="shop-db")
    assert whoami(s) == "cloud_app"
    cloud("gcp_damage", on=True)
    assert "CRC32C" in wait_state(s, "stale")["last_error"]
    assert whoami(s) == "cloud_app"


@pytest.mark.parametrize("kind", ["app service", "workload"])
def test_azure_identities(sluice, pg, cloud, folder, kind):  # noqa: F811
    """Goal: the other two ways to an identity: App Service's endpoint, and a Kubernetes service account."""
    User(pg, cloud, "azure")
    cloud("identity", client_id="c-1", assertion="it-Zq81.assertion", header="it-Zq81-header")
    path = write_secret(f"{folder}/assertion", "it-Zq81.assertion")
    env = {"app service": {"IDENTITY_ENDPOINT": f"{cloud.url}/msi/token",
                           "IDENTITY_HEADER": "it-Zq81-header"},
           "workload": {"AZURE_FEDERATED_TOKEN_FILE": path, "AZURE_AUTHORITY_HOST": cloud.url,
                        "AZURE_TENANT_ID": "t-1"}}[kind]
    s = azure(sluice, cloud, "client_id=c-1", env=env, verbose=2)
    assert whoami(s) == "cloud_app"
    assert "it-Zq81" not in s.log()
