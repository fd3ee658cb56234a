"""An embedded PostgreSQL for the integration tests, and the certificates it and the proxy use.

A Cluster is a private, throw-away server on a free port of 127.0.0.1 and 127.0.0.2 and on a Unix
socket.  Every call is bounded in time.  Knows nothing of the proxy.
"""
import glob
import os
import pwd
import shutil
import socket
import subprocess
import time

import psycopg

BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]

# Secrets are odd on purpose: a proxy's log that contains one of them fails the test that made it.
PASSWORDS = {
    "app": "it-Zq81-app",
    "app2": "it-Zq81-app2",
    "md5user": "it-Zq81-md5user",
    "limited": "it-Zq81-limited",
    "we\"ird user": "it-Zq81 we\"ird;=#",
    "admin": "it-Zq81-admin",
    "stats": "it-Zq81-stats",
}


def as_postgres(cmd):
    """The command run as user postgres: neither PostgreSQL nor a pooler runs as root."""
    if os.getuid() != 0:
        return list(cmd)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + list(cmd)


def give_to_postgres(path):
    if os.getuid() == 0:
        who = pwd.getpwnam("postgres")
        os.chown(path, who.pw_uid, who.pw_gid)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(test, timeout=5.0, what="condition"):
    """Poll until test() is true; its value is returned, AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = test()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


def run(cmd, timeout=60, **kw):
    """subprocess.run with a time limit, text output and an assertion of success."""
    done = subprocess.run(cmd, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, stdin=subprocess.DEVNULL, **kw)
    assert done.returncode == 0, f"{cmd} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


class Certs:
    """A CA with certificates for servers and clients, and an unrelated second CA."""

    def __init__(self, root):
        self.root = root
        os.makedirs(root)
        os.chmod(root, 0o755)
        give_to_postgres(root)
        for ca in ("ca", "otherca"):
            self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                          "-nodes", "-days", "30", "-subj", f"/CN=pgsluice test {ca}",
                          "-keyout", self.key(ca), "-out", self.crt(ca))
            self._own(ca)
        both = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        self.issue("server", "localhost", both)
        self.issue("server2", "localhost", both)
        self.issue("client-app", "app")
        self.issue("client-app2", "app2")
        self.issue("client-stranger", "app", ca="otherca")

    def crt(self, name):
        return f"{self.root}/{name}.crt"

    def key(self, name):
        return f"{self.root}/{name}.key"

    def issue(self, name, cn, extension=None, ca="ca"):
        csr, ext = f"{self.root}/{name}.csr", f"{self.root}/{name}.ext"
        with open(ext, "w") as f:
            f.write((extension or "basicConstraints=CA:FALSE") + "\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", f"/CN={cn}", "-keyout", self.key(name), "-out", csr)
        self._openssl("x509", "-req", "-in", csr, "-CA", self.crt(ca), "-CAkey", self.key(ca),
                      "-CAcreateserial", "-days", "30", "-extfile", ext, "-out", self.crt(name))
        self._own(name)

    def _own(self, name):
        os.chmod(self.key(name), 0o600)
        give_to_postgres(self.key(name))

    @staticmethod
    def _openssl(*args):
        run(["openssl"] + list(args))


class Cluster:
    """One PostgreSQL server; `root` must not exist yet."""

    def __init__(self, root, certs):
        self.root, self.certs = root, certs
        self.data, self.log = f"{root}/data", f"{root}/postgres.log"
        self.port = free_port()
        os.makedirs(root)
        give_to_postgres(root)
        run(as_postgres([f"{BIN}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
                         "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]))
        self._write_config()

    def _write_config(self):
        with open(f"{self.data}/postgresql.auto.conf", "a") as f:
            f.write(f"""
port = {self.port}
listen_addresses = '127.0.0.1,127.0.0.2'
unix_socket_directories = '{self.root}'
max_connections = 200
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
jit = off
ssl = on
ssl_cert_file = '{self.certs.crt("server")}'
ssl_key_file = '{self.certs.key("server")}'
ssl_ca_file = '{self.certs.crt("ca")}'
""")
        with open(f"{self.data}/pg_hba.conf", "w") as f:
            f.write("""
local   all  all      trust
host    all  md5user  127.0.0.1/32  md5
host    all  all      127.0.0.0/24  scram-sha-256
""")

    def start(self, wait=True):
        run(as_postgres([f"{BIN}/pg_ctl", "-D", self.data, "-l", self.log, "-w" if wait else "-W",
                         "-s", "start"]), cwd=self.root)

    def stop(self, mode="fast"):
        run(as_postgres([f"{BIN}/pg_ctl", "-D", self.data, "-m", mode, "-w", "-s", "stop"]),
            cwd=self.root)

    def running(self):
        return os.path.exists(f"{self.data}/postmaster.pid")

    def remove(self):
        if self.running():
            self.stop("immediate")
        shutil.rmtree(self.root, ignore_errors=True)

    def populate(self):
        """Roles and databases that the tests share."""
        for user, password in PASSWORDS.items():
            name = user.replace('"', '""')
            if user == "md5user":
                self.query("set password_encryption = 'md5'; "
                           f"create role \"{name}\" login password '{password}'")
                continue
            self.query(f"create role \"{name}\" login password '{password}'")
        self.query("alter role app replication")
        self.query("alter role limited connection limit 2")
        for name in ("app", "other"):
            self.query(f"create database {name} owner app")
            self.query("grant all on schema public to public", dbname=name)

    def dsn(self, user="postgres", dbname="postgres"):
        """Straight to the server over its Unix socket, where everybody is trusted."""
        return f"host={self.root} port={self.port} user={user} dbname={dbname} connect_timeout=5"

    def connect(self, user="postgres", dbname="postgres"):
        return psycopg.connect(self.dsn(user, dbname), autocommit=True, prepare_threshold=None)

    def query(self, sql, params=None, dbname="postgres", user="postgres"):
        with self.connect(user, dbname) as conn:
            cur = conn.execute(sql, params)
            return cur.fetchall() if cur.description else []

    def one(self, sql, params=None, **kw):
        return self.query(sql, params, **kw)[0][0]

    def backends(self, where="true"):
        """How many server connections of poolers exist (the tests' own are user postgres)."""
        return self.one("select count(*) from pg_stat_activity where backend_type in "
                        "('client backend', 'walsender') and usename <> 'postgres' and "
                        f"({where})")

    def terminate(self, where="true"):
        return self.query("select pg_terminate_backend(pid) from pg_stat_activity where "
                          f"backend_type = 'client backend' and usename <> 'postgres' and ({where})")
