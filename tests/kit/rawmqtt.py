"""MQTT at the level of bytes, for tests that must say what no library would. v3.1, v3.1.1 and v5; nothing is validated on the way out."""
import random
import socket
import ssl
import struct
import time

from doors import connect_door
from stack import SLOW, patience

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(1, 16)


def varint(n):
    out = b""
    while True:
        n, byte = n >> 7, n & 127
        out += bytes([byte | (128 if n else 0)])
        if not n:
            return out


def text(s):
    b = s.encode() if isinstance(s, str) else s
    return struct.pack(">H", len(b)) + b


def packet(kind, body=b"", flags=0):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def props(*pairs):
    """props((0x11, 30), (0x26, "k", "v"), ...): a property block with its length."""
    one, two, four, strings, var = (0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), (0x13, 0x21, 0x22, 0x23), (0x02, 0x11, 0x18, 0x27), \
        (0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F), (0x0B,)
    out = b""
    for p in pairs:
        if isinstance(p, bytes):
            out += p
            continue
        i = p[0]
        out += bytes([i])
        if i in one:
            out += bytes([p[1]])
        elif i in two:
            out += struct.pack(">H", p[1])
        elif i in four:
            out += struct.pack(">I", p[1])
        elif i in strings:
            out += text(p[1])
        elif i in var:
            out += varint(p[1])
        else:
            out += text(p[1]) + text(p[2])
    return varint(len(out)) + out


def connect(client_id="", username=None, password=None, version=4, clean=True, keepalive=60, will=None, properties=(), name=None, flags=None, level=None):
    """will = (topic, payload, qos, retain[, properties])."""
    f = 2 if clean else 0
    tail = text(client_id)
    if will:
        f |= 4 | will[2] << 3 | (32 if will[3] else 0)
        if version == 5:
            tail += props(*(will[4] if len(will) > 4 else ()))
        tail += text(will[0]) + text(will[1])
    if username is not None:
        f |= 128
        tail += text(username)
    if password is not None:
        f |= 64
        tail += text(password)
    if flags is not None:
        f = flags
    body = text(name if name is not None else ("MQIsdp" if version == 3 else "MQTT")) + bytes([version if level is None else level, f]) + struct.pack(">H", keepalive)
    if version == 5:
        body += props(*properties)
    return packet(CONNECT, body + tail)


def publish(topic, payload=b"", qos=0, pid=1, retain=False, dup=False, version=4, properties=()):
    payload = payload.encode() if isinstance(payload, str) else payload
    body = text(topic)
    if qos:
        body += struct.pack(">H", pid)
    if version == 5:
        body += props(*properties)
    return packet(PUBLISH, body + payload, (8 if dup else 0) | qos << 1 | (1 if retain else 0))


def subscribe(*filters, pid=1, version=4, properties=()):
    """filters: "a/#" or ("a/#", options byte)."""
    body = struct.pack(">H", pid)
    if version == 5:
        body += props(*properties)
    for f in filters:
        f, options = f if isinstance(f, tuple) else (f, 0)
        body += text(f) + bytes([options])
    return packet(SUBSCRIBE, body, 2)


def unsubscribe(*filters, pid=2, version=4, properties=()):
    body = struct.pack(">H", pid)
    if version == 5:
        body += props(*properties)
    return packet(UNSUBSCRIBE, body + b"".join(text(f) for f in filters), 2)


def ack(kind, pid, code=None, version=4):
    body = struct.pack(">H", pid)
    if code is not None and version == 5:
        body += bytes([code])
    return packet(kind, body, 2 if kind == PUBREL else 0)


def disconnect(code=None, properties=None):
    if code is None:
        return packet(DISCONNECT)
    return packet(DISCONNECT, bytes([code]) + (props(*properties) if properties is not None else b""))


class Packet:
    def __init__(self, kind, flags, body, version):
        self.kind, self.flags, self.body, self.version = kind, flags, body, version
        self.properties = {}
        self.user = []
        at = 0
        if kind == CONNACK:
            self.present, self.code = body[0] & 1, body[1]
            if version == 5 and len(body) > 2:
                self._props(body, 2)
        elif kind == PUBLISH:
            n = struct.unpack(">H", body[:2])[0]
            self.topic = body[2:2 + n].decode()
            at = 2 + n
            self.qos, self.retain, self.dup = flags >> 1 & 3, bool(flags & 1), bool(flags & 8)
            self.pid = 0
            if self.qos:
                self.pid = struct.unpack(">H", body[at:at + 2])[0]
                at += 2
            if version == 5:
                at = self._props(body, at)
            self.payload = body[at:]
        elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            self.pid = struct.unpack(">H", body[:2])[0]
            self.code = body[2] if len(body) > 2 else 0
            if len(body) > 3:
                self._props(body, 3)
        elif kind in (SUBACK, UNSUBACK):
            self.pid = struct.unpack(">H", body[:2])[0]
            at = 2
            if version == 5:
                at = self._props(body, at)
            self.codes = list(body[at:])
        elif kind in (DISCONNECT, AUTH):
            self.code = body[0] if body else 0
            if len(body) > 1:
                self._props(body, 1)

    def _props(self, body, at):
        length, at = self._var(body, at)
        end = at + length
        while at < end:
            i = body[at]
            at += 1
            if i in (0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A):
                self.properties[i], at = body[at], at + 1
            elif i in (0x13, 0x21, 0x22, 0x23):
                self.properties[i], at = struct.unpack(">H", body[at:at + 2])[0], at + 2
            elif i in (0x02, 0x11, 0x18, 0x27):
                self.properties[i], at = struct.unpack(">I", body[at:at + 4])[0], at + 4
            elif i == 0x0B:
                value, at = self._var(body, at)
                self.properties.setdefault(i, []).append(value)
            elif i == 0x26:
                k, at = self._text(body, at)
                v, at = self._text(body, at)
                self.user.append((k.decode(), v.decode()))
            else:
                self.properties[i], at = self._text(body, at)
        assert at == end, "properties run over their length"
        return at

    @staticmethod
    def _var(body, at):
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value, at

    @staticmethod
    def _text(body, at):
        n = struct.unpack(">H", body[at:at + 2])[0]
        return body[at + 2:at + 2 + n], at + 2 + n

    def __repr__(self):
        return "<packet %d %r>" % (self.kind, self.body[:60])


class Closed(Exception):
    """The server closed the connection."""


class Raw:
    """One connection through the door that port stands for (a plain number: TCP). version is how answers are read."""

    def __init__(self, port, version=4, host="127.0.0.1", sock=None):
        self.version = version
        self.sock = sock or connect_door(port, host)
        self.data = b""

    def send(self, data):
        """A server that closes in the middle of much data (over TLS: between two records) may have said why: that is read next, and no error here."""
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError) as e:
            if len(data) <= 16384:
                raise BrokenPipeError(str(e)) from e
        return self

    def _fill(self, timeout):
        self.sock.settimeout(max(timeout, 0.001))
        try:
            more = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            raise Closed()
        if not more:
            raise Closed()
        self.data += more

    def read(self, timeout=5.0):
        """The next packet. Raises Closed at the end of the connection, TimeoutError when nothing comes."""
        timeout = patience(timeout)
        end = time.monotonic() + timeout
        while True:
            if len(self.data) >= 2:
                length = shift = 0
                for i in range(1, min(len(self.data), 5)):
                    length |= (self.data[i] & 127) << shift
                    shift += 7
                    if not self.data[i] & 128:
                        if len(self.data) >= i + 1 + length:
                            head, body = self.data[0], self.data[i + 1:i + 1 + length]
                            self.data = self.data[i + 1 + length:]
                            return Packet(head >> 4, head & 15, body, self.version)
                        break
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("no packet within %.1f s" % timeout)
            try:
                self._fill(left)
            except socket.timeout:
                raise TimeoutError("no packet within %.1f s" % timeout)

    def expect(self, kind, timeout=5.0):
        p = self.read(timeout)
        assert p.kind == kind, "expected packet type %d, got %r" % (kind, p)
        return p

    def quiet(self, seconds=0.3):
        """True if nothing comes for so long and the connection stays open."""
        try:
            p = self.read(seconds / SLOW)
        except TimeoutError:
            return True
        raise AssertionError("unexpected %r" % p)

    def closed(self, timeout=5.0):
        """Reads until the server closes; returns the packets that came before."""
        packets = []
        try:
            while True:
                packets.append(self.read(timeout))
        except Closed:
            return packets

    def connect(self, client_id="", token=None, **more):
        self.send(connect(client_id, username=token, version=self.version, **more))
        return self.expect(CONNACK)

    def sync(self, timeout=5.0):
        """A round trip through the core (PINGREQ is answered by the proxy alone): all that was sent before has been handled, all that the core
        had for this client is here. Packets that come meanwhile are returned."""
        self.send(unsubscribe("sync/never-subscribed", pid=65535, version=self.version))
        packets = []
        while True:
            p = self.read(timeout)
            if p.kind == UNSUBACK and p.pid == 65535:
                return packets
            packets.append(p)

    def settled(self):
        """As sync(), twice: retained messages begin in the turn after SUBACK, so that one round trip may overtake them."""
        return self.sync() + self.sync()

    def subscribe(self, *filters, **more):
        self.send(subscribe(*filters, version=self.version, **more))
        return self.expect(SUBACK).codes

    def publish(self, topic, payload=b"", **more):
        self.send(publish(topic, payload, version=self.version, **more))
        return self

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def open_client(port, token, client_id="", version=4, **more):
    """Connected and accepted, or an AssertionError with the code."""
    c = Raw(port, version)
    if version == 3 and not client_id:
        client_id = "c%08x" % random.getrandbits(32)    # MQTT 3.1 has no empty client ids
    answer = c.connect(client_id, token, **more)
    assert answer.code == 0, "refused with 0x%02X" % answer.code
    c.present = answer.present
    c.connack = answer
    return c
