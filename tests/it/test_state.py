"""Session state: it follows its client over servers and never reaches another client."""
import pytest

import rawpg
from rawpg import SYNC, ServerError, bind, execute, parse, rows

BEYOND = pytest.mark.beyond_pgbouncer
FOLLOWS = [
    pytest.param("application_name", "first", "second", marks=BEYOND),  # unset stays unset
    ("TimeZone", "Asia/Tokyo", "America/Lima"),
    ("DateStyle", "German, DMY", "SQL, MDY"),
    ("client_encoding", "LATIN1", "UTF8"),
    ("standard_conforming_strings", "off", "on"),
    pytest.param("IntervalStyle", "iso_8601", "sql_standard", marks=BEYOND),
    pytest.param("default_transaction_read_only", "on", "off", marks=BEYOND),
]


@pytest.mark.parametrize("name,one,two", FOLLOWS)
def test_set_follows_its_client(sluice, name, one, two):
    """Goal: what a client SETs of the reported parameters it finds on every server, others do not."""
    s = sluice(default_pool_size=1)
    a, b, c = s.raw(), s.raw(), s.raw()
    default = c.one(f"show {name}")
    a.query(f"set {name} = {one}" if "," in one else f"set {name} = '{one}'")
    b.query(f"set {name} = {two}" if "," in two else f"set {name} = '{two}'")
    for _ in range(3):
        assert a.one(f"show {name}") == one
        assert b.one(f"show {name}") == two
        assert c.one(f"show {name}") == default
    assert a.params[name] == one


@pytest.mark.parametrize("name,one,two", FOLLOWS)
def test_startup_parameter_follows(sluice, name, one, two):
    """Goal: the same for values given in the startup packet."""
    s = sluice(default_pool_size=1)
    a, b, c = s.raw(**{name: one}), s.raw(**{name: two}), s.raw()
    default = c.one(f"show {name}")
    for _ in range(2):
        assert [x.one(f"show {name}") for x in (a, b, c)] == [one, two, default]
    assert a.params[name] == one and b.params[name] == two


def test_set_follows_to_a_second_server(sluice):
    """Goal: the client's value is there on a server that is opened later."""
    s = sluice(default_pool_size=2)
    a, b = s.raw(), s.raw()
    a.query("set timezone = 'Asia/Tokyo'")
    pid = a.one("select pg_backend_pid()")
    b.query("begin")
    assert b.one("select pg_backend_pid()") == pid, "the test needs b on a's server"
    assert a.one("select pg_backend_pid()") != pid
    assert a.one("show timezone") == "Asia/Tokyo"
    assert b.one("show timezone") != "Asia/Tokyo"


def test_set_inside_a_pipeline(sluice):
    """Goal: parameters are set before the client's first message also in the extended protocol."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("set timezone = 'Asia/Tokyo'")
    for _ in range(2):
        msgs = a.ask(parse("", "show timezone"), bind("", ""), execute(), SYNC)
        assert rows(msgs) == [["Asia/Tokyo"]] and rawpg.kinds(msgs) == "12DCZ"
        assert b.one("show timezone") != "Asia/Tokyo"


def test_answers_hold_no_extra_messages(sluice):
    """Goal: the client sees its own answers only, not those of the parameters set for it."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(TimeZone="Asia/Tokyo"), s.raw(TimeZone="America/Lima")
    for _ in range(3):
        for c in (a, b):
            assert [m.kind for m in c.query("select 1") if m.kind != "S"] == list("TDCZ")


def test_set_in_rolled_back_transaction(sluice):
    """Goal: a SET that was rolled back is forgotten."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("set application_name = 'kept'")
    a.query("begin; set application_name = 'dropped'")
    assert a.params["application_name"] == "dropped"
    a.query("rollback")
    b.query("select 1")
    assert a.one("show application_name") == "kept"


def test_set_local_stays_local(sluice):
    """Goal: SET LOCAL ends with its transaction."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw()
    a.query("begin; set local timezone = 'Asia/Tokyo'; commit")
    assert b.one("show timezone") != "Asia/Tokyo"
    assert a.one("show timezone") == b.one("show timezone")


def test_value_with_quotes(sluice):
    """Goal: a value with quotes, semicolons and backslashes is carried over, not executed."""
    s = sluice(default_pool_size=1)
    nasty = "it's \\'; drop table x; -- \"q\""
    a, b = s.raw(application_name=nasty), s.raw(application_name="b")
    for _ in range(2):
        assert a.one("show application_name") == nasty
        assert b.one("show application_name") == "b"


def test_value_with_backslash_when_strings_are_not_standard(sluice):
    """Goal: quoting holds with standard_conforming_strings off."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(), s.raw(application_name="b\\' or 1")
    a.query("set standard_conforming_strings = off")
    a.query("set application_name = E'a\\\\\\' x'")
    for _ in range(2):
        assert a.one("show application_name") == "a\\' x"
        assert b.one("show application_name") == "b\\' or 1"
        assert a.one("show standard_conforming_strings") == "off"


def test_encoding_is_applied_to_data(sluice):
    """Goal: each client gets text in its own encoding though they share a server."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(client_encoding="LATIN1"), s.raw(client_encoding="UTF8")
    for _ in range(2):
        for c, want in ((a, b"\xe9"), (b, b"\xc3\xa9")):
            row = [m for m in c.query("select chr(233)") if m.kind == "D"][0]
            assert row.body[6:] == want


@BEYOND
@pytest.mark.parametrize("params,show,want", [
    ({"statement_timeout": "7s"}, "statement_timeout", "7s"),
    ({"options": "-c work_mem=13MB"}, "work_mem", "13MB"),
    ({"options": "--work-mem=13MB"}, "work_mem", "13MB"),
    ({"options": "-cwork_mem=13MB -c statement_timeout=5s"}, "statement_timeout", "5s"),
    ({"options": "-c search_path=pg_catalog"}, "search_path", "pg_catalog"),
    ({"options": "-c my.text=a\\ b\\\\c"}, "my.text", "a b\\c"),
    ({"search_path": "pg_catalog, public"}, "search_path", "pg_catalog, public"),
    ({"search_path": ", ".join(f"schema_{n:04}" for n in range(30))}, "search_path",
     ", ".join(f"schema_{n:04}" for n in range(30))),
    ({"options": "-c my.setting=hello"}, "my.setting", "hello"),
    ({"extra_float_digits": "2"}, "extra_float_digits", "2"),
])
def test_untracked_startup_parameter(sluice, params, show, want):
    """Goal: any startup parameter is applied on every server and seen by its client alone."""
    s = sluice(default_pool_size=1)
    plain = s.raw()
    ask = f"select current_setting('{show}', true)"
    default = plain.one(ask)
    a = s.raw(**params)
    for _ in range(3):
        assert a.one(ask) == want
        assert plain.one(ask) in (default, "")
    late = s.raw()
    assert late.one(ask) in (default, "")


@BEYOND
def test_startup_parameter_on_second_server(sluice):
    """Goal: an untracked startup parameter is applied on the second server, too."""
    s = sluice(default_pool_size=2)
    a, b = s.raw(options="-c work_mem=13MB"), s.raw()
    a.query("begin"), b.query("begin")
    assert (a.one("show work_mem"), b.one("show work_mem")) == ("13MB", "4MB")
    a.query("commit"), b.query("commit")
    b.query("begin")
    assert b.one("show work_mem") == "4MB"
    a.query("begin")
    assert a.one("show work_mem") == "13MB"


@BEYOND
@pytest.mark.parametrize("params", [{"no_such_setting": "1"}, {"statement_timeout": "soon"},
                                    {"options": "-c work_mem=lots"}, {"options": "-c fsync=off"}])
def test_bad_startup_parameter_is_one_clients_fault(sluice, params):
    """Goal: a parameter that PostgreSQL refuses is that client's error; the pool stays usable."""
    s = sluice(default_pool_size=1)
    with pytest.raises((ServerError, rawpg.Closed)) as e:
        s.raw(**params).rows("select 1")
    assert e.type is ServerError and e.value.sqlstate in ("42704", "22023", "55P02", "42501")
    s.serves(2)


def test_ignored_startup_parameter(sluice):
    """Goal: ignore_startup_parameters drops what it names."""
    s = sluice(ignore_startup_parameters="extra_float_digits,statement_timeout")
    a = s.raw(statement_timeout="7s", extra_float_digits="0")
    assert a.one("show statement_timeout") == "0"


def test_session_mode_startup_parameters(sluice):
    """Goal: in session mode tracked startup parameters apply and are reset for the next."""
    s = sluice(pool_mode="session", default_pool_size=1)
    a = s.raw(TimeZone="Asia/Tokyo")
    assert a.one("show timezone") == "Asia/Tokyo"
    a.send(rawpg.TERMINATE)
    assert s.raw().one("show timezone") != "Asia/Tokyo"


@BEYOND
def test_application_name_in_pg_stat_activity(sluice, pg):
    """Goal: an administrator sees the client's application_name on the server it uses now."""
    s = sluice(default_pool_size=1)
    a, b = s.raw(application_name="shop"), s.raw(application_name="cron")
    for c, name in ((a, "shop"), (b, "cron"), (a, "shop")):
        c.query("begin")
        assert pg.backends(f"application_name = '{name}'") == 1
        c.query("commit")


def test_many_clients_with_own_values(sluice):
    """Goal: thirty clients with thirty time zones over three servers each keep their own."""
    s = sluice(default_pool_size=3)
    zones = [f"Etc/GMT{n:+d}" for n in range(-12, 13)]
    clients = [s.raw(TimeZone=z) for z in zones]
    for _ in range(4):
        for c in clients:
            c.send(rawpg.query("show timezone"))
        assert [rows(c.ready())[0][0] for c in clients] == zones
