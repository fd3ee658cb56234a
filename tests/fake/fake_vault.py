#!/usr/bin/env python3
"""A Vault with real leases: dynamic roles are created and dropped, static ones change their password,
in the PostgreSQL of --dsn (or nowhere with --no-db). See fake_http.py for what all fakes have.

Faults of its own: sealed (503), throttled (429), denied (403), not_yet (412), standby (307).

POST /_control, op:
  token {token?, ttl=0, max_ttl=0, period=0, renewable=true, policies=["*"], namespace=""} -> token
  approle {role_id, secret_id=null, mount="approle", ttl=3600, ...as token}
  kubernetes {role, jwt, mount="kubernetes", ttl=3600, ...as token}
  kv_put {path, data, mount="secret", namespace=""} -> version   kv_delete, kv_destroy {path, version}
  dynamic_role {name, ttl=3600, max_ttl=86400, group=null, statements=[], mount="database", namespace=""}
  static_role {name, username, period=86400, mount="database", namespace=""}   rotate {name}
  leases -> [{id, username, expires_in, token}]   tokens -> [{token, expires_in}]
  revoke_token {token?} (all without one)   revoke_lease {id}
Policies are globs of paths ("database/creds/*"); lookup-self, renew-self and sys/leases/renew are always
allowed, sys/leases/revoke is not, as with Vault's default policy.
"""
import datetime
import fnmatch
import secrets
import threading
import time

import fake_http
from fake_http import Refused

ALWAYS = ("auth/token/lookup-self", "auth/token/renew-self", "auth/token/revoke-self",
          "sys/leases/renew")


def errors(status, *texts):
    return Refused(status, {"errors": list(texts)})


def stamp(when):
    return datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def seconds(value):
    if isinstance(value, str):
        factor = {"s": 1, "m": 60, "h": 3600}.get(value[-1:])
        return int(value[:-1]) * factor if factor else int(value)
    return int(value)


class Database:
    """The PostgreSQL in which roles come and go; without a DSN it only says so."""

    def __init__(self, dsn):
        self.connection = None
        if dsn is not None:
            import psycopg
            from psycopg import sql
            self.sql = sql
            self.connection = psycopg.connect(dsn, autocommit=True)

    def run(self, text, *names, password=None):
        if self.connection is None:
            return
        sql = self.sql
        parts = [sql.Identifier(n) for n in names]
        if password is not None:
            parts.append(sql.Literal(password))
        self.connection.execute(sql.SQL(text).format(*parts))

    def create(self, name, password, until, group, statements):
        self.run("create role {} login password {}", name, password=password)
        if self.connection is not None and until:
            self.run("alter role {} valid until {}", name, password=stamp(until))
        if group:
            self.run("grant {} to {}", group, name)
        for statement in statements:
            text = statement.replace("{{name}}", name).replace("{{password}}", password)
            if self.connection is not None:
                self.connection.execute(text)

    def extend(self, name, until):
        self.run("alter role {} valid until {}", name, password=stamp(until))

    def drop(self, name):
        self.run("drop owned by {}", name)
        self.run("drop role if exists {}", name)

    def change(self, name, password):
        self.run("alter role {} password {}", name, password=password)


class Vault(fake_http.Service):
    def __init__(self, dsn):
        super().__init__()
        self.database = Database(dsn)
        self.tokens, self.leases, self.kv = {}, {}, {}
        self.approles, self.kubernetes, self.roles, self.static_roles = {}, {}, {}, {}
        self.revocation_failures = 0
        self.op_token(token="root")
        threading.Thread(target=self.clock, daemon=True).start()

    # ---- time ----

    def clock(self):
        while not self.stopping.wait(0.05):
            now = time.time()
            with self.lock:
                for token in [t for t, v in self.tokens.items() if v["end"] and v["end"] <= now]:
                    self.end_token(token)
                for lease in [i for i, v in self.leases.items() if v["end"] <= now]:
                    self.end_lease(lease)
                for role in self.static_roles.values():
                    if role["next"] <= now:
                        self.rotate(role)

    def end_lease(self, lease):
        entry = self.leases.pop(lease)
        try:
            self.database.drop(entry["username"])
        except Exception:  # whatever PostgreSQL has against it
            self.revocation_failures += 1

    def end_token(self, token):
        self.tokens.pop(token, None)
        for lease in [i for i, v in self.leases.items() if v["token"] == token]:
            self.end_lease(lease)

    def rotate(self, role):
        now = time.time()
        role["password"] = secrets.token_urlsafe(20)
        self.database.change(role["username"], role["password"])
        role.update(last=now, next=now + role["period"])

    def close(self):
        with self.lock:
            for lease in list(self.leases):
                self.end_lease(lease)

    # ---- control ----

    def op_token(self, token=None, ttl=0, max_ttl=0, period=0, renewable=True, policies=("*",),
                 namespace=""):
        now = time.time()
        token = token or "hvs." + secrets.token_urlsafe(24)
        ttl = period or ttl
        self.tokens[token] = {
            "ttl": ttl, "end": now + ttl if ttl else 0, "limit": now + max_ttl if max_ttl else 0,
            "period": period, "renewable": bool(renewable and ttl), "policies": list(policies),
            "namespace": namespace}
        return token

    def op_approle(self, role_id, secret_id=None, mount="approle", namespace="", **token):
        self.approles[namespace, mount, role_id] = (secret_id, {"ttl": 3600, **token})

    def op_kubernetes(self, role, jwt, mount="kubernetes", namespace="", **token):
        self.kubernetes[namespace, mount, role] = (jwt, {"ttl": 3600, **token})

    def op_kv_put(self, path, data, mount="secret", namespace=""):
        versions = self.kv.setdefault((namespace, mount, path), [])
        versions.append({"data": data, "created": time.time(), "deleted": 0, "destroyed": False})
        return len(versions)

    def op_kv_delete(self, path, version, mount="secret", namespace=""):
        self.kv[namespace, mount, path][version - 1]["deleted"] = time.time()

    def op_kv_destroy(self, path, version, mount="secret", namespace=""):
        self.kv[namespace, mount, path][version - 1]["destroyed"] = True

    def op_dynamic_role(self, name, ttl=3600, max_ttl=86400, group=None, statements=(),
                        mount="database", namespace=""):
        self.roles[namespace, mount, name] = {"ttl": ttl, "max_ttl": max_ttl, "group": group,
                                              "statements": list(statements)}

    def op_static_role(self, name, username, period=86400, mount="database", namespace=""):
        role = {"username": username, "period": period}
        self.static_roles[namespace, mount, name] = role
        self.rotate(role)

    def op_rotate(self, name, mount="database", namespace=""):
        self.rotate(self.static_roles[namespace, mount, name])

    def op_leases(self):
        now = time.time()
        return [{"id": i, "username": v["username"], "expires_in": v["end"] - now,
                 "token": v["token"]} for i, v in self.leases.items()]

    def op_tokens(self):
        now = time.time()
        return [{"token": t, "expires_in": v["end"] - now if v["end"] else None}
                for t, v in self.tokens.items()]

    def op_revoke_token(self, token=None):
        for one in [token] if token else list(self.tokens):
            self.end_token(one)

    def op_revoke_lease(self, id):
        self.end_lease(id)

    def fault_body(self, fault):
        texts = {"sealed": (503, "Vault is sealed"), "denied": (403, "permission denied"),
                 "throttled": (429, "request path: rate limit quota exceeded"),
                 "not_yet": (412, "required index state not present"), "standby": (307, "")}
        if fault["kind"] not in texts:
            return None
        status, text = texts[fault["kind"]]
        return status, {"errors": [text]}, {"Location": "http://other/"} if status == 307 else {}

    # ---- requests ----

    def answer(self, request):
        if not request.path.startswith("/v1/"):
            raise errors(404)
        if request.headers.get("X-Vault-Request") != "true":
            raise errors(412, "missing required Vault header")
        path = request.path[4:]
        namespace = request.headers.get("X-Vault-Namespace", "").strip("/")
        with self.lock:
            if path.startswith("auth/") and path.endswith("/login"):
                return self.login(request, path[5:-6], namespace)
            if path == "sys/health":
                return 200, {"initialized": True, "sealed": False, "standby": False}
            token = request.headers.get("X-Vault-Token")
            entry = self.tokens.get(token)
            if entry is None or entry["namespace"] != namespace:
                raise errors(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
            if path not in ALWAYS and not any(fnmatch.fnmatchcase(path, p)
                                              for p in entry["policies"]):
                raise errors(403, "1 error occurred:\n\t* permission denied\n\n")
            return self.route(request, path, namespace, token, entry)

    def route(self, request, path, namespace, token, entry):
        if path.startswith("auth/token/"):
            return self.token(request, path[11:], token, entry)
        if path in ("sys/leases/renew", "sys/leases/revoke"):
            if request.method not in ("PUT", "POST"):
                raise errors(405, "unsupported operation")
            return self.lease(request.json(), path == "sys/leases/renew")
        if request.method != "GET":
            raise errors(405, "unsupported operation")
        for kind, read in (("/creds/", self.creds), ("/static-creds/", self.static_creds),
                           ("/data/", self.data)):
            mount, found, name = path.partition(kind)
            if found:
                return read(request, (namespace, mount, name), token)
        raise errors(404, f'no handler for route "{path}". route entry not found.')

    def auth(self, token):
        entry = self.tokens[token]
        left = max(0, round(entry["end"] - time.time())) if entry["end"] else 0
        return {"client_token": token, "accessor": "acc" + token[-6:], "lease_duration": left,
                "renewable": entry["renewable"], "policies": entry["policies"],
                "token_type": "service"}

    def login(self, request, mount, namespace):
        body = request.json()
        if request.method not in ("PUT", "POST"):
            raise errors(405, "unsupported operation")
        if "role_id" in body:
            secret_id, token = self.approles.get((namespace, mount, body["role_id"]), (None, None))
            if token is None or (secret_id is not None and body.get("secret_id") != secret_id):
                raise errors(400, "invalid role or secret ID")
        else:
            jwt, token = self.kubernetes.get((namespace, mount, body.get("role")), (None, None))
            if token is None:
                raise errors(400, f'invalid role name "{body.get("role")}"')
            if body.get("jwt") != jwt:
                raise errors(403, "permission denied")
        name = self.op_token(namespace=namespace, **token)
        return 200, {"lease_id": "", "data": None, "warnings": None, "auth": self.auth(name)}

    def token(self, request, what, token, entry):
        now = time.time()
        if what == "lookup-self":
            left = round(entry["end"] - now) if entry["end"] else 0
            return 200, {"data": {"id": token, "ttl": left, "renewable": entry["renewable"],
                                  "policies": entry["policies"], "type": "service"}}
        if request.method not in ("PUT", "POST"):
            raise errors(405, "unsupported operation")
        if what == "revoke-self":
            self.end_token(token)
            return 204, None
        if what != "renew-self":
            raise errors(404)
        if not entry["renewable"]:
            raise errors(400, "lease is not renewable")
        wanted = entry["period"] or seconds(request.json().get("increment") or entry["ttl"])
        entry["end"] = min(now + wanted, entry["limit"] or now + wanted)
        return 200, {"data": None, "warnings": None, "auth": self.auth(token)}

    def lease(self, body, renew):
        now, lease = time.time(), body.get("lease_id")
        entry = self.leases.get(lease)
        if entry is None:
            if renew:
                raise errors(400, "lease not found")
            return 204, None
        if not renew:
            self.end_lease(lease)
            return 204, None
        wanted = now + (seconds(body.get("increment") or 0) or entry["ttl"])
        entry["end"] = min(wanted, entry["limit"])
        self.database.extend(entry["username"], entry["end"])
        return 200, {"lease_id": lease, "renewable": True, "data": None,
                     "lease_duration": max(0, round(entry["end"] - now)),
                     "warnings": ["TTL was capped"] if entry["end"] < wanted else None}

    def creds(self, request, key, token):
        now, role = time.time(), self.roles.get(key)
        if role is None:
            raise errors(400, f"unknown role: {key[2]}")
        username = f"v-{key[2][:8]}-{secrets.token_hex(10)}"
        password = secrets.token_urlsafe(15)
        end = now + min(role["ttl"], role["max_ttl"])
        try:
            self.database.create(username, password, end, role["group"], role["statements"])
        except Exception as error:
            raise errors(500, f"cannot create the user: {type(error).__name__}") from None
        lease = f"{key[1]}/creds/{key[2]}/{secrets.token_urlsafe(18)}"
        self.leases[lease] = {"username": username, "ttl": role["ttl"], "end": end,
                              "limit": now + role["max_ttl"], "token": token}
        return 200, {"lease_id": lease, "renewable": True, "lease_duration": round(end - now),
                     "data": {"username": username, "password": password}, "auth": None}

    def static_creds(self, request, key, token):
        role = self.static_roles.get(key)
        if role is None:
            raise errors(400, f"unknown role: {key[2]}")
        return 200, {"lease_id": "", "renewable": False, "lease_duration": 0, "auth": None,
                     "data": {"username": role["username"], "password": role["password"],
                              "ttl": max(0, int(role["next"] - time.time())),
                              "rotation_period": role["period"],
                              "last_vault_rotation": stamp(role["last"])}}

    def data(self, request, key, token):
        versions = self.kv.get(key)
        if not versions:
            raise errors(404)
        number = int(request.query.get("version") or 0) or len(versions)
        if number > len(versions):
            raise errors(404)
        version = versions[number - 1]
        gone = version["deleted"] or version["destroyed"]
        body = {"request_id": "x", "lease_id": "", "renewable": False, "lease_duration": 0,
                "data": {"data": None if gone else version["data"], "metadata": {
                    "version": number, "created_time": stamp(version["created"]),
                    "deletion_time": stamp(version["deleted"]) if version["deleted"] else "",
                    "destroyed": version["destroyed"], "custom_metadata": None}}}
        return 404 if gone else 200, body


def main():
    parser = fake_http.arguments(__doc__.splitlines()[0])
    parser.add_argument("--dsn", help="PostgreSQL in which roles are made, as a superuser")
    parser.add_argument("--no-db", action="store_true")
    options = parser.parse_args()
    if (options.dsn is None) != options.no_db:
        parser.error("either --dsn or --no-db")
    fake_http.run(Vault(options.dsn), options)


if __name__ == "__main__":
    main()
