"""The rig: a private folder, every process the benchmark starts, and one throw-away PostgreSQL.

Whatever is started goes through Rig.spawn(), so that leaving the `with` block ends all of it:
normally, on failure, on Ctrl-C and on SIGTERM. Only loopback addresses are used.
"""
import base64
import hashlib
import hmac
import os
import pathlib
import pwd
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
HOST = "127.0.0.1"
USER = "bench"
DBNAME = "bench"
PASSWORD = "bench-only"
MAX_CONNECTIONS = 300


class BenchError(Exception):
    """Something the benchmark needs did not work; its text is for the reader."""


def pg_tool(name):
    """PostgreSQL's own programs are outside PATH on Debian."""
    for folder in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if not found:
        raise BenchError(f"{name} is missing (apt install postgresql)")
    return found


def need(name, package):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise BenchError(f"{name} is missing (apt install {package})")
    return found


def free_port():
    """Below the ephemeral range, or one of 10,000 idle clients may sit on it."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((HOST, port))
                return port
            except OSError:
                continue
    raise BenchError("no free loopback port")


def scram_verifier(password):
    """What PostgreSQL stores for a password: the pooler then never derives keys at a login."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = base64.b64encode(hashlib.sha256(client_key).digest()).decode()
    server = base64.b64encode(hmac.digest(salted, b"Server Key", "sha256")).decode()
    return f"SCRAM-SHA-256$4096:{base64.b64encode(salt).decode()}${stored}:{server}"


def raise_fd_limit():
    """Soft limit up to the hard one, inherited by all; returns what we have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


# Reads "+pid" and "-pid"; when the pipe closes, the benchmark is gone, whatever ended it. A death
# signal set on the children would not do: a pooler that gives up root loses it.
WATCHDOG = """
import os, shutil, signal, sys
alive = set()
for line in sys.stdin:
    (alive.add if line[0] == "+" else alive.discard)(int(line[1:]))
for pid in alive:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class Rig:
    def __init__(self, scale=10):
        self.scale = scale
        self.root = os.geteuid() == 0
        self.account = os.environ.get("BENCH_USER", "postgres") if self.root else None
        self.children = []
        self.watchdog = None
        self.fd_limit = raise_fd_limit()
        self.dir = None
        self.postgres = None
        self.pg_port = None

    def __enter__(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, self._interrupted)
        try:
            self._prepare_folder()
            self._start_postgres()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    @staticmethod
    def _interrupted(_sig, _frame):
        raise KeyboardInterrupt

    def close(self):
        """Ends everything, last started first; signals are put off until it is done."""
        old = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM,
                                                             signal.SIGHUP)}
        try:
            for child in reversed(self.children[:]):
                self.stop(child)
            if self.dir:
                shutil.rmtree(self.dir, ignore_errors=True)
            if self.watchdog:
                self.watchdog.stdin.close()
                self.watchdog.wait(10)
        finally:
            for sig, handler in old.items():
                signal.signal(sig, handler)

    # ---- processes

    def spawn(self, argv, drop=False, log=None, **kw):
        """drop: as the unprivileged account when we are root (setpriv execs, the pid stays)."""
        argv = [str(a) for a in argv]
        if drop and self.account:
            argv = ["setpriv", f"--reuid={self.account}", f"--regid={self.account}",
                    "--init-groups", *argv]
        if log:
            with open(self.dir / log, "ab") as out:
                child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                         start_new_session=True, cwd=self.dir, **kw)
        else:
            child = subprocess.Popen(argv, start_new_session=True, cwd=self.dir, **kw)
        self.children.append(child)
        self._tell_watchdog(f"+{child.pid}")
        return child

    def stop(self, child):
        """Asks twice, then kills. TERM may mean "wait for clients", QUIT means at once."""
        if child is None:
            return
        steps = [(signal.SIGTERM, 0.7), (signal.SIGQUIT, 1.5), (signal.SIGKILL, 5)]
        if child is self.postgres:
            steps = [(signal.SIGINT, 10), (signal.SIGQUIT, 3), (signal.SIGKILL, 5)]
        for sig, patience in steps:
            if child.poll() is not None:
                break
            try:
                child.send_signal(sig)
                child.wait(patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        if child in self.children:
            self.children.remove(child)
            self._tell_watchdog(f"-{child.pid}")

    def _tell_watchdog(self, text):
        self.watchdog.stdin.write(text + "\n")
        self.watchdog.stdin.flush()

    def run(self, argv, timeout=60, drop=False, env=None, check=True):
        """A command to its end; returns (code, stdout, stderr)."""
        child = self.spawn(argv, drop=drop, env=env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{os.path.basename(str(argv[0]))} still ran after {timeout} s")
        finally:
            self.stop(child)
        if check and child.returncode != 0:
            first = (err or out).strip().splitlines()[-1:] or ["no message"]
            raise BenchError(f"{os.path.basename(str(argv[0]))} failed: {first[0]}")
        return child.returncode, out, err

    def own(self, path, mode=0o600):
        """The file to the account that the poolers and PostgreSQL run as."""
        os.chmod(path, mode)
        if self.account:
            who = pwd.getpwnam(self.account)
            os.chown(path, who.pw_uid, who.pw_gid)
        return path

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return self.own(path)

    def wait_port(self, child, port, log, seconds=15):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if child.poll() is not None:
                break
            with socket.socket() as s:
                s.settimeout(1)
                if s.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.05)
        ended = "" if child.poll() is None else f" (exit code {child.returncode})"
        tail = (self.dir / log).read_text(errors="replace").strip().splitlines()[-3:]
        raise BenchError(f"{log[:-4]} did not start{ended}: " + " | ".join(tail))

    # ---- PostgreSQL

    def _prepare_folder(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pgsluice-bench-"))
        self.own(self.dir, 0o711)
        self.watchdog = subprocess.Popen([sys.executable, "-c", WATCHDOG, self.dir], text=True,
                                         stdin=subprocess.PIPE, start_new_session=True)
        need("pgbench", "postgresql")
        openssl = need("openssl", "openssl")
        self.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                  "-keyout", self.dir / "tls.key", "-out", self.dir / "tls.crt"])
        self.own(self.dir / "tls.key")
        self.own(self.dir / "tls.crt", 0o644)

    def _start_postgres(self):
        data = self.dir / "data"
        self.run([pg_tool("initdb"), "-D", data, "-U", USER, "-A", "trust", "-N", "-E", "UTF8",
                  "--locale=C"], drop=True)
        self.pg_port = free_port()
        settings = {
            "listen_addresses": f"'{HOST}'", "port": self.pg_port, "unix_socket_directories": "''",
            "max_connections": MAX_CONNECTIONS, "fsync": "off", "synchronous_commit": "off",
            "full_page_writes": "off", "autovacuum": "off", "jit": "off", "ssl": "on",
            "checkpoint_timeout": "'1h'", "max_parallel_workers_per_gather": 0,
            "ssl_cert_file": f"'{self.dir}/tls.crt'", "ssl_key_file": f"'{self.dir}/tls.key'",
        }
        with open(data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.writelines(f"{k} = {v}\n" for k, v in settings.items())
        self.postgres = self.spawn([pg_tool("postgres"), "-D", data], drop=True,
                                   log="postgres.log")
        self.wait_port(self.postgres, self.pg_port, "postgres.log")
        self.sql(f"create database {DBNAME}", dbname="postgres")
        self.run(["pgbench", "-q", "-i", "-s", self.scale, "-h", HOST, "-p", self.pg_port,
                  "-U", USER, DBNAME], env=client_env("disable"))

    def sql(self, text, dbname=DBNAME):
        """One statement straight to PostgreSQL; waits out its start-up."""
        for attempt in range(100):
            code, out, err = self.run(["psql", "-XAtqc", text, "-h", HOST, "-p", self.pg_port,
                                       "-U", USER, dbname], env=client_env("disable"), check=False)
            if code == 0:
                return out.strip()
            if attempt == 99 or "starting up" not in err:
                raise BenchError(f"psql: {err.strip()}")
            time.sleep(0.1)
        return None

    def settle(self, keep, seconds=5):
        """Until PostgreSQL has at most `keep` children: the last run's 200 backends take a while
        to go, and two such runs back to back would pass max_connections."""
        pid = self.postgres.pid
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                if len(f.read().split()) <= keep:
                    return
            time.sleep(0.05)


def client_env(sslmode):
    """The caller's PG* variables must not reach a measured client."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    env.update(PGSSLMODE=sslmode, PGGSSENCMODE="disable", PGPASSWORD=PASSWORD, LC_ALL="C")
    return env
