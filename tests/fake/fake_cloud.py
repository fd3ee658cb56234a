#!/usr/bin/env python3
"""Google's metadata server and Secret Manager, Azure's identity services and Key Vault, on one port.
They check headers and tokens. See fake_http.py for what all fakes have.

POST /_control, op:
  gcp_put {name, text} -> version; name is "projects/P/secrets/S"   gcp_disable {name, version}
  gcp_damage {on}: payloads with a wrong CRC32C   project {id}
  azure_put {name, text} -> version id   azure_disable {name, version}   azure_delete {name}
  tokens {ttl=3600}: tokens from now on live so long   revoke: none of the tokens given is good any more
  identity {client_id=null, assertion=null, header=null}: what Azure's identity services accept
"""
import base64
import re
import secrets
import time

import fake_http
from fake_http import Refused

RESOURCE = "https://vault.azure.net"


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def google(status, name, message):
    return Refused(status, {"error": {"code": status, "message": message, "status": name}})


def azure(status, code, message, inner=None):
    error = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = ('Bearer authorization="https://login.microsoftonline.com/t", '
                                       f'resource="{RESOURCE}"')
    return Refused(status, {"error": error}, headers)


class Cloud(fake_http.Service):
    def __init__(self):
        super().__init__()
        self.project, self.ttl, self.damage = "acme-prod", 3600, False
        self.google_tokens, self.azure_tokens = {}, {}
        self.google_secrets, self.azure_secrets = {}, {}
        self.client_id = self.assertion = self.header = None

    # ---- control ----

    def op_gcp_put(self, name, text):
        versions = self.google_secrets.setdefault(name, [])
        versions.append({"text": text, "enabled": True})
        return len(versions)

    def op_gcp_disable(self, name, version):
        self.google_secrets[name][version - 1]["enabled"] = False

    def op_gcp_damage(self, on):
        self.damage = on

    def op_project(self, id):
        self.project = id

    def op_azure_put(self, name, text):
        version = secrets.token_hex(16)
        self.azure_secrets.setdefault(name, {})[version] = {"text": text, "enabled": True}
        return version

    def op_azure_disable(self, name, version):
        self.azure_secrets[name][version]["enabled"] = False

    def op_azure_delete(self, name):
        del self.azure_secrets[name]

    def op_tokens(self, ttl=3600):
        self.ttl = ttl

    def op_revoke(self):
        self.google_tokens.clear()
        self.azure_tokens.clear()

    def op_identity(self, client_id=None, assertion=None, header=None):
        self.client_id, self.assertion, self.header = client_id, assertion, header

    # ---- requests ----

    def answer(self, request):
        with self.lock:
            for pattern, method in (
                    (r"/computeMetadata/v1/(.*)", self.metadata),
                    (r"/v1/(projects/.+/secrets/[^/]+)/versions/([^/:]+):access", self.access),
                    (r"/metadata/identity/oauth2/token", self.imds),
                    (r"/msi/token", self.app_service),
                    (r"/([^/]+)/oauth2/v2.0/token", self.authority),
                    (r"/secrets/([^/]+)(?:/([^/]+))?", self.secret)):
                match = re.fullmatch(pattern, request.path)
                if match:
                    return method(request, *match.groups())
        raise Refused(404, {"error": {"code": 404, "message": "no such path", "status": "NOT_FOUND"}})

    # ---- Google ----

    def metadata(self, request, path):
        if request.headers.get("Metadata-Flavor") != "Google":
            raise Refused(403, "Missing Metadata-Flavor:Google header.")
        flavor = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
        if path == "project/project-id":
            return 200, self.project, flavor
        if path != "instance/service-accounts/default/token":
            return 404, "not found", flavor
        token = "ya29." + secrets.token_urlsafe(120)
        self.google_tokens[token] = time.time() + self.ttl
        return 200, {"access_token": token, "expires_in": self.ttl, "token_type": "Bearer"}, flavor

    def access(self, request, name, version):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self.google_tokens.get(token, 0) <= time.time():
            raise google(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        versions = self.google_secrets.get(name)
        number = len(versions or []) if version == "latest" else int(version)
        if not versions or not 0 < number <= len(versions):
            raise google(404, "NOT_FOUND", f"Secret [{name}] not found or has no versions.")
        entry = versions[number - 1]
        if not entry["enabled"]:
            raise google(400, "FAILED_PRECONDITION", "The version is in DISABLED state.")
        data = entry["text"].encode()
        return 200, {"name": f"{name}/versions/{number}", "payload": {
            "data": base64.b64encode(data).decode(),
            "dataCrc32c": str(crc32c(data) ^ (1 if self.damage else 0))}}

    # ---- Azure ----

    def azure_token(self):
        token = "eyJ0." + secrets.token_urlsafe(600)
        self.azure_tokens[token] = time.time() + self.ttl
        return token

    def check_resource(self, request, version):
        if request.query.get("api-version") != version:
            raise Refused(400, {"error": "invalid_request", "error_description": "api-version"})
        if request.query.get("resource") != RESOURCE:
            raise Refused(400, {"error": "invalid_resource", "error_description": "resource"})
        if request.query.get("client_id") != self.client_id:
            raise Refused(400, {"error": "invalid_request",
                                "error_description": "Identity not found"})

    def imds(self, request):
        if request.headers.get("Metadata") != "true":
            raise Refused(400, {"error": "bad_request_102",
                                "error_description": "Required metadata header not specified"})
        self.check_resource(request, "2018-02-01")
        # numbers as strings, as IMDS writes them
        return 200, {"access_token": self.azure_token(), "expires_in": str(self.ttl),
                     "expires_on": str(int(time.time()) + self.ttl), "token_type": "Bearer"}

    def app_service(self, request):
        if self.header is None or request.headers.get("X-IDENTITY-HEADER") != self.header:
            raise Refused(401, {"error": "unauthorized"})
        self.check_resource(request, "2019-08-01")
        return 200, {"access_token": self.azure_token(), "token_type": "Bearer",
                     "expires_on": int(time.time()) + self.ttl}

    def authority(self, request, tenant):
        form = request.form()
        good = {"client_id": self.client_id, "scope": RESOURCE + "/.default",
                "grant_type": "client_credentials", "client_assertion": self.assertion,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        if request.method != "POST" or form != good:
            raise Refused(401, {"error": "invalid_client",
                                "error_description": "AADSTS700016: no such application"})
        return 200, {"access_token": self.azure_token(), "token_type": "Bearer",
                     "expires_in": self.ttl, "ext_expires_in": self.ttl}

    def secret(self, request, name, version):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self.azure_tokens.get(token, 0) <= time.time():
            raise azure(401, "Unauthorized", "AKV10022: Invalid token.")
        if not re.fullmatch(r"\d+\.\d+", request.query.get("api-version", "")):
            raise azure(400, "BadParameter", "api-version must be specified")
        versions = self.azure_secrets.get(name)
        if not versions or (version and version not in versions):
            raise azure(404, "SecretNotFound", f"A secret with (name/id) {name} was not found.")
        version = version or list(versions)[-1]
        entry = versions[version]
        if not entry["enabled"]:
            raise azure(403, "Forbidden", "Operation get is not allowed on a disabled secret.",
                        "SecretDisabled")
        now = int(time.time())
        return 200, {"value": entry["text"],
                     "id": f"https://acme.vault.azure.net/secrets/{name}/{version}",
                     "attributes": {"enabled": True, "created": now, "updated": now}}


if __name__ == "__main__":
    fake_http.run(Cloud(), fake_http.arguments(__doc__.splitlines()[0]).parse_args())
