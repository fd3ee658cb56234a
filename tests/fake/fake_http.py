"""What the fake services share: an HTTP server on 127.0.0.1 with faults, counters and POST /_control.

Prints "PORT n" when it listens, and ends when its standard input ends (so it never outlives a test).

POST /_control takes a JSON object {"op": NAME, ...} and answers with JSON. Of every fake:
  {"op": "fault", "path": "", "kind": KIND, "count": 1, "seconds": 0, "status": 500, "retry_after": 0}
        the next `count` requests (-1 = all) whose path begins with `path` are answered by the fault:
        status (and body "fault"), hang, delay (answers `seconds` later), reset, garbage, truncated
  {"op": "clear"}         no faults
  {"op": "counters"}      {"GET /v1/x": n, ...}; {"op": "reset"} sets all to 0
"""
import argparse
import json
import os
import socket
import struct
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Refused(Exception):
    """Ends a request with a status and a body."""

    def __init__(self, status, body=None, headers=None):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.raw = method, headers, body
        parts = urllib.parse.urlsplit(target)
        self.path = parts.path
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))

    def json(self):
        try:
            value = json.loads(self.raw or b"{}")
        except ValueError:
            raise Refused(400, {"errors": ["error parsing JSON"]}) from None
        if not isinstance(value, dict):
            raise Refused(400, {"errors": ["not an object"]})
        return value

    def form(self):
        return dict(urllib.parse.parse_qsl(self.raw.decode(), keep_blank_values=True))


class Service:
    """Subclasses answer() requests and have op_NAME() methods for /_control."""

    def __init__(self):
        self.lock = threading.RLock()
        self.faults = []
        self.counters = {}
        self.stopping = threading.Event()

    # ---- control ----

    def op_fault(self, path="", kind="status", count=1, seconds=0, status=500, retry_after=0):
        self.faults.append({"path": path, "kind": kind, "count": count, "seconds": seconds,
                            "status": status, "retry_after": retry_after})

    def op_clear(self):
        self.faults.clear()

    def op_counters(self):
        return self.counters

    def op_reset(self):
        self.counters.clear()

    def control(self, request):
        args = request.json()
        method = getattr(self, "op_" + str(args.pop("op", "")), None)
        if method is None:
            raise Refused(400, {"error": "no such op"})
        with self.lock:
            return 200, {"result": method(**args)}

    # ---- requests ----

    def fault_for(self, path):
        for fault in self.faults:
            if path.startswith(fault["path"]) and fault["count"] != 0:
                fault["count"] -= fault["count"] > 0
                return dict(fault)
        return None

    def fault_body(self, fault):
        """(status, body, headers) of a fault that only this service has, or None."""
        return None

    def answer(self, request):
        """(status, body) or (status, body, headers); body is JSON, text or None."""
        raise NotImplementedError

    def handle(self, request):
        with self.lock:
            key = f"{request.method} {request.path}"
            self.counters[key] = self.counters.get(key, 0) + 1
            fault = self.fault_for(request.path)
        if fault is not None and fault["kind"] != "delay":
            return fault
        if fault is not None:
            time.sleep(fault["seconds"])
        return self.answer(request)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service = None

    def log_message(self, *args):
        pass

    def respond(self, status, body=None, headers=None):
        if body is None:
            raw = b""
        elif isinstance(body, (dict, list)):
            raw = json.dumps(body).encode()
        else:
            raw = body if isinstance(body, bytes) else str(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def misbehave(self, fault):
        kind = fault["kind"]
        special = self.service.fault_body(fault)
        headers = {"Retry-After": str(fault["retry_after"])} if fault["retry_after"] else {}
        if special is not None:
            status, body, more = special
            self.respond(status, body, {**headers, **more})
        elif kind == "status":
            self.respond(fault["status"], "fault", headers)
        elif kind == "garbage":
            self.respond(200, b"\x00\xff{\"data\": [}")
        elif kind == "truncated":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"data": {')
            self.close_connection = True
        elif kind == "hang":
            self.service.stopping.wait(fault["seconds"] or 600)
            self.close_connection = True
        else:  # reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, body)
        try:
            if request.path == "/_control":
                self.respond(*self.service.control(request))
                return
            result = self.service.handle(request)
            if isinstance(result, dict):
                self.misbehave(result)
            else:
                self.respond(*result)
        except Refused as refused:
            self.respond(refused.status, refused.body, refused.headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_LIST = serve


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (BrokenPipeError, ConnectionResetError)):
            super().handle_error(request, client_address)


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--stay", action="store_true", help="do not end with standard input")
    return parser


def start(service, port=0):
    """For tests in Python: a running server; its port is server.server_address[1]."""
    handler = type("Handler", (Handler,), {"service": service})
    server = Server(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05},
                     daemon=True).start()
    return server


def run(service, options):
    server = start(service, options.port)
    print(f"PORT {server.server_address[1]}", flush=True)
    try:
        if options.stay:
            threading.Event().wait()
        else:
            while os.read(0, 4096):
                pass
    except KeyboardInterrupt:
        pass
    service.stopping.set()
    server.shutdown()
    close = getattr(service, "close", None)
    if close is not None:
        close()
