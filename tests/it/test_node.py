"""node-postgres through the proxy; the checks themselves are in node/driver.js."""
import os

import pytest

from cluster import PASSWORDS, run

HERE = os.path.dirname(os.path.abspath(__file__))
BEYOND = pytest.mark.beyond_pgbouncer


@pytest.mark.parametrize("check", [
    "basics", pytest.param("named", marks=BEYOND), "transactions", "cancel", "copy",
    pytest.param("wrongPassword", marks=BEYOND), pytest.param("startupParameters", marks=BEYOND)])
def test_node(sluice, node_modules, check):
    """Goal: node-postgres: parameters, named statements, pool, cancel, COPY, error codes."""
    s = sluice(default_pool_size=3, auth_type="scram-sha-256")
    run(["node", f"{HERE}/node/driver.js", check], timeout=40,
        env={**os.environ, "PGPORT": str(s.port), "PGPASSWORD": PASSWORDS["app"]})


def test_node_named_statements_in_session_mode(sluice, node_modules):
    """Goal: named statements in session mode need no renaming."""
    s = sluice(default_pool_size=15, pool_mode="session")
    run(["node", f"{HERE}/node/driver.js", "named"], timeout=40,
        env={**os.environ, "PGPORT": str(s.port), "PGPASSWORD": ""})
