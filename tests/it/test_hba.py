"""auth_type=hba: which line decides over TCP, TLS and the Unix socket, every method, reload, faults.

What the lines may say is tested in tests/unit/auth/hba*_test.c; LDAP and PAM in test_login_jobs.py, tokens
in test_jwt.py."""
import os
import socket
import subprocess
import time

import psycopg
import pytest

from cluster import PASSWORDS, as_postgres, give_to_postgres, wait_until
from rawpg import Raw, ServerError
from sluice import PROGRAM
from test_auth import GOOD, SECRETS
from test_tls import context, tls

pytestmark = pytest.mark.beyond_pgbouncer

USERS = {"app": GOOD, "app2": PASSWORDS["app2"], "admin": PASSWORDS["admin"]}


def put(s, name, text):
    path = f"{s.dir}/{name}"
    with open(path, "w") as f:
        f.write(text)
    give_to_postgres(path)
    return path


@pytest.fixture
def guarded(sluice, pg):
    """Factory: a proxy with these rules (and maps), whose server side needs no password."""
    def make(lines, maps=None, users=USERS, start=True, **kw):
        kw.setdefault("entries", {"app": dict(host=pg.root), "other": dict(dbname="other", host=pg.root)})
        s = sluice(start=False, auth_type="hba", users=users, **kw)
        s.settings["auth_hba_file"] = put(s, "hba.conf", lines)
        if maps is not None:
            s.settings["auth_ident_file"] = put(s, "ident.conf", maps)
        s.write()
        if start:
            s.start()
        return s
    return make


def unix(s):
    return f"{s.dir}/.s.PGSQL.{s.port}"


def attempt(s, user="app", database="app", password=GOOD, via="tcp", ctx=None, source=None, **more):
    """None, or the ServerError of a login; via tcp, tls or unix."""
    if source:
        raw = Raw.__new__(Raw)
        raw.addr, raw.buf, raw.params, raw.key, raw.status = s.addr, b"", {}, None, None
        raw.sock = socket.create_connection(s.addr, 10, source_address=(source, 0))
    else:
        raw = Raw(unix(s) if via == "unix" else s.addr)
    try:
        if via == "tls":
            assert raw.tls(ctx)
        raw.login(user, database, password, **more)
        if database not in ("pgbouncer", "pgsluice") and "replication" not in more:
            assert raw.one("select 1") == "1"
        return None
    except ServerError as e:
        return e
    finally:
        raw.close()


def code(*args, **kw):
    error = attempt(*args, **kw)
    return error.sqlstate if error else None


def broken(guarded, lines, maps=None, **kw):
    """The log of a proxy that does not start with these rules."""
    s = guarded(lines, maps, start=False, **kw)
    done = subprocess.run(as_postgres([PROGRAM, s.config]), cwd=s.dir, timeout=10, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode != 0, done.stdout
    return done.stdout


def test_first_line_that_fits_decides(guarded):
    """Goal: lines count from the top, by database, user, address and kind of connection."""
    s = guarded("""
# a comment
local  all    app             trust
host   other  app   127.0.0.1/32     reject
host   all    app2  127.0.0.1  255.255.255.255  trust
host   all    app   127.0.0.0/8      scram-sha-256
host   all    all   0.0.0.0/0        reject
""")
    assert code(s, via="unix", password="") is None
    assert code(s, via="unix", user="app2") == "28000"
    assert code(s, user="app2", password="") is None
    assert code(s) is None
    assert code(s, password="wrong") == "28P01"
    assert code(s, database="other") == "28000"
    assert code(s, user="admin") == "28000"


def test_messages_are_those_of_postgresql(guarded):
    """Goal: 28000 and PostgreSQL's sentences for no line and for reject."""
    s = guarded("host other all all reject\n")
    assert attempt(s).text == ('no pg_hba.conf entry for host "127.0.0.1", user "app", '
                               'database "app", no encryption')
    assert attempt(s, database="other").text == (
        'pg_hba.conf rejects connection for host "127.0.0.1", user "app", database "other", no encryption')
    assert attempt(s, via="unix").text == ('no pg_hba.conf entry for host "[local]", user "app", '
                                           'database "app", no encryption')
    assert attempt(s, replication="true").text.startswith(
        'no pg_hba.conf entry for replication connection from host "127.0.0.1"')


@pytest.mark.parametrize("method", ["md5", "password", "plain", "scram-sha-256"])
@pytest.mark.parametrize("kind", ["plain", "md5", "scram"])
def test_password_methods(guarded, method, kind):
    """Goal: each password method with each kind of secret; strangers look like a wrong password."""
    s = guarded(f"host all all all {method}\n", users={"app": SECRETS[kind]})
    right = None if (method, kind) != ("scram-sha-256", "md5") else "28P01"
    assert code(s) == right
    wrong = attempt(s, password="wrong")
    assert wrong.sqlstate == "28P01"
    stranger = attempt(s, user="nobody", password="wrong")
    assert stranger.sqlstate == "28P01"
    assert stranger.text.replace("nobody", "app") == wrong.text


def test_trust_needs_a_known_user(guarded):
    """Goal: trust lets in who is in auth_file, and nobody else."""
    s = guarded("host all all all trust\n")
    assert code(s, password="") is None
    error = attempt(s, user="nobody", password="")
    assert error.sqlstate == "28000" and error.text == '"trust" authentication failed for user "nobody"'


def test_tls_lines(guarded, certs):
    """Goal: hostssl and hostnossl part encrypted and plain connections."""
    s = guarded("hostssl all app all md5\nhostnossl all app2 all md5\n", **tls(certs, "prefer"))
    assert code(s, via="tls") is None and code(s) == "28000"
    two = dict(user="app2", password=PASSWORDS["app2"])
    assert code(s, **two) is None and code(s, via="tls", **two) == "28000"
    assert "SSL encryption" in attempt(s, via="tls", **two).text


def test_certificates(guarded, certs):
    """Goal: cert takes the name from the certificate, by a map if there is one; clientcert asks for one too."""
    s = guarded("""
hostssl other  all   all  cert map=alias
hostssl all    app2  all  md5  clientcert=verify-full
hostssl all    admin all  md5  clientcert=verify-ca
hostssl all    all   all  cert
""", "alias app app2\nalias /^x(.*)$ \\1\n", **tls(certs, "verify-full"))
    app = dict(via="tls", ctx=context(certs, "client-app"), password="")
    assert code(s, **app) is None
    assert code(s, **{**app, "user": "app2", "password": PASSWORDS["app2"]}) == "28000"
    two = {**app, "ctx": context(certs, "client-app2"), "user": "app2"}
    assert code(s, **{**two, "password": PASSWORDS["app2"]}) is None
    assert code(s, **{**two, "password": "wrong"}) == "28P01"
    assert code(s, **{**app, "user": "admin", "password": "wrong"}) == "28P01"
    assert code(s, **{**app, "database": "other", "user": "app2"}) is None
    error = attempt(s, **{**app, "database": "other"})
    assert error.sqlstate == "28000"
    assert error.text == 'certificate authentication failed for user "app"'
    assert 'the user is not that of the certificate "app", map=alias' in s.log()


def test_certificate_users_have_to_exist(guarded, certs):
    """Goal: a certificate of somebody who is not in auth_file opens nothing."""
    s = guarded("hostssl all all all cert\n", users={"app2": "x"}, **tls(certs, "verify-full"))
    assert code(s, via="tls", ctx=context(certs, "client-app"), password="") == "28000"


def test_peer(guarded):
    """Goal: on the Unix socket the system user comes in, by a map under other names."""
    me = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    s = guarded("local other all peer\nlocal all all peer map=m\n", f"m {me} app\nm nobody app2\n")
    assert code(s, via="unix", password="") is None
    error = attempt(s, via="unix", user="app2", password="")
    assert error.sqlstate == "28000" and error.text == 'Peer authentication failed for user "app2"'
    assert code(s, via="unix", database="other", password="") == "28000"
    assert code(s) == "28000"
    for _ in range(5):
        assert code(s, via="unix", password="") is None


def test_console_goes_the_same_way(guarded):
    """Goal: the console is a database of two names; a line for either stands for both."""
    s = guarded("host pgbouncer admin all scram-sha-256\nhost pgsluice app all reject\n"
                "host all all all trust\n", admin_users="admin,app")
    for name in ("pgbouncer", "pgsluice"):
        assert code(s, user="admin", database=name, password=PASSWORDS["admin"]) is None
        assert code(s, user="admin", database=name, password="wrong") == "28P01"
        assert code(s, user="app", database=name) == "28000"
    assert code(s, user="app", password="") is None


def test_networks_of_this_machine(guarded):
    """Goal: samehost and samenet know our own addresses."""
    s = guarded("host all app samehost trust\nhost all app2 samenet trust\n")
    assert code(s, password="") is None
    assert code(s, user="app2", password="") is None


def test_host_names(guarded):
    """Goal: a name counts when the address leads to it and it leads back; many ask at once."""
    s = guarded("host all app localhost trust\nhost all app2 .example.invalid trust\n")
    assert code(s, password="") is None
    assert code(s, user="app2", password="") == "28000"
    assert code(s, password="", source="127.0.0.9") == "28000"
    for _ in range(20):
        assert code(s, password="") is None


def test_reload(guarded):
    """Goal: new rules hold for new logins; running sessions stay; SHOW says what is in force."""
    s = guarded("host all app all trust\nhost all admin all trust\n")
    raw = s.raw(password="")
    put(s, "hba.conf", "host all app all reject\nhost all admin all trust\n")
    assert code(s, password="") is None
    s.admin("reload")
    wait_until(lambda: code(s, password="") == "28000")
    assert raw.one("select 1") == "1"
    assert s.setting("auth_type") == "hba"


def test_reload_with_faults_changes_nothing(guarded):
    """Goal: all faults of rules and maps are told by line, and the old rules stay in force."""
    s = guarded("host all all all trust\n", "m a b\n")
    put(s, "hba.conf", "host all all all trusty\nhost all all all reject\nhost all all 300.0.0.0/8 md5\n")
    put(s, "ident.conf", "m a\n")
    with pytest.raises(ServerError):
        s.admin("reload")
    log = s.log()
    for word in ("hba.conf:1: ", "hba.conf:3: ", "ident.conf:1: ", "reload failed"):
        assert word in log, word
    assert code(s, password="") is None


@pytest.mark.parametrize("lines,text", [
    ("host all all all trusty\n", 'hba.conf:1: found the method "trusty"'),
    ("host all +staff all md5\n", "hba.conf:1: +role and samerole need auth_user"),
    ("host samerole all all md5\n", "hba.conf:1: +role and samerole need auth_user"),
    ("local all all peer map=x\n", "hba.conf:1: map=x: found no such map in auth_ident_file, which is not set"),
    ("hostssl all all all cert\n", "hba.conf:1: client certificates are asked for only with client_tls_sslmode"),
    ("host all all all jwt\n", "hba.conf:1: jwt: found no jwt_keys"),
    ("host all all all gss\n", 'hba.conf:1: found the method "gss", which is not served'),
    ("host all all all ldap ldapserver=\n", "hba.conf:1: "),
])
def test_faults_at_start(guarded, lines, text):
    """Goal: what cannot work is refused at load, with its place."""
    assert text in broken(guarded, lines)


def test_missing_files(guarded):
    """Goal: a file that is not there, or not named, is told at load."""
    s = guarded("", start=False)
    s.settings["auth_hba_file"] = f"{s.dir}/nowhere"
    s.write()
    done = subprocess.run(as_postgres([PROGRAM, s.config]), timeout=10, text=True, cwd=s.dir,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode != 0 and "nowhere" in done.stdout
    s.settings["auth_hba_file"] = None
    s.write()
    done = subprocess.run(as_postgres([PROGRAM, s.config]), timeout=10, text=True, cwd=s.dir,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert "auth_type=hba: found no auth_hba_file" in done.stdout


def test_clear_text_is_warned_of(guarded):
    """Goal: lines that let passwords cross the network are named at load."""
    s = guarded("local all all password\nhost all all all password\n")
    assert "hba.conf:2: clients may send their password unencrypted" in s.log()
    assert "hba.conf:1: clients" not in s.log()


def test_scram_secrets_are_warned_of(guarded):
    """Goal: one line says that SCRAM secrets do not log in to servers."""
    s = guarded("host all all all md5\n", users={"app": SECRETS["scram"]})
    assert s.log().count("libpq 18 or newer") == 1
    assert "1 user with a SCRAM secret and 2 databases without user= and secret=" in s.log()


def test_users_of_a_secret(guarded, pg, tmp_path):
    """Goal: under trust the user of the database's secret is known; others are not."""
    s = guarded("host all all all trust\n", start=False)
    path = put(s, "db.json", '{"username": "app", "password": "unused"}')
    os.chmod(path, 0o600)
    s.users = {"admin": "x"}
    s.secrets = {"main": f"provider=file path={path}"}
    s.databases = {"app": s.target(host=pg.root, secret="main")}
    s.write()
    s.start()
    assert code(s, password="") is None
    assert code(s, user="app2", password="") == "28000"


def test_a_real_client(guarded, certs):
    """Goal: psycopg comes in by SCRAM over TLS, and reads why not."""
    s = guarded("hostssl all app all scram-sha-256\n", **tls(certs, "prefer"))
    assert s.connect(password=GOOD, sslmode="require").execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="no pg_hba.conf entry"):
        s.connect(password=GOOD, sslmode="disable")


def test_client_that_leaves_while_its_name_is_sought(guarded):
    """Goal: logins that end while they wait harm nobody."""
    s = guarded("host all app localhost trust\nlocal all all peer\n")
    for i in range(30):
        raw = Raw(s.addr if i % 2 else unix(s))
        raw.start()
        raw.reset() if i % 3 else raw.close()
    assert code(s, password="") is None


def test_many_lines(guarded):
    """Goal: thousands of lines load at once and are matched fast."""
    lines = "".join(f"host db{i} user{i} 10.{i // 250}.{i % 250}.0/24 md5\n" for i in range(5000))
    s = guarded(lines + "host all all all trust\n")
    before = time.monotonic()
    for _ in range(50):
        assert code(s, password="") is None
    assert time.monotonic() - before < 5
