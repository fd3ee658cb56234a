"""No value of a secret, and no key that opens a source of them, is to be seen: not in the log, not on the
console, not in what the kernel shows of us and of our children, not in a core file."""
import os
import re

import psycopg
import pytest

from cluster import PASSWORDS, wait_until
from fakes import NO_CLOUD, Aws, AwsSecret, Vault, refresh, row, wait_state, write_secret
from test_secrets import folder  # noqa: F401  (a fixture)

pytestmark = pytest.mark.beyond_pgbouncer
SESSION_TOKEN, VAULT_TOKEN = "it-Zq81-aws-session-token", "it-Zq81-hvs-token"
SECRET_ID, ENV_SECRET = "it-Zq81-approle-secret-id", "it-Zq81-env-secret"


@pytest.fixture
def sources(pg, folder):  # noqa: F811
    """The fakes, a secret of each, and the lines of [secrets]."""
    aws, vault = Aws(), Vault(pg)
    try:
        yield Sources(pg, folder, aws, vault)
    finally:
        aws.stop()
        vault.stop()


class Sources:
    def __init__(self, pg, folder, aws, vault):  # noqa: F811
        self.aws, self.vault, self.folder = aws, vault, folder
        self.secret = AwsSecret(pg, aws)
        aws("keys", id="ASIASECRECY", secret=aws.SECRET, token=SESSION_TOKEN)
        vault("token", token=VAULT_TOKEN, ttl=600)
        vault("approle", role_id="r-1", secret_id=SECRET_ID)
        for name in ("one", "two"):
            vault("kv_put", path=name, data={"username": "kv_app", "password": f"geheim-kv-{name}"})
        profile = write_secret(f"{folder}/aws.ini", f"[default]\naws_access_key_id=ASIASECRECY\n"
                               f"aws_secret_access_key={aws.SECRET}\naws_session_token={SESSION_TOKEN}\n")
        token = write_secret(f"{folder}/token", VAULT_TOKEN)
        sid = write_secret(f"{folder}/sid", SECRET_ID)
        plain = write_secret(f"{folder}/plain", "geheim-file")
        script = write_secret(f"{folder}/print", f"#!/bin/sh\ncat {folder}/plain\nsleep 2\n", 0o755)
        self.env = {**NO_CLOUD, "AWS_SHARED_CREDENTIALS_FILE": profile, "AWS_REGION": "eu-west-9",
                    "DB_SECRET": ENV_SECRET}
        self.lines = {
            "rw": aws.entry(self.secret.name, "ttl=2 min_refresh_interval=0"),
            "kv1": vault.entry("vault-kv", f"path=one token_file={token}"),
            "kv2": vault.entry("vault-kv", f"path=two auth_method=approle role_id=r-1 secret_id_file={sid}"),
            "env": "provider=env secret_id=DB_SECRET user=env_app",
            "file": f"provider=file path={plain} user=file_app",
            "exec": f"provider=exec command={script} user=exec_app"}

    def words(self):
        return [self.aws.SECRET, SESSION_TOKEN, VAULT_TOKEN, SECRET_ID, ENV_SECRET, "geheim-"] + [
            w for w in PASSWORDS.values()]

    def proxy(self, sluice, **settings):
        s = sluice(entries={"sec": {"secret": "rw"}}, secrets=self.lines, env=self.env,
                   auth_type="scram-sha-256", server_lifetime=1, **settings)
        for name in self.lines:
            wait_state(s, "ok", name=name)
        return s


def login(s, user, password):
    with psycopg.connect(s.dsn(user, "sec", password=password), autocommit=True) as c:
        return c.execute("select session_user").fetchone()[0]


def found(words, data):
    return [w for w in words if w.encode() in data]


def a_full_life(s, sources):
    """Logins good and bad, a rotation, refreshes, each kind of fault with a body that shows secrets."""
    old = sources.secret.password
    assert login(s, sources.secret.user, old) == sources.secret.user
    for password in ("it-wrong", old + "x"):
        with pytest.raises(psycopg.OperationalError):
            login(s, sources.secret.user, password)
    sources.secret.create()
    sources.secret.set()
    assert login(s, sources.secret.user, sources.secret.password) == sources.secret.user
    sources.secret.finish()
    for kind in ("invalid_signature", "garbage", "access_denied"):
        sources.aws("fault", path="secretsmanager", kind=kind, count=-1)
        wait_state(s, "stale rotating")
        wait_until(lambda: row(s)["last_error"], 5, "the fault is seen")
        sources.aws("clear")
        wait_until(lambda: not row(s)["last_error"], 8, "it is well again")
    for text in ('{"username": "x", "password": "geheim-\\u0000"}', "geheim-" + "y" * 5000, "{geheim-"):
        sources.aws("put", name=sources.secret.name, text=text, version="bad-" + str(len(text)) * 20)
        refresh(s)
        wait_until(lambda: row(s)["last_error"], 5, "a bad value is seen")
        sources.secret.publish(sources.secret.user, sources.secret.password)
        refresh(s)
        wait_until(lambda: not row(s)["last_error"], 5, "it is well again")
    assert login(s, sources.secret.user, sources.secret.password) == sources.secret.user


def shown(s):
    """All that the console shows to an admin."""
    out = []
    for view in ("help", "version", "config", "databases", "users", "pools", "clients", "servers", "stats",
                 "lists", "sockets", "active_sockets", "secrets", "mem", "fds", "dns_hosts", "state",
                 "totals", "peers", "active_peers", "stats_totals", "stats_averages"):
        raw = s.console()
        try:
            out += [m.body for m in raw.query(f"show {view}")]
        finally:
            raw.close()
    return b"".join(out)


@pytest.mark.slow
def test_log_console_kernel(sources, sluice):
    """Goal: after a life with everything in it, at the highest verbosity, nothing of it is to be seen."""
    s = sources.proxy(sluice, verbose=2)
    a_full_life(s, sources)
    s.secrets["kv1"] += " ttl=77"
    s.reload()
    wait_until(lambda: "77" in s.log() or "reload" in s.log().lower(), 5, "the reload is told")
    words = sources.words()
    assert found(words, shown(s)) == []
    assert found(words, s.log().encode()) == []
    for name in ("cmdline", "environ", "status"):
        with open(f"/proc/{s.pid}/{name}", "rb") as f:
            assert found(words, f.read()) == [], name


def children(pid):
    out = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children") as f:
                out |= {int(w) for w in f.read().split()}
        except OSError:
            pass
    return out


def test_children(sources, sluice):
    """Goal: a command of provider=exec sees nothing that it has not been told: not the value of provider=env
    (which has gone from our own environment, too), no file of ours, no password."""
    s = sources.proxy(sluice)
    refresh(s, "exec")
    pids = wait_until(lambda: children(s.pid), 5, "the command runs")
    for pid in pids:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as f:
                data = f.read()
            assert found(sources.words(), data) == []
            assert b"DB_SECRET" not in data
        fds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert not [fd for fd in fds if fd.startswith(("socket:", "anon_inode:"))], fds


def test_no_core_file(sources, sluice):
    """Goal: the program writes no core file, whatever limit it is started with."""
    s = sources.proxy(sluice)
    with open(f"/proc/{s.pid}/limits") as f:
        assert re.search(r"Max core file size\s+0\s+0\s", f.read())
    s.dead_ok = True
    s.kill(6)
    assert s.wait_exit() == -6
    assert not [f for f in os.listdir(s.dir) if "core" in f]
    s.proc = None


def core_of(pid):
    """What a core file of the process would hold: its memory but for what it keeps out of them."""
    out, left_out, last = [], 0, None
    with open(f"/proc/{pid}/smaps") as f, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                last = line.split()
            elif line.startswith("VmFlags:") and "r" in last[1]:
                flags = line.split()
                left_out += "dd" in flags and "lo" in flags
                if "dd" not in flags and "io" not in flags and last[-1] != "[vsyscall]":
                    start, end = (int(x, 16) for x in last[0].split("-"))
                    mem.seek(start)
                    out.append(mem.read(end - start))
    assert left_out, "there is memory that is locked and left out"
    return b"".join(out)


def test_memory(sources, sluice):
    """Goal: a core file that a debugger makes all the same holds none of the keys that open a source, and no
    value that nobody has logged in with: they are in memory that is locked and left out of core files, and
    copies are wiped.  (libpq keeps its own copy of a password for as long as a server connection lives.)"""
    if os.getuid() != 0:
        pytest.skip("needs root")
    s = sources.proxy(sluice)
    assert login(s, sources.secret.user, sources.secret.password) == sources.secret.user
    for name in sources.lines:
        refresh(s, name)
    for name in sources.lines:
        wait_until(lambda: row(s, name)["calls"] >= 2, 5, f"{name} was asked again")
        wait_state(s, "ok", name=name)
    core = core_of(s.pid)
    assert b"pgsluice" in core
    words = [sources.aws.SECRET, SESSION_TOKEN, VAULT_TOKEN, SECRET_ID, ENV_SECRET, "geheim-file"]
    assert found(words, core) == []
