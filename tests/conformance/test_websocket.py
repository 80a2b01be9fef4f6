"""Chapter 6: MQTT over WebSocket, frame by frame."""
import base64
import hashlib
import os
import struct

import pytest
from proofs import V, payloads, proves
from rawmqtt import CONNACK, PINGRESP, PUBACK, PUBLISH, SUBACK, Closed, Raw, connect, disconnect, packet, publish, subscribe

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(op, data, fin=True):
    mask = os.urandom(4)
    n = len(data)
    size = bytes([128 | n]) if n < 126 else struct.pack(">BH", 128 | 126, n) if n < 65536 else struct.pack(">BQ", 128 | 127, n)
    return bytes([(128 if fin else 0) | op]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


class Web(Raw):
    """A connection that is upgraded; send() makes one binary frame, send_raw() makes none."""

    def __init__(self, port, version=4, protocols="mqtt"):
        super().__init__(port, version)
        key = base64.b64encode(os.urandom(16))
        self.sock.sendall(b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key +
                          b"\r\nSec-WebSocket-Protocol: " + protocols.encode() + b"\r\n\r\n")
        self.wire, self.ops, self.closing = b"", [], False
        while b"\r\n\r\n" not in self.wire:
            self._receive(5)
        head, self.wire = self.wire.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.status = lines[0].split(" ")[1]
        self.headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        if self.status == "101":
            assert self.headers["sec-websocket-accept"] == base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()

    def _receive(self, timeout):
        self.sock.settimeout(max(timeout, 0.001))
        try:
            more = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            raise Closed()
        if not more:
            raise Closed()
        self.wire += more

    def _fill(self, timeout):
        if self.closing:
            raise Closed()
        while True:
            w = self.wire
            if len(w) >= 2:
                assert w[1] & 128 == 0 and w[0] & 0x70 == 0     # a server masks nothing, and no extension was agreed to
                n, at = w[1] & 127, 2
                if n == 126 and len(w) >= 4:
                    n, at = struct.unpack(">H", w[2:4])[0], 4
                elif n == 127 and len(w) >= 10:
                    n, at = struct.unpack(">Q", w[2:10])[0], 10
                if n < 126 or at > 2:
                    if len(w) >= at + n:
                        self.wire = w[at + n:]
                        self.ops.append(w[0] & 15)
                        if w[0] & 15 == CLOSE:
                            self.closing = True
                            raise Closed()
                        self.data += w[at:at + n] if w[0] & 15 in (0, BINARY) else b""
                        return
            self._receive(timeout)

    def send(self, data):
        return self.send_raw(frame(BINARY, data))

    def send_raw(self, data):
        self.sock.sendall(data)
        return self


@pytest.fixture
def port(stack):
    return stack.ready["ws"]


@pytest.mark.parametrize("offered", ["mqtt", "mqtt, mqttv3.1", "chat, mqtt"])
@V
@proves("MQTT-6.0.0-3", "v3:MQTT-6.0.0-3", "MQTT-6.0.0-4", "v3:MQTT-6.0.0-4")
def test_the_server_selects_the_sub_protocol_mqtt(port, token, version, offered):
    with Web(port, version, offered) as c:
        assert (c.status, c.headers["sec-websocket-protocol"]) == ("101", "mqtt")
        assert c.connect("c", token).code == 0


@V
@proves("MQTT-6.0.0-1", "v3:MQTT-6.0.0-1")
def test_packets_come_in_binary_frames(port, token, version):
    with Web(port, version) as c:
        assert c.connect("c", token).code == 0
        c.subscribe("a")
        for size in (0, 100, 200, 70000):
            c.publish("a", b"x" * size, qos=1)
            assert [len(p) for p in payloads(c.sync())] == [size]
        assert set(c.ops) == {BINARY}


@V
@pytest.mark.parametrize("when", ["first", "connected"])
@proves("MQTT-6.0.0-1", "v3:MQTT-6.0.0-1")
def test_a_text_frame_closes_the_connection(port, token, version, when):
    with Web(port, version) as c:
        if when == "connected":
            assert c.connect("c", token).code == 0
            c.send_raw(frame(TEXT, publish("a", "x", qos=1, version=version)))
        else:
            c.send_raw(frame(TEXT, connect("c", token, version=version)))
        assert c.closed() == []


@V
@proves("MQTT-6.0.0-2", "v3:MQTT-6.0.0-2")
def test_packets_are_not_aligned_to_frames(port, token, version):
    stream = connect("c", token, version=version) + subscribe("a", version=version) + publish("a", "x" * 300, qos=1, version=version) + packet(12)
    for size in (len(stream), 1, 7):
        with Web(port, version) as c:
            c.send_raw(b"".join(frame(BINARY, stream[i:i + size]) for i in range(0, len(stream), size)))
            assert sorted(c.read().kind for _ in range(5)) == sorted([CONNACK, SUBACK, PUBLISH, PUBACK, PINGRESP])
    with Web(port, version) as c:               # one message of several fragments, with a ping in between
        c.send_raw(frame(BINARY, stream[:10], False) + frame(PING, b"?") + frame(0, stream[10:20], False) + frame(0, stream[20:]))
        assert sorted(c.read().kind for _ in range(5)) == sorted([CONNACK, SUBACK, PUBLISH, PUBACK, PINGRESP])
        assert PONG in c.ops
        c.send(disconnect())
        assert c.closed() == []
