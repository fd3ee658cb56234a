"""auth_query: users whom only the database knows, asked for once for everybody and remembered."""
import threading
import time

import psycopg
import pytest

from cluster import PASSWORDS, wait_until

pytestmark = pytest.mark.beyond_pgbouncer


@pytest.fixture
def known(pg):
    """Roles that are in no auth_file, and the one that may look."""
    pg.query("drop role if exists q_user, q_late, q_asker")
    pg.query("create role q_asker superuser login password 'it-Zq81-asker'")
    pg.query("create role q_user login password 'it-Zq81-q'")
    yield pg
    pg.query("drop role if exists q_user, q_late")


def proxy(sluice, **settings):
    s = sluice(users={"q_asker": "it-Zq81-asker", "app": PASSWORDS["app"]}, auth_user="q_asker",
               entries={"fixed": {"user": "app"}}, **{"auth_type": "scram-sha-256", **settings})
    return s


def login(s, user, password, dbname="fixed", **kw):
    with psycopg.connect(s.dsn(user, dbname, password=password, **kw), autocommit=True) as c:
        return c.execute("select session_user").fetchone()[0]


def asked(pg):
    """How many server connections of the asker there are."""
    return pg.backends("usename = 'q_asker'")


def test_found(sluice, known):
    """Goal: a user of the database comes in with its own password and with no other; unknown users look alike."""
    s = proxy(sluice)
    assert login(s, "q_user", "it-Zq81-q") == "app"
    for user, password in (("q_user", "wrong"), ("q_nobody", "wrong"), ("q_nobody", "")):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed|no password"):
            login(s, user, password)


def test_md5_and_plain(sluice, known):
    """Goal: other kinds of secrets, and the other methods."""
    known.query("set password_encryption = 'md5'; alter role q_user password 'it-Zq81-m'")
    s = proxy(sluice, auth_type="md5")
    assert login(s, "q_user", "it-Zq81-m") == "app"
    with pytest.raises(psycopg.OperationalError):
        login(s, "q_user", "wrong")
    s = proxy(sluice, auth_type="plain")
    assert login(s, "q_user", "it-Zq81-m") == "app"


def test_remembered(sluice, known):
    """Goal: many logins of one user are one query; a new password is found out by the next attempt."""
    s = proxy(sluice, auth_query="select rolname, rolpassword, extract(epoch from rolvaliduntil) "
                                 "from (select pg_sleep(0.3)) nap, pg_authid where rolname = $1")
    threads = [threading.Thread(target=login, args=(s, "q_user", "it-Zq81-q")) for _ in range(20)]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert time.monotonic() - start < 3
    assert asked(known) == 1
    start = time.monotonic()
    login(s, "q_user", "it-Zq81-q")
    assert time.monotonic() - start < 0.25, "remembered"
    time.sleep(1)
    known.query("alter role q_user password 'it-Zq81-new'")
    for attempt in range(3):
        try:
            login(s, "q_user", "it-Zq81-new")
            break
        except psycopg.OperationalError:
            assert attempt < 2
    with pytest.raises(psycopg.OperationalError):
        login(s, "q_user", "it-Zq81-q")


def test_negative(sluice, known):
    """Goal: that there is no such user is remembered for its own, shorter time."""
    s = proxy(sluice, auth_query_negative_ttl=2)
    with pytest.raises(psycopg.OperationalError):
        login(s, "q_late", "it-Zq81-late")
    known.query("create role q_late login password 'it-Zq81-late'")
    with pytest.raises(psycopg.OperationalError):
        login(s, "q_late", "it-Zq81-late")
    time.sleep(2.2)
    assert login(s, "q_late", "it-Zq81-late") == "app"


def test_valid_until(sluice, known):
    """Goal: VALID UNTIL holds while the secret is remembered."""
    known.query("alter role q_user valid until '{}'".format(
        known.one("select to_char(now() + interval '3 seconds', 'YYYY-MM-DD HH24:MI:SS.MSOF')")))
    s = proxy(sluice)
    assert login(s, "q_user", "it-Zq81-q") == "app"
    time.sleep(3.5)
    with pytest.raises(psycopg.OperationalError):
        login(s, "q_user", "it-Zq81-q")


def test_no_parameter_reaches_it(sluice, known):
    """Goal: what a client says of itself in its startup packet does not reach the connection of auth_query."""
    known.query("drop schema if exists evil cascade; create schema evil; "
                "create table evil.pg_authid as select rolname, "
                "'SCRAM-SHA-256$4096:AAAA$AAAA:AAAA' as rolpassword, true as rolcanlogin, "
                "null::timestamptz as rolvaliduntil from pg_catalog.pg_authid", dbname="app")
    s = proxy(sluice)
    for _ in range(3):
        assert login(s, "q_user", "it-Zq81-q", options="-c search_path=evil,pg_catalog") == "app"
        assert login(s, "app", PASSWORDS["app"], options="-c search_path=evil,pg_catalog") == "app"
    rows = known.query("select query from pg_stat_activity where usename = 'q_asker'")
    assert rows and all("evil" not in r[0] for r in rows)
    known.query("drop schema evil cascade", dbname="app")


@pytest.mark.parametrize("name", ["q_user' or true --", 'q"user', "q_user\\", "$1", "q_user;drop table x"])
def test_names_are_parameters(sluice, known, name):
    """Goal: a name is never SQL."""
    s = proxy(sluice)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        login(s, name, "x")
    assert login(s, "q_user", "it-Zq81-q") == "app"


def test_wrong_answers(sluice, known):
    """Goal: a query that fails, answers for another name or returns other columns lets nobody in, and the log
    says why."""
    for sql, word in (("select nothing from nowhere where $1 = 'x'", "nowhere"),
                      ("select 'app', 'it-Zq81-q' where $1 <> ''", "name and a secret"),
                      ("select $1::text", "name and a secret")):
        s = proxy(sluice, auth_query=sql)
        with pytest.raises(psycopg.OperationalError):
            login(s, "q_user", "it-Zq81-q")
        assert word in s.log(), s.log()[-2000:]


def test_other_database(sluice, known):
    """Goal: auth_dbname, globally and in an entry, says where the query runs; entries have their own query."""
    s = proxy(sluice, auth_dbname="other")
    assert login(s, "q_user", "it-Zq81-q") == "app"
    assert known.backends("usename = 'q_asker' and datname = 'other'") == 1
    s = sluice(users={"q_asker": "it-Zq81-asker", "app": PASSWORDS["app"]}, auth_type="scram-sha-256",
               entries={"fixed": {"user": "app", "auth_user": "q_asker", "auth_dbname": "other",
                                  "auth_query": "select $1::text, 'it-Zq81-own'"}})
    assert login(s, "anybody", "it-Zq81-own") == "app"
    with pytest.raises(psycopg.OperationalError):
        login(s, "anybody", "it-Zq81-own", "other")


def test_database_away(sluice, known):
    """Goal: what is remembered serves on while the database does not answer, and waiting logins end with a
    reason."""
    s = proxy(sluice, auth_query_ttl=1)
    assert login(s, "q_user", "it-Zq81-q") == "app"
    known.query("alter role q_asker nologin")
    known.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'q_asker'")
    time.sleep(1.2)
    assert login(s, "q_user", "it-Zq81-q") == "app"
    wait_until(lambda: "auth_query" in s.log(), 5, "the log says so")
    known.query("alter role q_asker login")


def test_many_unknown_names(sluice, known):
    """Goal: a flood of invented names costs a bounded amount of memory and connections."""
    s = proxy(sluice, default_pool_size=3)
    before = s.rss_kb()

    def flood(k):
        for i in range(150):
            try:
                login(s, f"nobody_{k}_{i}", "x")
            except psycopg.OperationalError:
                pass

    threads = [threading.Thread(target=flood, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert asked(known) <= 3
    assert s.rss_kb() - before < 20_000
    assert login(s, "q_user", "it-Zq81-q") == "app"
