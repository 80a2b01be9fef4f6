"""The four doors as a test uses them: a port that knows its door, TLS, and a small WebSocket client (RFC 6455). Only the standard library.
Nothing is validated on the way out, so that attacks can be said."""
import base64
import hashlib
import os
import socket
import ssl
import struct

from stack import SLOW

KEYS = {"tcp": "mqtt", "tls": "mqtts", "ws": "ws", "wss": "wss"}     # door -> key of ready.json
ALL = tuple(d for d in os.environ.get("MBUS_DOORS", "tcp,tls,ws,wss").split(",") if d)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
current = "tcp"         # the door of the test that runs (tests/conftest.py)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Port(int):
    """A port number, and what kind of door is behind it."""
    door, ca, ready = "tcp", None, None


def port(ready, door=None):
    """ready: the ports by their keys, and the authority. Without a door, the one of the test."""
    door = door or current
    p = Port(ready[KEYS[door]])
    p.door, p.ca, p.ready = door, ready.get("ca"), ready
    return p


def without_ws(p):
    """The same door without WebSocket, for clients that do not speak it."""
    door = getattr(p, "door", "tcp")
    return port(p.ready, "tls" if door == "wss" else "tcp") if is_ws(door) else p


def is_tls(door):
    return door in ("tls", "wss")


def is_ws(door):
    return door in ("ws", "wss")


def context(ca, alpn=None, cert=None, **more):
    """A client that trusts this authority only. more: attributes of the SSLContext."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(ca)
    if alpn:
        c.set_alpn_protocols(alpn)
    if cert:
        c.load_cert_chain(*cert)
    for name, value in more.items():
        setattr(c, name, value)
    return c


def dial(port_number, host="127.0.0.1", timeout=10, source=None):
    s = socket.create_connection((host, port_number), timeout=timeout * SLOW, source_address=(source, 0) if source else None)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def tls(sock, ca, name="localhost", **more):
    try:
        return context(ca, **more).wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def frame(op, data=b"", fin=True, rsv=0, mask=True, length=None, mask_bytes=None):
    """length: what the header says instead of the truth, as (7-bit field, bytes)."""
    n = len(data)
    if length is not None:
        field, more = length
    elif n < 126:
        field, more = n, b""
    elif n < 65536:
        field, more = 126, struct.pack(">H", n)
    else:
        field, more = 127, struct.pack(">Q", n)
    head = bytes([(128 if fin else 0) | rsv << 4 | op, (128 if mask else 0) | field]) + more
    if not mask:
        return head + data
    key = mask_bytes or os.urandom(4)
    whole = int.from_bytes((key * (n // 4 + 1))[:n], "big") ^ int.from_bytes(data, "big")
    return head + key + whole.to_bytes(n, "big")


def request(path="/mqtt", host="localhost", key=None, headers=(), protocol="mqtt", version="13"):
    """The bytes of an upgrade; a field that is None is left out. headers: (name, value) that come last."""
    fields = [("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", version),
              ("Sec-WebSocket-Key", key if key is not None else base64.b64encode(os.urandom(16)).decode()), ("Sec-WebSocket-Protocol", protocol)]
    lines = ["GET %s HTTP/1.1" % path] + ["%s: %s" % (k, v) for k, v in fields + list(headers) if v is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Refused(Exception):
    """The server did not upgrade: .status, .head, .body."""

    def __init__(self, status, head, body):
        super().__init__("%s %r" % (status, body[:80]))
        self.status, self.head, self.body = status, head, body


def read_head(sock):
    """Bytes up to the empty line, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return data, b""
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def read_all(sock):
    data = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                return data
            data += more
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
        return data


class WebSocket:
    """Looks like a socket: sendall makes one binary frame, recv gives the payload of binary frames. Frames that came are in .frames as
    (op, payload); .code is that of the close frame."""

    def __init__(self, sock, **request_fields):
        self.sock, self.data, self.plain, self.code, self.reason, self.frames = sock, b"", b"", None, b"", []
        self.count = 0
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall(request(**{"key": key, **request_fields}))
        head, self.data = read_head(sock)
        self.status = int(head.split(b" ")[1]) if head else 0
        self.head = head
        if self.status != 101:
            body = self.data + read_all(sock)
            sock.close()
            raise Refused(self.status, head, body)
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
        assert b"Sec-WebSocket-Accept: " + accept + b"\r\n" in head, head

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def setsockopt(self, *what):
        self.sock.setsockopt(*what)

    def getsockname(self):
        return self.sock.getsockname()

    def shutdown(self, how):
        self.sock.shutdown(how)

    def sendall(self, data):
        if data:
            self.sock.sendall(frame(BINARY, data))

    def send_frame(self, *what, **more):
        self.sock.sendall(frame(*what, **more))

    def send_raw(self, data):
        self.sock.sendall(data)

    def _frame(self):
        """One whole frame off self.data, or None. A server's frames are whole, not masked, with no extension bits."""
        if len(self.data) < 2:
            return None
        op, n, at = self.data[0], self.data[1], 2
        assert op & 0xF0 == 0x80 and n < 128, self.data[:2]
        if n >= 126:
            at = 4 if n == 126 else 10
            if len(self.data) < at:
                return None
            n = int.from_bytes(self.data[2:at], "big")
            assert n >= (126 if at == 4 else 65536)
        if len(self.data) < at + n:
            return None
        payload, self.data = self.data[at:at + n], self.data[at + n:]
        return op & 15, payload

    def next(self):
        """The next frame as (op, payload); None at the end of the connection."""
        while True:
            f = self._frame()
            if f:
                break
            more = self.sock.recv(65536)
            if not more:
                return None
            self.data += more
        op, payload = f
        self.frames.append(f)
        self.count += 1
        if op == PING:
            self.send_frame(PONG, payload)
        if op == CLOSE:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.reason = payload[2:]
        return f

    def recv(self, _most):
        while not self.plain:
            if self.code is not None:
                return b""
            f = self.next()
            if f is None:
                return b""
            if f[0] == BINARY:
                self.plain = f[1]
        out, self.plain = self.plain, b""
        return out

    def fileno(self):
        return self.sock.fileno()

    def close(self):
        self.sock.close()


def waiting(s):
    """Is there something to read that select() does not see?"""
    if isinstance(s, WebSocket):
        return bool(s.plain or s.data) or waiting(s.sock)
    return isinstance(s, ssl.SSLSocket) and s.pending() > 0


def connect_door(p, host="127.0.0.1", sock=None, **more):
    """A socket to this door, all handshakes done. sock: a connection that is there already. more: of the upgrade. ConnectionError if the door closes
    without a word, whichever handshake it was in."""
    door = getattr(p, "door", "tcp")
    s = sock or dial(int(p), host)
    try:
        if is_tls(door):
            s = tls(s, p.ca)
        if is_ws(door):
            s = WebSocket(s, **more)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as e:
        raise ConnectionResetError("in the handshake") from e
    except Refused as e:
        if e.status:
            raise
        raise ConnectionResetError("in the upgrade") from e
    return s
