"""Who is measured: pgsluice, pgbouncer, HAProxy in mode tcp, and PostgreSQL itself ("direct").

pgsluice and pgbouncer get the same ini file, since pgsluice reads PgBouncer's dialect. PGSLUICE
may name a pgbouncer too: that is how the benchmark itself is tested.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess

from .rig import DBNAME, HOST, PASSWORD, ROOT, USER, BenchError, free_port, scram_verifier

POOL_SIZE = 20
MAX_CLIENTS = 15000


@dataclasses.dataclass(frozen=True)
class Spec:
    """How a peer is set up; equal specs share one running instance."""
    auth: str = "trust"			# or "scram", with a stored verifier
    client_tls: bool = False
    server_tls: bool = False
    workers: int = 1			# pgsluice only
    pools: int = 0			# 0: the one database; else pool0000, pool0001 ...


@dataclasses.dataclass
class Instance:
    peer: str
    spec: Spec
    port: int
    child: object			# None for direct
    sslmode: str
    fresh: bool = True			# not yet warmed up

    @property
    def pid(self):
        return self.child.pid if self.child else None

    def check(self):
        if self.child is not None and self.child.poll() is not None:
            raise BenchError(f"{self.peer} ended with code {self.child.returncode}")


def pgsluice_path():
    return os.environ.get("PGSLUICE", str(ROOT / "build" / "pgsluice"))


class Peers:
    """Starts instances on demand; a scenario's needs replace those of the one before."""

    def __init__(self, rig):
        self.rig = rig
        self.running = {}
        self.binaries = {
            "pgsluice": find(pgsluice_path()),
            "pgbouncer": find(os.environ.get("PGBOUNCER", "/usr/sbin/pgbouncer")),
            "haproxy": find(os.environ.get("HAPROXY", "/usr/sbin/haproxy")),
        }
        self.versions = {name: version(path) for name, path in self.binaries.items() if path}
        self.verifier = scram_verifier(PASSWORD)

    def is_pgbouncer(self, peer):
        return "pgbouncer" in self.versions.get(peer, "").lower()

    def why_not(self, peer, spec, mode):
        """Why this peer cannot do this, or None."""
        if peer == "direct":
            return None
        if not self.binaries.get(peer):
            return "not installed"
        if peer == "haproxy" and spec != Spec():
            return "relays bytes only"
        if self.is_pgbouncer(peer):
            if mode == "prepared" and self.pgbouncer_number(peer) < (1, 21):
                return "no prepared statements in transaction mode"
            if spec.workers > 1:
                return "one thread"
        return None

    def pgbouncer_number(self, peer):
        found = re.search(r"(\d+)\.(\d+)", self.versions[peer])
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def get(self, peer, spec):
        inst = self.running.get((peer, spec))
        if inst is None:
            inst = self._start(peer, spec)
            self.running[peer, spec] = inst
        return inst

    def keep_only(self, wanted):
        """Ends every instance that is not among these (peer, spec)."""
        for key in [k for k in self.running if k not in wanted]:
            self.drop(*key)

    def drop(self, peer, spec):
        inst = self.running.pop((peer, spec), None)
        if inst:
            self.rig.stop(inst.child)

    def server_count(self):
        """How many connections to PostgreSQL the running poolers may hold while idle."""
        return sum(POOL_SIZE * max(1, min(inst.spec.pools, 2))
                   for (peer, _), inst in self.running.items() if peer not in ("direct", "haproxy"))

    def _start(self, peer, spec):
        sslmode = "require" if spec.client_tls else "disable"
        if peer == "direct":
            return Instance(peer, spec, self.rig.pg_port, None, sslmode, fresh=False)
        port = free_port()
        stem = f"{peer}-{port}"
        if peer == "haproxy":
            conf = self.rig.write(f"{stem}.cfg", haproxy_cfg(port, self.rig.pg_port))
            argv, drop = [self.binaries[peer], "-db", "-f", conf], True
        else:
            secret = self.verifier if spec.auth == "scram" else ""
            self.rig.write(f"{stem}.users", f'"{USER}" "{secret}"\n')
            conf = self.rig.write(f"{stem}.ini", self._ini(peer, spec, port, stem))
            argv, drop = [self.binaries[peer], conf], False
        child = self.rig.spawn(argv, drop=drop, log=f"{stem}.log")
        self.rig.wait_port(child, port, f"{stem}.log")
        return Instance(peer, spec, port, child, sslmode)

    def _ini(self, peer, spec, port, stem):
        where = f"host={HOST} port={self.rig.pg_port} dbname={DBNAME}"
        names = [f"pool{i:04d}" for i in range(spec.pools)] or [DBNAME]
        keys = {
            "listen_addr": HOST, "listen_port": port, "unix_socket_dir": "",
            "auth_type": "scram-sha-256" if spec.auth == "scram" else "trust",
            "auth_file": self.rig.dir / f"{stem}.users", "pool_mode": "transaction",
            "default_pool_size": POOL_SIZE, "max_client_conn": self.max_clients(),
            "log_connections": 0, "log_disconnections": 0, "log_pooler_errors": 0, "log_stats": 0,
            "client_tls_sslmode": "require" if spec.client_tls else "disable",
            "server_tls_sslmode": "require" if spec.server_tls else "disable",
        }
        if spec.client_tls:
            keys["client_tls_cert_file"] = self.rig.dir / "tls.crt"
            keys["client_tls_key_file"] = self.rig.dir / "tls.key"
        if self.rig.account:
            keys["user"] = self.rig.account
        if not self.is_pgbouncer(peer):
            keys["workers"] = spec.workers
        if not self.is_pgbouncer(peer) or self.pgbouncer_number(peer) >= (1, 21):
            keys["max_prepared_statements"] = 100
        return ("[databases]\n" + "".join(f"{n} = {where}\n" for n in names)
                + "[pgbouncer]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()))

    def max_clients(self):
        return min(MAX_CLIENTS, self.rig.fd_limit - 500)


def haproxy_cfg(port, pg_port):
    return f"""global
    nbthread 1
    maxconn 1000
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen pg
    bind {HOST}:{port}
    server pg {HOST}:{pg_port}
"""


def find(path):
    found = shutil.which(path)
    return str(pathlib.Path(found).resolve()) if found else None


def version(path):
    """First line of its version; HAProxy only knows -v."""
    flag = "-v" if path.endswith("haproxy") else "--version"
    done = subprocess.run([path, flag], capture_output=True, text=True, timeout=10, check=False)
    return ((done.stdout or done.stderr).strip().splitlines() or ["unknown"])[0]
