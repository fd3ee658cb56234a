"""A PostgreSQL client made of sockets and struct, for tests that must choose every byte.

Every wait is bounded by the socket's timeout (TimeoutError).  A Raw never reads ahead of the
message it was asked for beyond its own buffer, so what the peer sent can be compared exactly.
"""
import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct

V30, V32 = 0x30000, 0x30002
SSL_REQUEST, CANCEL_REQUEST, GSSENC_REQUEST = 80877103, 80877102, 80877104


class Closed(Exception):
    """The peer ended the connection."""


class ServerError(Exception):
    """An ErrorResponse that the caller did not want."""

    def __init__(self, msg):
        self.sqlstate, self.text = msg.fields.get("C"), msg.fields.get("M")
        super().__init__(f"{self.sqlstate}: {self.text}")


class Msg:
    """One backend message: its type as str, its body as bytes."""

    def __init__(self, kind, body):
        self.kind, self.body = kind, body

    @property
    def fields(self):
        """The fields of an ErrorResponse or NoticeResponse."""
        out = {}
        for part in self.body.rstrip(b"\0").split(b"\0"):
            if part:
                out[chr(part[0])] = part[1:].decode("utf-8", "replace")
        return out

    @property
    def sqlstate(self):
        return self.fields.get("C")

    @property
    def row(self):
        """The values of a DataRow as str or None."""
        n, out, at = struct.unpack_from("!H", self.body)[0], [], 2
        for _ in range(n):
            size = struct.unpack_from("!i", self.body, at)[0]
            at += 4
            if size < 0:
                out.append(None)
                continue
            out.append(self.body[at:at + size].decode("utf-8", "replace"))
            at += size
        return out

    @property
    def columns(self):
        """The names of a RowDescription."""
        n, out, at = struct.unpack_from("!H", self.body)[0], [], 2
        for _ in range(n):
            end = self.body.index(b"\0", at)
            out.append(self.body[at:end].decode())
            at = end + 19
        return out

    def __repr__(self):
        return f"<{self.kind} {self.body[:80]!r}>"


def cstr(s):
    return (s if isinstance(s, bytes) else s.encode()) + b"\0"


def message(kind, body=b""):
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def query(sql):
    return message("Q", cstr(sql))


def parse(name, sql, oids=()):
    return message("P", cstr(name) + cstr(sql) +
                   struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def bind(portal, name, values=()):
    body = cstr(portal) + cstr(name) + struct.pack("!HH", 0, len(values))
    for v in values:
        if v is None:
            body += struct.pack("!i", -1)
        else:
            v = v if isinstance(v, bytes) else str(v).encode()
            body += struct.pack("!i", len(v)) + v
    return message("B", body + struct.pack("!H", 0))


def describe(what, name):
    return message("D", what.encode() + cstr(name))


def execute(portal="", limit=0):
    return message("E", cstr(portal) + struct.pack("!i", limit))


def close(what, name):
    return message("C", what.encode() + cstr(name))


SYNC, FLUSH, TERMINATE = message("S"), message("H"), message("X")


def startup_packet(params, protocol=V30):
    body = struct.pack("!i", protocol)
    for key, value in params.items():
        body += cstr(key) + cstr(value)
    return struct.pack("!i", len(body) + 5) + body + b"\0"


def request(code, rest=b""):
    return struct.pack("!ii", 8 + len(rest), code) + rest


def kinds(msgs):
    """The types of messages as one string, without asynchronous ones: '1 2 D C Z' -> '12DCZ'."""
    return "".join(m.kind for m in msgs if m.kind not in "SN")


def errors(msgs):
    return [m.sqlstate for m in msgs if m.kind == "E"]


def rows(msgs):
    return [m.row for m in msgs if m.kind == "D"]


class Scram:
    """The client's half of SCRAM-SHA-256, one method per message."""

    def __init__(self, password, nonce=None):
        self.password = password.encode()
        self.nonce = nonce or base64.b64encode(os.urandom(18)).decode()

    def first(self):
        self.bare = f"n=,r={self.nonce}"
        return ("n,," + self.bare).encode()

    def final(self, server_first):
        attrs = dict(a.split("=", 1) for a in server_first.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(attrs["s"]),
                                     int(attrs["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={attrs['r']}"
        auth = f"{self.bare},{server_first.decode()},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), auth, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.expected = base64.b64encode(hmac.digest(server_key, auth, "sha256")).decode()
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()


def sasl_initial(first, mechanism="SCRAM-SHA-256", length=None):
    size = len(first) if length is None else length
    return message("p", cstr(mechanism) + struct.pack("!I", size & 0xFFFFFFFF) + first)


class Raw:
    """One connection.  `addr` is (host, port) or the path of a Unix socket."""

    def __init__(self, addr, timeout=10.0):
        family = socket.AF_UNIX if isinstance(addr, str) else (
            socket.AF_INET6 if ":" in addr[0] else socket.AF_INET)
        self.addr = addr
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(addr)
        if family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        self.params, self.key, self.status = {}, None, None

    # bytes

    def send(self, *parts):
        try:
            self.sock.sendall(b"".join(parts))
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed(str(e)) from e

    def _fill(self):
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, ssl.SSLEOFError) as e:
            raise Closed(str(e)) from e
        if not data:
            raise Closed("end of file")
        self.buf += data

    def read(self, n):
        while len(self.buf) < n:
            self._fill()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def drain(self):
        """All bytes until the peer closes."""
        out = b""
        try:
            while True:
                out += self.buf
                self.buf = b""
                self._fill()
        except Closed:
            return out

    def tls(self, context=None, alpn=None, direct=False, server_hostname="localhost"):
        """Turn the connection into TLS; returns False when the peer answered N."""
        if not direct:
            self.send(request(SSL_REQUEST))
            if self.read(1) != b"S":
                return False
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(alpn)
        self.sock = context.wrap_socket(self.sock, server_hostname=server_hostname)
        return True

    def reset(self):
        """Vanish as a crashed machine's kernel would let it: RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    # messages

    def recv(self):
        head = self.read(5)
        kind, size = chr(head[0]), struct.unpack("!i", head[1:])[0]
        msg = Msg(kind, self.read(size - 4))
        if kind == "S" and msg.body.count(b"\0") == 2:
            key, value = msg.body.split(b"\0")[:2]
            self.params[key.decode()] = value.decode("utf-8", "replace")
        elif kind == "K":
            self.key = msg.body
        elif kind == "Z":
            self.status = msg.body.decode()
        return msg

    def recv_until(self, kind):
        """Messages up to one of that type; when the peer closes, its last error is raised."""
        out = []
        while not out or out[-1].kind != kind:
            try:
                out.append(self.recv())
            except Closed:
                last = [m for m in out if m.kind == "E"]
                if last:
                    raise ServerError(last[-1]) from None
                raise
        return out

    def first_answer(self, sql="select 1"):
        """After start(): finish a login without password, ask; the first row or error, at
        whatever moment it comes."""
        while True:
            m = self.recv()
            if m.kind == "Z":
                self.send(query(sql))
            elif m.kind in "DE":
                return m

    def ready(self, n=1):
        """All messages up to the n-th ReadyForQuery."""
        out = []
        for _ in range(n):
            out += self.recv_until("Z")
        return out

    def ask(self, *parts):
        """Send and collect up to ReadyForQuery."""
        self.send(*parts)
        return self.ready()

    def query(self, sql):
        return self.ask(query(sql))

    def rows(self, sql):
        """The rows of a simple query; raises ServerError."""
        msgs = self.query(sql)
        for m in msgs:
            if m.kind == "E":
                raise ServerError(m)
        return rows(msgs)

    def one(self, sql):
        return self.rows(sql)[0][0]

    # login

    def start(self, user="app", database="app", protocol=V30, **params):
        self.send(startup_packet({"user": user, "database": database, **params}, protocol))

    def login(self, user="app", database="app", password="", protocol=V30, scram=None, **params):
        """Log in with whatever method the peer asks for; returns the messages, raises ServerError."""
        self.start(user, database, protocol, **params)
        scram, out = scram or Scram(password), []
        while True:
            m = self.recv()
            out.append(m)
            if m.kind == "E":
                raise ServerError(m)
            if m.kind == "Z":
                return out
            if m.kind == "R":
                self._answer(m.body, user, password, scram)

    def _answer(self, body, user, password, scram):
        code = struct.unpack_from("!i", body)[0]
        if code == 3:
            self.send(message("p", cstr(password)))
        elif code == 5:
            inner = hashlib.md5((password + user).encode()).hexdigest().encode()
            self.send(message("p", cstr("md5" + hashlib.md5(inner + body[4:8]).hexdigest())))
        elif code == 10:
            self.send(sasl_initial(scram.first()))
        elif code == 11:
            self.send(message("p", scram.final(body[4:])))
        elif code == 12:
            assert body[4:].decode() == "v=" + scram.expected, "the server's signature is wrong"
        else:
            assert code == 0, f"unknown authentication request {code}"

    def cancel_packet(self):
        return request(CANCEL_REQUEST, self.key)

    def cancel(self):
        """Cancel what this session runs, over a connection of its own; waits for its end."""
        send_cancel(self.addr, self.cancel_packet())


def send_cancel(addr, packet, timeout=10.0):
    other = Raw(addr, timeout)
    try:
        other.send(packet)
        return other.drain()
    finally:
        other.close()
