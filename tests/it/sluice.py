"""The program under test: written configuration, process, clients, console.

PGSLUICE names the program (build/pgsluice when unset).  The same tests run against PgBouncer
with PGSLUICE=/usr/sbin/pgbouncer, which checks the tests, not the proxy.
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg

from cluster import PASSWORDS, as_postgres, free_port, give_to_postgres, wait_until
from rawpg import SSL_REQUEST, Closed, Raw, ServerError, request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.abspath(os.environ.get("PGSLUICE", f"{ROOT}/build/pgsluice"))
IS_PGBOUNCER = os.path.basename(PROGRAM) == "pgbouncer"


def built_with(symbol):
    """Does the program hold this symbol, as that of a sanitizer?"""
    if not os.path.isfile(PROGRAM):
        return False
    with open(PROGRAM, "rb") as f:
        return symbol in f.read()


ASAN, TSAN = built_with(b"__asan_init"), built_with(b"__tsan_init")
SANITIZER = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:")


def userlist(users):
    """auth_file text of {user: secret}."""
    def quote(s):
        return '"' + s.replace('"', '""') + '"'
    return "".join(f"{quote(u)} {quote(p)}\n" for u, p in users.items())


class Sluice:
    """One running proxy.  `entries` are {database: keywords of target()} beside app and other,
    `databases` replaces all of them; every keyword not named here is a setting."""

    def __init__(self, pg, entries=None, databases=None, users=None, user_settings=None, env=None,
                 secrets=None, start=True, **settings):
        self.pg, self.proc, self.clients, self.dead_ok = pg, None, [], False
        self.dir = tempfile.mkdtemp(prefix="sluice-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        give_to_postgres(self.dir)
        self.port = free_port()
        self.addr = ("127.0.0.1", self.port)
        self.config = f"{self.dir}/pgsluice.ini"
        self.auth_file = f"{self.dir}/users.txt"
        self.log_path = f"{self.dir}/log"
        self.databases = databases if databases is not None else {
            "app": self.target(), "other": self.target("other")}
        for name, more in (entries or {}).items():
            self.databases[name] = self.target(**more)
        self.users = PASSWORDS if users is None else users
        self.user_settings, self.env = user_settings or {}, env or {}
        self.secrets = secrets or {}
        self.settings = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": self.dir,
            "auth_type": "trust", "auth_file": self.auth_file, "pool_mode": "transaction",
            "admin_users": "admin", "stats_users": "stats", "server_tls_sslmode": "disable",
            "max_client_conn": 1000}
        if not IS_PGBOUNCER and os.environ.get("PGSLUICE_IT_WORKERS"):
            self.settings["workers"] = os.environ["PGSLUICE_IT_WORKERS"]
        self.settings.update(settings)
        self.write()
        if start:
            self.start()

    def target(self, dbname="app", host="127.0.0.1", **more):
        """A [databases] value that leads to the embedded server."""
        more = {"host": host, "port": self.pg.port, "dbname": dbname, **more}
        return " ".join("{}='{}'".format(k, str(v).replace("'", "''")) if " " in str(v)
                        else f"{k}={v}" for k, v in more.items())

    def write(self):
        lines = ["[databases]"] + [f"{k} = {v}" for k, v in self.databases.items()]
        if self.user_settings:
            lines += ["[users]"] + [f"{k} = {v}" for k, v in self.user_settings.items()]
        if self.secrets:
            lines += ["[secrets]"] + [f"{k} = {v}" for k, v in self.secrets.items()]
        lines.append("[pgbouncer]" if IS_PGBOUNCER else "[pgsluice]")
        lines += [f"{k} = {v}" for k, v in self.settings.items() if v is not None]
        with open(self.config, "w") as f:
            f.write("\n".join(lines) + "\n")
        with open(self.auth_file, "w") as f:
            f.write(userlist(self.users))

    # process

    def start(self):
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(as_postgres([PROGRAM, self.config]), cwd=self.dir,
                                         stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         env={**os.environ, **self.env})
        wait_until(self._accepts, 15, "the proxy accepts connections")

    def _accepts(self):
        assert self.proc.poll() is None, f"the proxy ended by itself:\n{self.log()}"
        raw = None
        try:
            raw = Raw(self.addr, 2)
            raw.send(request(SSL_REQUEST))
            return raw.read(1) in b"SN"
        except (OSError, Closed):
            return False
        finally:
            if raw:
                raw.close()

    @property
    def pid(self):
        return self.proc.pid

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.proc.poll() is None

    def kill(self, sig):
        os.kill(self.pid, sig)

    def wait_exit(self, timeout=10):
        return self.proc.wait(timeout)

    def reload(self):
        """Write the configuration again and send SIGHUP."""
        self.write()
        self.kill(signal.SIGHUP)

    def rss_kb(self, field="VmRSS"):
        """In kB; always 0 of a program with AddressSanitizer, whose quarantine and shadow are not what
        a test may judge: its other assertions hold there, those on memory are void."""
        if ASAN:
            return 0
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(field + r":\s+(\d+)", f.read()).group(1))

    def reset_peak(self):
        """Make VmHWM start again from the present size; returns that size in kB."""
        with open(f"/proc/{self.pid}/clear_refs", "w") as f:
            f.write("5")
        return self.rss_kb("VmHWM")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def stop(self):
        """End the proxy and judge how it lived; idempotent."""
        for c in self.clients:
            c.close()
        if self.proc is None:
            shutil.rmtree(self.dir, ignore_errors=True)
            return
        proc, self.proc = self.proc, None
        survived = proc.poll() is None
        if survived:
            proc.send_signal(signal.SIGTERM if IS_PGBOUNCER else signal.SIGQUIT)
        try:
            code = proc.wait(10)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait(10)
            code = "killed: it did not exit within 10 s"
        log = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert survived or self.dead_ok, f"the proxy died with {code}:\n{log[-4000:]}"
        assert code in ((0, 1) if IS_PGBOUNCER else (0,)), f"exit code {code}:\n{log[-4000:]}"
        found = SANITIZER.search(log)
        assert not found, log[max(0, found.start() - 200):][:6000]
        for user, secret in PASSWORDS.items():
            assert secret not in log, f"the log shows the password of {user}"
        if self.pg.running():
            self.pg.terminate()
            wait_until(lambda: self.pg.backends() == 0, 10, "the server connections are gone")

    # clients

    def dsn(self, user="app", dbname="app", **more):
        more = {"host": "127.0.0.1", "port": self.port, "user": user, "dbname": dbname,
                "connect_timeout": 10, "sslmode": "disable", "gssencmode": "disable", **more}
        return psycopg.conninfo.make_conninfo(**more)

    def connect(self, user="app", dbname="app", autocommit=True, prepare_threshold=None, **more):
        conn = psycopg.connect(self.dsn(user, dbname, **more), autocommit=autocommit,
                               prepare_threshold=prepare_threshold)
        self.clients.append(conn)
        return conn

    def socket(self, timeout=10.0):
        """A connected Raw that has sent nothing yet."""
        raw = Raw(self.addr, timeout)
        self.clients.append(raw)
        return raw

    def raw(self, user="app", database="app", password="", timeout=10.0, **params):
        """A logged-in Raw."""
        raw = self.socket(timeout)
        raw.login(user, database, password, **params)
        return raw

    def login_error(self, user="app", database="app", password="", tls=False, **params):
        """The ServerError that a login ends with; None when it succeeds."""
        raw = self.socket()
        try:
            if tls:
                assert raw.tls()
            raw.login(user, database, password, **params)
        except ServerError as e:
            return e
        finally:
            raw.close()
        return None

    def serves(self, within=5.0):
        """Assert that a newcomer is served, in time."""
        before = time.monotonic()
        raw = Raw(self.addr, within)
        try:
            raw.login("app", "app", PASSWORDS["app"])
            assert raw.one("select 7") == "7"
        finally:
            raw.close()
        assert time.monotonic() - before < within

    # console

    def console(self, user="admin", database="pgbouncer"):
        """A Raw on the console, which may say 57P03 in the first moments."""
        deadline = time.monotonic() + 5
        while True:
            try:
                return self.raw(user, database, PASSWORDS.get(user, ""))
            except ServerError as e:
                if e.sqlstate != "57P03" or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def admin(self, sql, user="admin"):
        """The rows of a console command as dicts; raises ServerError."""
        raw = self.console(user)
        try:
            msgs = raw.query(sql)
        finally:
            raw.close()
        names, out = [], []
        for m in msgs:
            if m.kind == "E":
                raise ServerError(m)
            if m.kind == "T":
                names = m.columns
            elif m.kind == "D":
                out.append(dict(zip(names, m.row)))
        return out

    def setting(self, key):
        return [r["value"] for r in self.admin("show config") if r["key"] == key][0]


def outcome(raw):
    """What the peer did next: ('Z', None), ('E', sqlstate) or ('closed', None)."""
    try:
        m = raw.recv()
        while m.kind in "SN":
            m = raw.recv()
        return (m.kind, m.sqlstate if m.kind == "E" else None)
    except Closed:
        return ("closed", None)
