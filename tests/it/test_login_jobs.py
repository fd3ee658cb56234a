"""Logins that others judge: LDAP by a real slapd, PAM by a service of our own, and what happens when they hang."""
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from cluster import free_port, give_to_postgres, run, wait_until
from rawpg import Raw
from test_hba import code, attempt, guarded, put  # noqa: F401 (guarded is a fixture)

pytestmark = pytest.mark.beyond_pgbouncer

SLAPD = "/usr/sbin/slapd"
LDAP_PASSWORD = "ldap-Zq81-app"
LDIF = f"""
dn: dc=example,dc=net
objectClass: dcObject
objectClass: organization
dc: example
o: x

dn: uid=app,dc=example,dc=net
objectClass: inetOrgPerson
uid: app
cn: A
sn: A
mail: app@example.net
userPassword: {LDAP_PASSWORD}
"""
CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {crt}
TLSCertificateKeyFile {key}
database mdb
suffix dc=example,dc=net
rootdn cn=root,dc=example,dc=net
rootpw rootpw
directory {dir}/db
access to attrs=userPassword by * auth
access to * by * read
"""


@pytest.fixture(scope="module")
def ldap(root, certs):
    """The port of a slapd, which is ours and ends with the module."""
    if not os.access(SLAPD, os.X_OK):
        pytest.skip("slapd is not installed")
    folder = f"{root}/ldap"
    os.makedirs(f"{folder}/db")
    with open(f"{folder}/slapd.conf", "w") as f:
        f.write(CONF.format(crt=certs.crt("server"), key=certs.key("server"), dir=folder))
    with open(f"{folder}/data.ldif", "w") as f:
        f.write(LDIF)
    run(["/usr/sbin/slapadd", "-f", f"{folder}/slapd.conf", "-l", f"{folder}/data.ldif"])
    port = free_port()
    proc = subprocess.Popen([SLAPD, "-h", f"ldap://127.0.0.1:{port}", "-f", f"{folder}/slapd.conf",
                             "-d", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)

    def answers():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    try:
        wait_until(answers, 10, "slapd listens")
        yield port
    finally:
        proc.terminate()
        proc.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


class Hanging:
    """A server that accepts and never says a word."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port, self.taken = self.sock.getsockname()[1], []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                self.taken.append(self.sock.accept()[0])
            except OSError:
                return

    def close(self):
        # accept() of the thread returns only after a shutdown
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for c in self.taken:
            c.close()


@pytest.fixture
def hanging():
    h = Hanging()
    yield h
    h.close()


def bind_dn(port):
    return f'ldapserver=127.0.0.1 ldapport={port} ldapprefix="uid=" ldapsuffix=",dc=example,dc=net"'


@pytest.mark.parametrize("how", [
    'ldapprefix="uid=" ldapsuffix=",dc=example,dc=net"',
    'ldapbasedn="dc=example,dc=net"',
    'ldapbasedn="dc=example,dc=net" ldapsearchfilter="(mail=$username@example.net)"',
    'ldapbasedn="dc=example,dc=net" ldapbinddn="cn=root,dc=example,dc=net" ldapbindpasswd=rootpw ldaptls=1 '
    'ldapcafile={ca}',
])
def test_ldap(guarded, ldap, certs, how):  # noqa: F811
    """Goal: bind and search, by an HBA line; who is not in the directory or has no password stays out."""
    s = guarded(f'host all all all ldap ldapserver=127.0.0.1 ldapport={ldap} {how.format(ca=certs.crt("ca"))}\n',
                users={"admin": "x"})
    assert code(s, password=LDAP_PASSWORD) is None
    for wrong in ("wrong", "", LDAP_PASSWORD + "x"):
        error = attempt(s, password=wrong)
        assert error.sqlstate == "28000" and error.text == 'LDAP authentication failed for user "app"'
    assert code(s, user="nobody", password=LDAP_PASSWORD) == "28000"
    assert code(s, user="*", password=LDAP_PASSWORD) == "28000"
    assert LDAP_PASSWORD not in s.log() and "rootpw" not in s.log()


def test_ldap_as_auth_type(guarded, ldap):  # noqa: F811
    """Goal: auth_type=ldap with PgBouncer's auth_ldap_options; its password is not shown."""
    s = guarded("", start=False)
    s.settings.update(auth_type="ldap", auth_hba_file=None, admin_users="app",
                      auth_ldap_options=f'ldapserver=127.0.0.1 ldapport={ldap} ldapbasedn="dc=example,dc=net" '
                                        'ldapbinddn="cn=root,dc=example,dc=net" ldapbindpasswd=rootpw')
    s.write()
    s.start()
    assert code(s, password=LDAP_PASSWORD) is None
    assert code(s, password="wrong") == "28000"
    raw = s.raw("app", "pgbouncer", LDAP_PASSWORD)
    shown = {r[0]: r[1] for r in raw.rows("show config")}
    assert shown["auth_ldap_options"] == "***"
    s.settings["auth_ldap_options"] = s.settings["auth_ldap_options"].replace("rootpw", "rootpw2")
    s.reload()
    wait_until(lambda: "auth_ldap_options changed" in s.log())
    assert "rootpw" not in s.log()


def test_ldap_server_down(guarded):  # noqa: F811
    """Goal: a server that is not there is a refusal for the client and a reason in the log."""
    s = guarded(f"host all all all ldap {bind_dn(free_port())}\n")
    assert code(s, password=LDAP_PASSWORD) == "28000"
    assert 'LDAP login of user "app" from 127.0.0.1: ' in s.log()


def test_hanging_ldap_holds_nobody_up(guarded, ldap, hanging):  # noqa: F811
    """Goal: with all threads in a server that hangs, logins by other methods take no longer; who waits
    is refused when its time is up."""
    s = guarded(f"host other all all ldap {bind_dn(hanging.port)}\nhost all app2 all ldap {bind_dn(ldap)}\n"
                "host all all all md5\n", auth_threads=2, client_login_timeout=3, workers=1)
    waiting = []
    for _ in range(6):
        raw = Raw(s.addr)
        raw.start(database="other")
        raw.recv_until("R")
        raw.send(b"p\0\0\0\x08abc\0")
        waiting.append(raw)
    wait_until(lambda: len(hanging.taken) == 2)
    before = time.monotonic()
    for _ in range(10):
        assert code(s) is None
    assert time.monotonic() - before < 2
    for raw in waiting:
        assert raw.recv_until("E")[-1].sqlstate in ("28000", "08006")
        raw.close()
    assert time.monotonic() - before < 8


def test_client_gone_frees_its_place(guarded, hanging):  # noqa: F811
    """Goal: a client that leaves while LDAP is asked is noticed, and its job forgotten."""
    s = guarded(f"host other all all ldap {bind_dn(hanging.port)}\nhost all all all md5\n", auth_threads=1)
    for i in range(5):
        raw = Raw(s.addr)
        raw.start(database="other")
        raw.recv_until("R")
        raw.send(b"p\0\0\0\x08abc\0")
        wait_until(lambda: len(hanging.taken) >= 1)
        raw.reset() if i % 2 else raw.close()
    wait_until(lambda: s.log().count("client unexpected eof during login") >= 5)
    assert code(s) is None


def test_queue_is_bounded(guarded, hanging):  # noqa: F811
    """Goal: beyond the threads and the queue, logins are refused at once, with 53300."""
    s = guarded(f"host other all all ldap {bind_dn(hanging.port)}\nhost all all all md5\n", auth_threads=1)
    waiting, refused = [], 0
    for _ in range(265):
        raw = Raw(s.addr)
        raw.start(database="other")
        raw.recv_until("R")
        raw.send(b"p\0\0\0\x08abc\0")
        waiting.append(raw)
    wait_until(lambda: s.log().count("too many logins wait to be checked") >= 5)
    for raw in waiting[-3:]:
        refused += raw.recv_until("E")[-1].sqlstate == "53300"
    assert refused == 3
    assert code(s) is None
    for raw in waiting:
        raw.close()


@pytest.fixture
def pam(tmp_path_factory):
    """A folder with services whose passwords are checked by a script."""
    folder = str(tmp_path_factory.mktemp("pam"))
    for p in (folder, os.path.dirname(folder), os.path.dirname(os.path.dirname(folder))):
        os.chmod(p, 0o755)

    def write(name, text, mode=0o644):
        with open(f"{folder}/{name}", "w") as f:
            f.write(text)
        os.chmod(f"{folder}/{name}", mode)
        give_to_postgres(f"{folder}/{name}")

    write("check", "#!/bin/sh\n[ \"$PAM_USER\" = app ] && [ \"$(tr -d '\\000')\" = 'pam word' ]\n", 0o755)
    write("host", "#!/bin/sh\n[ \"$PAM_RHOST\" = localhost ]\n", 0o755)
    write("slow", "#!/bin/sh\nsleep 2\n", 0o755)
    exec_ = "auth required pam_exec.so quiet expose_authtok {}/{}\naccount required pam_permit.so\n"
    write("pgsluice", exec_.format(folder, "check"))
    write("second", "auth required pam_permit.so\naccount required pam_permit.so\n")
    write("locked", "auth required pam_permit.so\naccount required pam_deny.so\n")
    write("byhost", exec_.format(folder, "host"))
    write("slowly", exec_.format(folder, "slow"))
    return folder


def test_pam(guarded, pam):  # noqa: F811
    """Goal: the service of the line or of the option decides; a locked account stays out."""
    s = guarded("local all all pam pamservice=locked\nhost other all all pam pamservice=second\n"
                "host all all all pam\n", users={}, auth_pam_config_dir=pam)
    assert code(s, password="pam word") is None
    error = attempt(s, password="wrong")
    assert error.sqlstate == "28000" and error.text == 'PAM authentication failed for user "app"'
    assert code(s, user="nobody", password="pam word") == "28000"
    assert code(s, database="other", password="whatever") is None
    assert code(s, database="other", password="") == "28000"
    assert code(s, via="unix", password="pam word") == "28000"
    assert "pam word" not in s.log()


def test_pam_host_name(guarded, pam):  # noqa: F811
    """Goal: pam_use_hostname tells the module the client's name, else it is told the address."""
    s = guarded("host other all all pam pamservice=byhost pam_use_hostname=1\n"
                "host all all all pam pamservice=byhost\n", auth_pam_config_dir=pam)
    assert code(s, database="other", password="x") is None
    assert code(s, password="x") == "28000"


def test_pam_as_auth_type(guarded, pam):  # noqa: F811
    """Goal: auth_type=pam with auth_pam_service."""
    s = guarded("", start=False)
    s.settings.update(auth_type="pam", auth_hba_file=None, auth_pam_config_dir=pam)
    s.write()
    s.start()
    assert code(s, password="pam word") is None
    assert code(s, password="other word") == "28000"
    s.settings["auth_pam_service"] = "second"
    s.reload()
    wait_until(lambda: code(s, password="other word") is None)


def test_slow_pam_and_shutdown(guarded, pam):  # noqa: F811
    """Goal: the end of the process does not wait for a module."""
    s = guarded("host all all all pam pamservice=slowly\n", auth_pam_config_dir=pam)
    raw = Raw(s.addr)
    raw.start()
    raw.recv_until("R")
    raw.send(b"p\0\0\0\x08abc\0")
    time.sleep(0.3)
    before = time.monotonic()
    s.stop()
    assert time.monotonic() - before < 1.9
    raw.close()
