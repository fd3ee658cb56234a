#!/usr/bin/env python3
"""AWS on one port: Secrets Manager, STS, IMDSv2 and the containers' credentials endpoint. Every
signature is verified by code of its own. See fake_http.py for what all fakes have; here a fault's
"path" is a service: secretsmanager, sts, imds, ecs ("" = any). Counters are "secretsmanager
GetSecretValue", "sts AssumeRole", "imds PUT /latest/api/token", ...

More kinds of fault: throttle, expired_token, unrecognized, access_denied, invalid_signature (with
the canonical request in its message, as the real one has), xml_500.

POST /_control, op:
  keys {id, secret, token=null}          long-term or temporary keys that are good
  revoke {id=null}: those keys, or all temporary ones, are good no more
  put {name, text=null, binary=null, stage="AWSCURRENT", version=null} -> version id
        AWSCURRENT moves, and the version that had it becomes AWSPREVIOUS
  stages {name, stages: {version: [stage, ...]}}
  versions {name} -> {version: {"stages", "text"}}
  rotate {name, step, user=null, password=null, alternating=false} -> version id
        step: create (AWSPENDING), finish (AWSCURRENT moves), leave (finish; AWSPENDING stays, too)
        alternating: the pending version's user is NAME_clone, or NAME again
  delete {name} / undelete {name}
  skew {seconds}: the services' clock     life {seconds=3600}: of keys that are handed out
  role {name="fake-role"} (null: the instance has none)   region {name}
  web_token {text}   container_token {text=null}   log -> what was asked for
  rds_verify {token} -> {"host", "port", "user", "region"} or {"error"}
"""
import base64
import calendar
import hashlib
import hmac
import json
import os
import secrets
import sys
import threading
import time
import urllib.parse
import uuid
from datetime import datetime, timezone
from email.utils import formatdate
from xml.sax.saxutils import escape

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake_http  # noqa: E402
from fake_http import Refused  # noqa: E402

SKEW = 300
JSON_TYPE = "application/x-amz-json-1.1"
FORM_TYPE = "application/x-www-form-urlencoded"


# ---- Signature Version 4, written from its description; never shares code with auth/sigv4.c ----

def sha256(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def signature(secret, date, region, service, canonical):
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(canonical.encode())}"
    key = mac(mac(mac(mac(b"AWS4" + secret.encode(), date[:8]), region), service), "aws4_request")
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def canonical_request(method, path, query, headers, signed, payload_hash):
    parts = urllib.parse.parse_qsl(query, keep_blank_values=True)
    encoded = sorted((quote(name), quote(value)) for name, value in parts)
    lines = [method, urllib.parse.quote(path, safe="/-_.~"),
             "&".join(f"{name}={value}" for name, value in encoded)]
    for name in signed:
        lines.append(f"{name}:{' '.join(headers[name].split())}")
    lines += ["", ";".join(signed), payload_hash]
    return "\n".join(lines)


def parse_date(date):
    return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))


def verify_rds_token(token, secret, now, session_token=None):
    """The claims of an RDS IAM token as a dict; ValueError when it is no good."""
    address, _, query = token.partition("/?")
    claims = dict(urllib.parse.parse_qsl(query, strict_parsing=True))
    given = claims.pop("X-Amz-Signature")
    if claims.get("X-Amz-SignedHeaders") != "host" or claims.get("Action") != "connect":
        raise ValueError("not a token")
    _, date8, region, service, last = claims["X-Amz-Credential"].split("/")
    date = claims["X-Amz-Date"]
    if (service, last, date[:8]) != ("rds-db", "aws4_request", date8):
        raise ValueError("scope")
    if claims.get("X-Amz-Security-Token") != session_token:
        raise ValueError("session token")
    if not -SKEW <= now - parse_date(date) <= int(claims["X-Amz-Expires"]):
        raise ValueError("not valid now")
    unsigned = query[:query.index("&X-Amz-Signature=")]
    canonical = canonical_request("GET", "/", unsigned, {"host": address}, ["host"], sha256(b""))
    if not hmac.compare_digest(given, signature(secret, date, region, service, canonical)):
        raise ValueError("signature")
    return {"host": address.rpartition(":")[0], "port": int(address.rpartition(":")[2]),
            "user": claims["DBUser"], "region": region}


# ---- refusals ----

def json_error(status, code, message):
    return Refused(status, {"__type": f"com.amazonaws.fake#{code}:http://internal/",
                            "Message": message},
                   {"Content-Type": JSON_TYPE, "x-amzn-RequestId": str(uuid.uuid4())})


def xml_error(status, code, message):
    return Refused(status, '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                   f"<Error><Type>Sender</Type><Code>{code}</Code>"
                   f"<Message>{escape(message)}</Message></Error>"
                   f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>",
                   {"Content-Type": "text/xml"})


def refusal(service, status, code, message):
    return (xml_error if service == "sts" else json_error)(status, code, message)


FAULTS = {
    "throttle": (400, "ThrottlingException", "Rate exceeded"),
    "expired_token": (400, "ExpiredTokenException",
                      "The security token included in the request is expired"),
    "unrecognized": (400, "UnrecognizedClientException",
                     "The security token included in the request is invalid."),
    "access_denied": (400, "AccessDeniedException", "User: arn:aws:iam::1:user/x may not"),
    "invalid_signature": (400, "InvalidSignatureException",
                          "The request signature we calculated does not match the signature you "
                          "provided.\n\nThe Canonical String for this request should have been\n"
                          "'POST\n/\n\nx-amz-security-token:VERY-SECRET-TOKEN'"),
}


class Aws(fake_http.Service):
    def __init__(self):
        super().__init__()
        self.good = {}      # access key id: {"secret", "token", "expires"}
        self.secrets = {}   # name: {"versions": {id: {"text", "binary", "stages"}}, "deleted"}
        self.skew = 0
        self.life = 3600
        self.role, self.region = "fake-role", "eu-west-9"
        self.imds_tokens = {}
        self.web_token, self.container_token = "web-token", None
        self.asked = []

    def now(self):
        return time.time() + self.skew

    # ---- control ----

    def op_keys(self, id, secret, token=None):
        self.good[id] = {"secret": secret, "token": token, "expires": None}

    def op_revoke(self, id=None):
        for name in [id] if id else [k for k, v in self.good.items() if v["expires"]]:
            self.good.pop(name, None)
        if id is None:
            self.imds_tokens.clear()

    def op_put(self, name, text=None, binary=None, stage="AWSCURRENT", version=None):
        secret = self.secrets.setdefault(name, {"versions": {}, "deleted": False})
        version = version or str(uuid.uuid4())
        if stage == "AWSCURRENT":
            self.move(secret, "AWSPREVIOUS", self.holder(secret, "AWSCURRENT"))
        secret["versions"][version] = {"text": text, "binary": binary, "stages": []}
        self.move(secret, stage, version)
        return version

    def op_stages(self, name, stages):
        for version, value in self.secrets[name]["versions"].items():
            value["stages"] = stages.get(version, [])

    def op_versions(self, name):
        return {version: {"stages": value["stages"], "text": value["text"]}
                for version, value in self.secrets[name]["versions"].items()}

    def op_rotate(self, name, step, user=None, password=None, alternating=False):
        secret = self.secrets[name]
        if step == "create":
            value = json.loads(secret["versions"][self.holder(secret, "AWSCURRENT")]["text"])
            old = value.get("username", "")
            if alternating:
                user = user or (old[:-6] if old.endswith("_clone") else old + "_clone")
            value["username"] = user or old
            value["password"] = password or secrets.token_urlsafe(24)
            return self.op_put(name, json.dumps(value), stage="AWSPENDING")
        pending = self.holder(secret, "AWSPENDING")
        self.move(secret, "AWSPREVIOUS", self.holder(secret, "AWSCURRENT"))
        self.move(secret, "AWSCURRENT", pending)
        if step == "finish":
            self.move(secret, "AWSPENDING", None)
        return pending

    def op_delete(self, name):
        self.secrets[name]["deleted"] = True

    def op_undelete(self, name):
        self.secrets[name]["deleted"] = False

    def op_skew(self, seconds=0):
        self.skew = seconds

    def op_life(self, seconds=3600):
        self.life = seconds

    def op_role(self, name="fake-role"):
        self.role = name

    def op_region(self, name="eu-west-9"):
        self.region = name

    def op_web_token(self, text="web-token"):
        self.web_token = text

    def op_container_token(self, text=None):
        self.container_token = text

    def op_rds_verify(self, token):
        try:
            query = dict(urllib.parse.parse_qsl(token.partition("/?")[2]))
            key = self.good[query["X-Amz-Credential"].split("/")[0]]
            return verify_rds_token(token, key["secret"], self.now(), key["token"])
        except (KeyError, ValueError) as error:
            return {"error": repr(error)}

    def op_log(self):
        return self.asked

    @staticmethod
    def holder(secret, stage):
        return next((version for version, value in secret["versions"].items()
                     if stage in value["stages"]), None)

    @staticmethod
    def move(secret, stage, version):
        for value in secret["versions"].values():
            if stage in value["stages"]:
                value["stages"].remove(stage)
        if version is not None:
            secret["versions"][version]["stages"].append(stage)

    # ---- signatures ----

    def authenticate(self, request, service):
        """Raises unless the request is signed well, now, for this service and with good keys."""
        def refuse(code, message, status=400):
            return refusal(service, 403 if service == "sts" else status, code, message)
        mismatch = "SignatureDoesNotMatch" if service == "sts" else "InvalidSignatureException"
        headers = {name.lower(): value for name, value in request.headers.items()}
        given = headers.get("authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 "):
            raise refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
        try:
            fields = dict(part.strip().split("=", 1) for part in given[17:].split(","))
            key_id, date8, region, scope_service, last = fields["Credential"].split("/")
            signed = fields["SignedHeaders"].split(";")
            date, claimed = headers["x-amz-date"], fields["Signature"]
            sent_at = parse_date(date)
        except (KeyError, ValueError) as error:
            raise refuse("IncompleteSignature", f"unreadable: {error}") from None
        must = {"host", "content-type"} | {name for name in headers if name.startswith("x-amz-")}
        if signed != sorted(signed) or not must <= set(signed) or not set(signed) <= set(headers):
            raise refuse(mismatch, f"signed headers {signed} are not {sorted(must)}")
        if (scope_service, last, date8) != (service, "aws4_request", date[:8]):
            raise refuse(mismatch, f"Credential should be scoped to service {service}")
        if "accept" in signed or len(request.headers.get_all("x-amz-date")) != 1:
            raise refuse(mismatch, "headers")
        key = self.good.get(key_id)
        if key is None:
            raise refuse("InvalidClientTokenId" if service == "sts" else
                         "UnrecognizedClientException",
                         "The security token included in the request is invalid.")
        if headers.get("x-amz-security-token") != key["token"]:
            raise refuse("UnrecognizedClientException", "wrong session token")
        now = self.now()
        if key["expires"] is not None and key["expires"] < now:
            raise refuse("ExpiredTokenException",
                         "The security token included in the request is expired")
        at = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        if sent_at < now - SKEW:
            raise refuse(mismatch, f"Signature expired: {date} is now earlier than {at} (- 5 min.)")
        if sent_at > now + SKEW:
            raise refuse(mismatch, f"Signature not yet current: {date} is still later than {at}")
        canonical = canonical_request(request.method, request.path, request.raw_query, headers,
                                      signed, sha256(request.raw))
        if not hmac.compare_digest(claimed, signature(key["secret"], date, region, service,
                                                      canonical)):
            raise refuse(mismatch, "The request signature we calculated does not match the "
                         "signature you provided.\n\nThe Canonical String should have been\n"
                         f"'{canonical}'")
        return key_id, region

    def make_keys(self):
        key_id, secret = "ASIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30) + "/+="
        token = base64.b64encode(secrets.token_bytes(90)).decode()
        expires = self.now() + self.life
        self.good[key_id] = {"secret": secret, "token": token, "expires": expires}
        date = datetime.fromtimestamp(expires, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return key_id, secret, token, date

    # ---- Secrets Manager ----

    def get_secret_value(self, request):
        args = request.json()
        name, stage = args.get("SecretId"), args.get("VersionStage", "AWSCURRENT")
        if not isinstance(name, str) or not 1 <= len(name) <= 2048:
            raise json_error(400, "InvalidParameterException", "SecretId")
        if name.startswith("arn:"):
            name = name.split(":", 6)[6]
            name = name if name in self.secrets else name.rpartition("-")[0]
        secret = self.secrets.get(name)
        if secret is None:
            raise json_error(400, "ResourceNotFoundException",
                             "Secrets Manager can't find the specified secret.")
        if secret["deleted"]:
            raise json_error(400, "InvalidRequestException",
                             "You can't perform this operation on the secret because it was marked "
                             "for deletion.")
        version = args.get("VersionId") or self.holder(secret, stage)
        value = secret["versions"].get(version)
        if value is None or (value["text"] is None and value["binary"] is None):
            raise json_error(400, "ResourceNotFoundException",
                             "Secrets Manager can't find the specified secret value for staging "
                             f"label: {stage}")
        answer = {"ARN": f"arn:aws:secretsmanager:eu-west-9:123456789012:secret:{name}-AbCdEf",
                  "Name": name, "VersionId": version, "VersionStages": value["stages"]}
        if value["text"] is not None:
            answer["SecretString"] = value["text"]
        else:
            answer["SecretBinary"] = value["binary"]
        raw = json.dumps(answer)[:-1] + ', "CreatedDate": 1.523477145713E9}'
        return 200, raw, {"Content-Type": JSON_TYPE, "x-amzn-RequestId": str(uuid.uuid4())}

    def secretsmanager(self, request):
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if request.headers.get("X-Amz-Target") != f"secretsmanager.{operation}" or \
           request.headers.get("Content-Type") != JSON_TYPE or request.path != "/":
            raise json_error(400, "UnknownOperationException", "target, type or path")
        key_id, region = self.authenticate(request, "secretsmanager")
        with self.lock:
            self.asked.append({"service": "secretsmanager", "operation": operation, "key": key_id,
                               "region": region, "body": request.json()})
            if operation == "GetSecretValue":
                return self.get_secret_value(request)
            if operation == "DescribeSecret":
                secret = self.secrets.get(request.json().get("SecretId"))
                if secret is None:
                    raise json_error(400, "ResourceNotFoundException", "no such secret")
                return 200, {"VersionIdsToStages": {v: value["stages"] for v, value in
                                                    secret["versions"].items() if value["stages"]}}
        raise json_error(400, "UnknownOperationException", operation)

    # ---- STS ----

    def sts(self, request):
        form = request.form()
        action = form.get("Action")
        if request.headers.get("Content-Type", "").split(";")[0] != FORM_TYPE or \
           request.path != "/" or form.get("Version") != "2011-06-15":
            raise xml_error(400, "ValidationError", "type or version")
        key_id = region = None
        if action == "AssumeRole":
            key_id, region = self.authenticate(request, "sts")
        elif action != "AssumeRoleWithWebIdentity":
            raise xml_error(400, "InvalidAction", str(action))
        elif request.headers.get("Authorization"):
            raise xml_error(400, "ValidationError", "it is not to be signed")
        elif form.get("WebIdentityToken") != self.web_token:
            raise xml_error(400, "InvalidIdentityToken", "The web identity token is not <good>")
        role, name = form.get("RoleArn", ""), form.get("RoleSessionName", "")
        if not role.startswith("arn:aws:iam::") or not 2 <= len(name) <= 64:
            raise xml_error(400, "ValidationError", "RoleArn or RoleSessionName")
        if role.endswith("/forbidden"):
            raise xml_error(403, "AccessDenied", f"not authorized to perform sts:{action}")
        with self.lock:
            self.asked.append({"service": "sts", "operation": action, "key": key_id, "role": role,
                               "session": name, "external_id": form.get("ExternalId"),
                               "duration": form.get("DurationSeconds"), "region": region})
            key_id, secret, token, date = self.make_keys()
        return 200, (f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n'
                     f"  <{action}Result>\n    <Credentials>\n"
                     f"      <AccessKeyId>{key_id}</AccessKeyId>\n"
                     f"      <SecretAccessKey>{secret.replace('+', '&#43;')}</SecretAccessKey>\n"
                     f"      <SessionToken>{token}</SessionToken>\n"
                     f"      <Expiration>{date}</Expiration>\n    </Credentials>\n"
                     f"  </{action}Result>\n</{action}Response>\n"), {"Content-Type": "text/xml"}

    # ---- metadata ----

    def handed_out(self):
        key_id, secret, token, date = self.make_keys()
        return {"Code": "Success", "LastUpdated": date, "Type": "AWS-HMAC", "AccessKeyId": key_id,
                "SecretAccessKey": secret, "Token": token, "Expiration": date}

    def imds(self, request):
        if request.method == "PUT" and request.path == "/latest/api/token":
            ttl = int(request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", 0))
            if not 1 <= ttl <= 21600 or request.headers.get("X-Forwarded-For"):
                raise Refused(400 if not request.headers.get("X-Forwarded-For") else 403)
            with self.lock:
                token = secrets.token_urlsafe(40)
                self.imds_tokens[token] = time.time() + ttl
            return 200, token
        if self.imds_tokens.get(request.headers.get("X-aws-ec2-metadata-token"), 0) < time.time():
            raise Refused(401)
        base = "/latest/meta-data/iam/security-credentials/"
        if request.path == "/latest/meta-data/placement/region":
            return 200, self.region
        if not request.path.startswith(base) or self.role is None:
            raise Refused(404)
        if request.path == base:
            return 200, self.role + "\n"
        if request.path != base + self.role:
            raise Refused(404)
        with self.lock:
            return 200, self.handed_out()

    def ecs(self, request):
        if request.headers.get("Authorization") != self.container_token:
            raise Refused(401, {"code": "AccessDenied", "message": "wrong token"})
        with self.lock:
            keys = self.handed_out()
        del keys["Code"]
        keys["RoleArn"] = "arn:aws:iam::123456789012:role/task"
        return 200, keys

    # ---- all of them ----

    def service_of(self, request):
        if request.path.startswith("/latest/"):
            return "imds", f"{request.method} {request.path}"
        if request.path.startswith(("/ecs", "/v2/credentials")):
            return "ecs", f"{request.method} {request.path}"
        if request.headers.get("X-Amz-Target"):
            return "secretsmanager", request.headers["X-Amz-Target"].rpartition(".")[2]
        if request.method == "POST" and b"Action=" in request.raw:
            return "sts", request.form().get("Action", "")
        raise Refused(404)

    def handle(self, request):
        service, operation = self.service_of(request)
        with self.lock:
            key = f"{service} {operation}"
            self.counters[key] = self.counters.get(key, 0) + 1
            fault = self.fault_for(service)
        if fault is not None and fault["kind"] in FAULTS:
            raise refusal(service, *FAULTS[fault["kind"]])
        if fault is not None and fault["kind"] == "xml_500":
            raise xml_error(500, "InternalFailure", "xml")
        if fault is not None and fault["kind"] != "delay":
            return fault
        if fault is not None:
            time.sleep(fault["seconds"])
        return getattr(self, service)(request)


class Handler(fake_http.Handler):
    """With the services' own clock, and the query as it was sent."""

    def date_time_string(self, timestamp=None):
        return formatdate(self.service.now() if timestamp is None else timestamp, usegmt=True)


class Request(fake_http.Request):
    def __init__(self, method, target, headers, body):
        super().__init__(method, target, headers, body)
        self.raw_query = urllib.parse.urlsplit(target).query


fake_http.Request = Request


def start(service, port=0):
    """For tests in Python: a running server; its port is server.server_address[1]."""
    server = fake_http.Server(("127.0.0.1", port), type("AwsHandler", (Handler,),
                                                        {"service": service}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05},
                     daemon=True).start()
    return server


def main():
    parser = fake_http.arguments(__doc__.splitlines()[0])
    parser.add_argument("--port-file", help="write the port there; implies --stay")
    options = parser.parse_args()
    server = start(Aws(), options.port)
    port = server.server_address[1]
    print(f"PORT {port}", flush=True)
    if options.port_file:
        with open(options.port_file + ".new", "w", encoding="ascii") as out:
            out.write(f"{port}\n")
        os.rename(options.port_file + ".new", options.port_file)
    try:
        if options.stay or options.port_file:
            threading.Event().wait()
        else:
            while os.read(0, 4096):
                pass
    except KeyboardInterrupt:
        pass
    server.shutdown()


if __name__ == "__main__":
    main()
