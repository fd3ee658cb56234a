"""Configuration files: a wrong one starts nothing and each fault is named."""
import os
import shutil
import socket
import subprocess

import pytest

from cluster import as_postgres, wait_until
from sluice import IS_PGBOUNCER, PROGRAM, Sluice

BEYOND = pytest.mark.beyond_pgbouncer


@pytest.fixture
def attempt(pg):
    """attempt(text) runs the program with that configuration: (exit code, output, path)."""
    made = []

    def one(text, **files):
        s = Sluice(pg, start=False)
        made.append(s)
        for name, content in files.items():
            with open(f"{s.dir}/{name}", "w") as f:
                f.write(content)
        with open(s.config, "w") as f:
            f.write(text.format(dir=s.dir, port=s.port, users=s.auth_file))
        done = subprocess.run(as_postgres([PROGRAM, s.config]), timeout=10, cwd=s.dir,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout, s.config

    yield one
    for s in made:
        s.stop()


HEAD = """[databases]
app = host=127.0.0.1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir = {dir}
auth_type = trust
auth_file = {users}
"""

WRONG = {
    "unknown key": ("no_such_key = 1", "no_such_key"),
    "bad number": ("max_client_conn = many", "max_client_conn"),
    "bad enum": ("pool_mode = sometimes", "pool_mode"),
    "negative": ("default_pool_size = -3", "default_pool_size"),
    "too large": ("max_client_conn = 99999999999999999999", "max_client_conn"),
    "port": ("listen_port = 70000", "listen_port"),
    "no equals sign": ("this is no setting", "this"),
    "unknown section": ("[nonsense]\na = b", "nonsense"),
    "unknown database key": ("[databases]\nx = host=a colour=red", "colour"),
    "bad database value": ("[databases]\nx = host=a pool_size=lots", "pool_size"),
    "open quote": ("[databases]\nx = host='a", "host='a"),
    "unknown user key": ("[users]\nbob = colour=red", "colour"),
}


@pytest.mark.parametrize("fault", [
    f if f in ("unknown key", "bad number", "bad enum", "unknown section") else
    pytest.param(f, marks=BEYOND) for f in WRONG])
def test_fault_stops_the_start(attempt, fault):
    """Goal: with any fault the program exits with 1 and names what is wrong."""
    text, word = WRONG[fault]
    code, out, path = attempt(HEAD + text + "\n")
    assert code == 1 and word.split("=")[0] in out, out
    if not IS_PGBOUNCER:
        line = HEAD.count("\n") + 1 + [word in x for x in text.split("\n")].index(True)
        assert f"{path}:{line}" in out, out


@BEYOND
def test_one_message_per_fault(attempt):
    """Goal: all faults are reported at once, each in one message with its own line."""
    faults = ["no_such_key = 1", "max_client_conn = many", "pool_mode = sometimes"]
    code, out, path = attempt(HEAD + "\n".join(faults) + "\n")
    assert code == 1
    for n, fault in enumerate(faults):
        hits = [line for line in out.splitlines() if f"{path}:{HEAD.count(chr(10)) + 1 + n}" in line]
        assert len(hits) == 1 and fault.split(" ")[0] in hits[0], out


@BEYOND
def test_message_says_what_is_expected(attempt):
    """Goal: the message of a bad enum lists the words, of a bad number its bounds."""
    out = attempt(HEAD + "pool_mode = sometimes\n")[1]
    assert "sometimes" in out and "transaction" in out
    out = attempt(HEAD + "listen_port = 70000\n")[1]
    assert "70000" in out and "65535" in out


def test_missing_file():
    """Goal: a missing configuration file is exit code 1 and its name in the message."""
    done = subprocess.run(as_postgres([PROGRAM, "/nonexistent/x.ini"]), timeout=10, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 1 and "/nonexistent/x.ini" in done.stdout


@BEYOND
def test_missing_auth_file(attempt):
    """Goal: an auth_file that cannot be read stops the start."""
    code, out, _ = attempt(HEAD + "auth_file = /nonexistent/users\n")
    assert code == 1 and "/nonexistent/users" in out


@BEYOND
def test_bad_auth_file(attempt):
    """Goal: a fault in the auth_file is named with its file and line, without the secret."""
    code, out, _ = attempt(HEAD + "auth_file = {dir}/bad\n",
                           bad='"app" "it-Zq81-app"\n"half" "it-Zq81-half\n')
    assert code == 1 and "bad:2" in out and "it-Zq81" not in out


@BEYOND
@pytest.mark.parametrize("setting", ["client_tls_sslmode = require",
                                     "client_tls_sslmode = require\n"
                                     "client_tls_cert_file = /nonexistent/c\n"
                                     "client_tls_key_file = /nonexistent/k"])
def test_tls_without_certificate(attempt, setting):
    """Goal: TLS without a usable certificate stops the start."""
    code, out, _ = attempt(HEAD + setting + "\n")
    assert code == 1 and "tls" in out.lower()


@BEYOND
def test_port_in_use(attempt):
    """Goal: a port that another program has stops the start and is named."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, out, _ = attempt(HEAD + f"listen_port = {port}\n")
        assert code == 1 and port in out


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_refuses_root(pg):
    """Goal: as root and without user= the program does not start."""
    s = Sluice(pg, start=False)
    done = subprocess.run([PROGRAM, s.config], timeout=10, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    s.stop()
    assert done.returncode != 0 and "root" in done.stdout


@pytest.mark.parametrize("args", [[], ["a.ini", "b.ini"], ["--no-such-option", "a.ini"]])
def test_usage(args):
    """Goal: wrong arguments are an error, not a crash."""
    done = subprocess.run(as_postgres([PROGRAM] + args), timeout=10, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode in (1, 2) and done.stdout


def test_dialect(sluice, pg):
    """Goal: comments, quotes, spaces, repeated sections and %include as PgBouncer reads them."""
    s = sluice(start=False)
    with open(f"{s.dir}/more.ini", "w") as f:
        f.write(f"[databases]\nincluded = host=127.0.0.1 port={pg.port} dbname=app\n")
    with open(s.config, "a") as f:
        f.write(f"""
; a comment
# another one
[databases]
spaced   =   host=127.0.0.1   port={pg.port} dbname = app
quoted = host='127.0.0.1' port='{pg.port}' dbname='app' connect_query='set my.x = ''a;b # c'''
%include {s.dir}/more.ini
""")
    s.start()
    for name in ("spaced", "included"):
        assert s.raw(database=name).one("select 1") == "1"
    assert s.raw(database="quoted").one("show my.x") == "a;b # c"


@BEYOND
def test_long_lines(sluice, pg):
    """Goal: a value of 60 kB is read whole (Debian's inih cuts at 200 bytes)."""
    value = "x" * 60000
    s = sluice(entries={"long": dict(connect_query=f"set my.x = '{value}'")})
    assert s.raw(database="long").one("select length(current_setting('my.x'))") == "60000"


@BEYOND
def test_pgbouncer_section_name(sluice):
    """Goal: the section may be called [pgbouncer], so that an old file works unchanged."""
    s = sluice(start=False)
    with open(s.config) as f:
        text = f.read()
    with open(s.config, "w") as f:
        f.write(text.replace("[pgsluice]", "[pgbouncer]"))
    s.start()
    s.serves()


@BEYOND
def test_every_pgbouncer_key_is_known(sluice):
    """Goal: keys of PgBouncer that change nothing here are accepted, not an error."""
    s = sluice(pkt_buf=4096, sbuf_loopcnt=5, so_reuseport=1, tcp_defer_accept=1, stats_period=60,
               job_name="x", dns_zone_check_period=0, suspend_timeout=10)
    s.serves()


def test_pidfile(sluice):
    """Goal: the pidfile holds the process's id and is removed at the end."""
    s = sluice(start=False)
    path = f"{s.dir}/pid"
    s.settings["pidfile"] = path
    s.write()
    s.start()
    with open(path) as f:
        assert int(f.read()) == s.pid
    directory, s.dir = s.dir, f"{s.dir}/none"
    s.stop()
    assert not os.path.exists(path)
    shutil.rmtree(directory)


@BEYOND
def test_user_setting_drops_root(pg):
    """Goal: started as root with user= the process runs as that user, without extra groups."""
    if os.getuid() != 0:
        pytest.skip("needs root")
    s = Sluice(pg, start=False, user="postgres")
    with open(s.log_path, "ab") as log:
        s.proc = subprocess.Popen([PROGRAM, s.config], stdout=log, stderr=log, cwd=s.dir)
    wait_until(s._accepts, 15)
    with open(f"/proc/{s.pid}/status") as f:
        status = f.read()
    s.serves()
    s.stop()
    uids = [line for line in status.splitlines() if line.startswith("Uid:")][0].split()[1:]
    assert "0" not in uids
