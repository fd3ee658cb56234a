"""A server that breaks the rules: each connection is answered by a script of the test's.

A script gets a Conn and does with it what it likes; when it returns, or the peer is gone, the
connection ends.  Knows nothing of the proxy.
"""
import base64
import hashlib
import hmac
import os
import socket
import struct
import threading

from rawpg import CANCEL_REQUEST, GSSENC_REQUEST, SSL_REQUEST, cstr, message

SASL = message("R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")
AUTH_OK = message("R", struct.pack("!i", 0))
KEY = message("K", struct.pack("!ii", 4711, 42))
READY, IN_XACT = message("Z", b"I"), message("Z", b"T")


def status(name, value):
    return message("S", cstr(name) + cstr(value))


def error(severity="FATAL", sqlstate="57P03", text="go away", **more):
    """An ErrorResponse; a field that is None is left out."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": text, **more}
    return message("E", b"".join(k.encode() + cstr(v) for k, v in fields.items()
                                 if v is not None) + b"\0")


def data_row(text):
    return message("D", struct.pack("!Hi", 1, len(text)) + text.encode())


def row(text):
    column = cstr("a") + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)
    return message("T", struct.pack("!H", 1) + column) + data_row(text)


ANSWER = row("1") + message("C", cstr("SELECT 1")) + READY
GREETING = (AUTH_OK + status("server_version", "15.0") + status("client_encoding", "UTF8") +
            status("standard_conforming_strings", "on") + KEY + READY)


class Conn:
    """The server's end of one connection.  Reading past its end raises EOFError."""

    def __init__(self, sock):
        self.sock, self.buf = sock, b""

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def read(self, n):
        while len(self.buf) < n:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buf += data
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def startup(self):
        """The startup packet, encryption having been declined."""
        while True:
            size, code = struct.unpack("!ii", self.read(8))
            rest = self.read(size - 8)
            if code == CANCEL_REQUEST:
                raise EOFError
            if code not in (SSL_REQUEST, GSSENC_REQUEST):
                return rest
            self.send(b"N")

    def recv(self):
        """Type and body of a frontend message."""
        kind, size = struct.unpack("!ci", self.read(5))
        return kind.decode(), self.read(size - 4)

    def recv_until(self, *kinds):
        while True:
            kind, body = self.recv()
            if kind in kinds:
                return body

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def serve(self):
        """From here on a server like any other that knows one answer."""
        while True:
            kind, _ = self.recv()
            if kind == "Q":
                self.send(ANSWER)
            elif kind == "S":
                self.send(READY)
            elif kind == "X":
                return

    def scram(self, password, iterations=4096, nonce=lambda client: client + "more",
              first=None, signature=lambda right: right, final=True):
        """The server's half of SCRAM; a good one unless told otherwise."""
        self.send(SASL)
        body = self.recv_until("p")
        bare = body.split(b"\0", 1)[1][4:].decode().split(",", 2)[2]
        client = bare.split("r=", 1)[1]
        salt = os.urandom(16)
        server_first = (f"r={nonce(client)},s={base64.b64encode(salt).decode()},i={iterations}"
                        if first is None else first(client))
        self.send(message("R", struct.pack("!i", 11) + server_first.encode()))
        answer = self.recv_until("p").decode()
        without_proof = answer.rsplit(",p=", 1)[0]
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        key = hmac.digest(salted, b"Server Key", "sha256")
        right = base64.b64encode(hmac.digest(
            key, f"{bare},{server_first},{without_proof}".encode(), "sha256")).decode()
        if final:
            self.send(message("R", struct.pack("!i", 12) + f"v={signature(right)}".encode()))


class BadServer:
    """Listens on a free port of 127.0.0.1 and runs `script` for each connection."""

    def __init__(self, script):
        self.script, self.connections, self.stopping = script, 0, False
        self.socks = []
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.stopping:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            sock.settimeout(30)
            self.socks.append(sock)
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        try:
            self.script(Conn(sock))
        except (EOFError, OSError, struct.error, IndexError, ValueError):
            pass
        finally:
            sock.close()

    def stop(self):
        self.stopping = True
        self.listener.close()
        for sock in self.socks:
            sock.close()
