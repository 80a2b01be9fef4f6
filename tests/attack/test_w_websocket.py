"""Attacks W11 to W21, A22 and A23: WebSocket, and who stands in front."""
import base64
import json
import os
import select
import socket
import ssl
import struct
import time

import pytest
from doors import (BINARY, CLOSE, PING, PONG, TEXT, Refused, WebSocket, connect_door, dial, frame, port, read_all, read_head, request, tls)
from rawmqtt import CONNACK, PINGRESP, PUBLISH, Closed, Raw, connect, open_client, packet, publish, subscribe
from stack import SLOW, Stack, Stopwatch

pytestmark = pytest.mark.one_door("WebSocket, and who stands in front: each test names its doors")

WEB = pytest.mark.parametrize("where", ["ws", "wss"])
PINGREQ = packet(12)


def plain(p):
    """A connection on which the upgrade is still to be asked for."""
    s = dial(int(p))
    return tls(s, p.ca) if p.door == "wss" else s


def ask(p, data):
    """The whole answer to these bytes; the server ends the connection."""
    with plain(p) as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass
        s.settimeout(10 * SLOW)
        return read_all(s)


def status(p, data):
    answer = ask(p, data)
    assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    assert b"\r\nConnection: close\r\n" in answer or b"\r\nConnection: Upgrade, close\r\n" in answer
    return int(answer[9:12])


def opened(stack, where, token, version=4):
    """(Raw, WebSocket) after CONNACK."""
    ws = connect_door(port(stack.ready, where))
    c = Raw(0, version, sock=ws)
    assert c.connect("", token).code == 0
    return c, ws


def ends_with(ws, code, timeout=5):
    """The server says this code, hears our goodbye and closes."""
    ws.settimeout(timeout * SLOW)
    try:
        while ws.code is None and ws.next():
            pass
        ws.sock.shutdown(socket.SHUT_WR)
        read_all(ws.sock)
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert ws.code == code, (ws.code, code)


@WEB
def test_a_person_gets_a_page_that_says_what_this_is(stack, where):
    p = port(stack.ready, where)
    answer = ask(p, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 ") and b"text/html" in head and b"MQTT" in body
    for header in (b"Content-Security-Policy: default-src 'none'", b"X-Content-Type-Options: nosniff", b"Referrer-Policy: no-referrer", b"Cache-Control: no-store"):
        assert header in head
    head_only = ask(p, b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head_only.endswith(b"\r\n\r\n") and b"Content-Length: %d\r\n" % len(body) in head_only
    assert status(p, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n") == 405


@WEB
def test_W11_a_wrong_upgrade_is_refused(stack, where):
    p = port(stack.ready, where)
    for wrong, want in ((dict(protocol=None), 400), (dict(protocol="soap"), 400), (dict(protocol="mqttx"), 400), (dict(key=""), 400), (dict(key="short"), 400),
                        (dict(key="A" * 24), 400), (dict(key="A" * 16000), 431), (dict(key=base64.b64encode(bytes(17)).decode()), 400), (dict(version="8"), 426),
                        (dict(version="12"), 426), (dict(version=None), 400), (dict(host=None), 400)):
        assert status(p, request(**wrong)) == want, wrong
    lines = request().split(b"\r\n")
    for header, want in ((b"Upgrade", 426), (b"Connection", 400), (b"Sec-WebSocket-Key", 400)):
        assert status(p, b"\r\n".join(line for line in lines if not line.startswith(header))) == want, header
    for protocol, version in (("mqtt", 4), ("mqtt", 5), ("mqttv3.1", 3), ("x, mqtt", 5)):
        ws = connect_door(p, protocol=protocol)
        assert b"Sec-WebSocket-Protocol: %s\r\n" % ("mqttv3.1" if protocol == "mqttv3.1" else "mqtt").encode() in ws.head
        with Raw(p, version, sock=ws) as c:
            assert c.connect("c%d" % version, stack.master).code == 0


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """One path, one Origin, tokens in requests, short deadlines, and peers that speak for others: 127.0.0.2 by the PROXY protocol,
    127.0.0.3 by X-Forwarded-For."""
    s = Stack(tmp_path_factory.mktemp("strict"), "[proxy]\nws_path = /mqtt\nws_origins = https://good.example, null\nws_token_header = on\nws_token_query = on\n"
              "connect_deadline = 2s\nproxy_protocol_from = 127.0.0.2, 2001:db8::/32\nforwarded_from = 127.0.0.3/32\nconnections_per_ip = 20\n")
    s.start()
    yield s
    s.stop()


def test_W12_a_foreign_origin_is_refused(strict):
    p = port(strict.ready, "ws")
    for origin, ok in (("https://good.example", True), ("https://GOOD.example", True), ("null", True), (None, True), ("https://evil.example", False),
                       ("https://good.example.evil.example", False), ("http://good.example", False), ("https://good.example:444", False), ("", False)):
        data = request(headers=[("Origin", origin)])
        if ok:
            with plain(p) as s:
                s.sendall(data)
                assert read_head(s)[0].startswith(b"HTTP/1.1 101"), origin
        else:
            assert status(p, data) == 403, origin
    assert status(p, request(path="/other")) == 404
    # nothing that a browser sends by itself lets in
    with Raw(0, sock=connect_door(p, headers=[("Cookie", "token=" + strict.master)])) as c:
        c.send(connect("c"))
        assert c.expect(CONNACK).code in (4, 5)


def test_a_token_may_come_with_the_request_where_that_is_configured(strict, stack):
    for fields in (dict(path="/mqtt?token=" + strict.master), dict(headers=[("Authorization", "FlespiToken " + strict.master)]),
                   dict(headers=[("Authorization", "Bearer " + strict.master)]), dict(headers=[("Authorization", strict.master)]),
                   dict(headers=[("Authorization", "bearer  " + strict.master)]), dict(headers=[("Authorization", "FLESPITOKEN " + strict.master)])):
        with Raw(0, sock=connect_door(port(strict.ready, "ws"), **fields)) as c:
            c.send(connect("c"))
            assert c.expect(CONNACK).code == 0
        # what CONNECT says wins
        with Raw(0, sock=connect_door(port(strict.ready, "ws"), **fields)) as c:
            c.send(connect("c", "x" * 64))
            assert c.expect(CONNACK).code in (4, 5)
        # elsewhere it is not looked at
        own = {**fields, "path": fields.get("path", "").replace(strict.master, stack.master) or "/mqtt"}
        own["headers"] = [(k, v.replace(strict.master, stack.master)) for k, v in fields.get("headers", ())]
        with Raw(0, sock=connect_door(port(stack.ready, "ws"), **own)) as c:
            c.send(connect("c"))
            assert c.expect(CONNACK).code in (4, 5)
    for s in (strict, stack):
        assert s.master not in s.log("proxy")


@WEB
def test_W13_strange_requests_are_refused(stack, where):
    p = port(stack.ready, where)
    good = request()
    for data, want in ((request(headers=[("X", "y" * 9000)]), 431), (request(headers=[("X-%d" % i, "y") for i in range(10000)]), 431),
                       (request(headers=[("Transfer-Encoding", "chunked")]), 400), (request(headers=[("X", "a\r\n folded")]), 400),
                       (request(headers=[("X", "a\nY: b")]), 400), (request(headers=[("X ", "b")]), 400), (request(headers=[("Content-Length", "5")]), 400),
                       (good.replace(b"HTTP/1.1", b"HTTP/3.0"), 505), (good.replace(b"HTTP/1.1", b"HTTP/1.0"), 400), (request(path="/a b"), 400),
                       (request(headers=[("Host", "two")]), 400), (request(headers=[("X", "\0")]), 400), (good + good, 400), (good + frame(BINARY, b"x"), 400)):
        assert status(p, data) == want, data[:200]
    mqtt_behind_http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + connect("c", stack.master)
    assert b"\x20\x02\x00\x00" not in ask(p, mqtt_behind_http)


def test_W13_a_request_that_trickles_is_cut_off(strict):
    start, watch, data = time.monotonic(), Stopwatch(strict), request()
    with plain(port(strict.ready, "ws")) as s:
        s.settimeout(0.05)
        answer = b""
        for i in range(len(data)):
            try:
                s.sendall(data[i:i + 1])
                answer += s.recv(1000)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
            if answer or time.monotonic() > start + 4 * SLOW:
                break
        assert 0.9 <= time.monotonic() - start and watch.seconds() < 2.5 * SLOW
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_W13_an_upgraded_connection_without_connect_is_closed(strict):
    ws = connect_door(port(strict.ready, "ws"))
    ends_with(ws, 1000, 3)


LENGTHS = {
    "2^63-1": (frame(BINARY, b"x", length=(127, struct.pack(">Q", 2 ** 63 - 1))), 1009),
    "2^63": (frame(BINARY, b"x", length=(127, struct.pack(">Q", 2 ** 63))), 1002),
    "2^64-1": (frame(BINARY, b"x", length=(127, struct.pack(">Q", 2 ** 64 - 1))), 1002),
    "64 MiB": (frame(BINARY, b"x", length=(127, struct.pack(">Q", 64 << 20))), 1009),
    "3 in 16 bits": (frame(BINARY, b"xxx", length=(126, struct.pack(">H", 3))), 1002),
    "3 in 64 bits": (frame(BINARY, b"xxx", length=(127, struct.pack(">Q", 3))), 1002),
    "300 in 64 bits": (frame(BINARY, b"x" * 300, length=(127, struct.pack(">Q", 300))), 1002),
}
WRONG = {
    "no mask": (frame(BINARY, PINGREQ, mask=False), 1002),
    **{"extension bit %d" % r: (frame(BINARY, PINGREQ, rsv=r), 1002) for r in (1, 2, 4)},
    **{"opcode %d" % op: (frame(op, b""), 1002) for op in (3, 7, 11, 15)},
    "fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "long close": (frame(CLOSE, b"x" * 126), 1002),
    "text": (frame(TEXT, PINGREQ), 1003),
    "continuation of nothing": (frame(0, PINGREQ), 1002),
    "a message inside another": (frame(BINARY, b"", fin=False) + frame(BINARY, b""), 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close with 1005": (frame(CLOSE, struct.pack(">H", 1005)), 1002),
    "close with 999": (frame(CLOSE, struct.pack(">H", 999)), 1002),
    "close with a reason that is no text": (frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007),
}


@WEB
@pytest.mark.parametrize("name", LENGTHS)
def test_W14_lengths(stack, customer, where, name):
    c, ws = opened(stack, where, customer.master)
    ws.send_raw(LENGTHS[name][0])
    ends_with(ws, LENGTHS[name][1])


@WEB
@pytest.mark.parametrize("name", WRONG)
def test_W15_W16_wrong_frames(stack, customer, where, name):
    c, ws = opened(stack, where, customer.master)
    ws.send_raw(WRONG[name][0])
    ends_with(ws, WRONG[name][1])


@WEB
def test_W16_frame_borders_mean_nothing(stack, customer, where):
    c, ws = opened(stack, where, customer.token())
    c.subscribe("a")
    three = b"".join(publish("a", b"%d" % i) for i in range(3))
    ws.send_raw(frame(BINARY, three))                                                           # several in one
    ws.send_raw(b"".join(frame(BINARY, three[i:i + 1]) for i in range(len(three))))             # one in many
    ws.send_raw(frame(BINARY, three[:4], fin=False) + frame(0, three[4:9], fin=False) + frame(PING, b"between") + frame(0, b"", fin=False) + frame(0, three[9:]))
    ws.send_raw(frame(BINARY, b"") + frame(BINARY, b"", fin=False) + frame(0, b""))             # nothing
    data = frame(BINARY, PINGREQ)
    for i in range(len(data)):
        ws.send_raw(data[i:i + 1])
    got = [c.read() for _ in range(10)]     # the answer to PINGREQ has a shorter way
    assert [p.payload for p in got if p.kind == PUBLISH] == [b"0", b"1", b"2"] * 3
    assert [p for p in got if p.kind == PINGRESP]
    assert (PONG, b"between") in ws.frames


@WEB
def test_each_packet_is_a_frame_of_its_own(stack, customer, where):
    """Clients exist that read one packet of a frame, or take a frame for a packet."""
    c, ws = opened(stack, where, customer.token())
    sizes = [0, 1, 121, 122, 123, 124, 125, 126, 1000, 65520, 65526, 65530, 65531, 65532, 65540, 100000]
    c.subscribe("many")
    before = len(ws.frames)
    with open_client(stack.port, customer.token()) as p:
        p.send(b"".join(publish("many", b"%d" % n + b"x" * n) for n in sizes * 5))
        got = [c.expect(PUBLISH) for _ in sizes * 5]
    assert [g.payload for g in got] == [b"%d" % n + b"x" * n for n in sizes * 5]
    assert len(ws.frames) - before == len(got)
    c.send(b"".join(PINGREQ for _ in range(200)))
    before = len(ws.frames)
    for _ in range(200):
        c.expect(PINGRESP)
    assert len(ws.frames) - before == 200


@WEB
def test_W17_pings_are_answered_and_a_flood_of_them_ends(stack, customer, where):
    c, ws = opened(stack, where, customer.master)
    ws.send_frame(PING, b"hello")
    ws.send_frame(PONG, b"unasked")
    assert ws.next() == (PONG, b"hello")
    assert not select.select([ws.sock], [], [], 0.1)[0]
    ws.send_raw(frame(PING, b"x") * 200)
    ends_with(ws, 1008)


@WEB
def test_W17_fragments_and_empty_frames_without_end(stack, customer, where):
    c, ws = opened(stack, where, customer.master)
    ws.send_raw(frame(BINARY, b"", fin=False) + frame(0, b"", fin=False) * 3000)
    ends_with(ws, 1008)
    c, ws = opened(stack, where, customer.master)
    ws.send_raw(frame(BINARY, b"") * 3000)
    ends_with(ws, 1008)


@WEB
def test_W17_a_close_is_answered_with_its_code_and_nothing_after_it_counts(stack, customer, where):
    with open_client(stack.port, customer.token(), "watch") as watch:
        watch.subscribe("#")
        for said, code in ((struct.pack(">H", 1000) + b"bye", 1000), (struct.pack(">H", 3001), 3001), (b"", 1005)):
            c, ws = opened(stack, where, customer.token())
            ws.send_raw(frame(BINARY, publish("before", b"yes")) + frame(CLOSE, said) + frame(BINARY, publish("after", b"no")))
            ends_with(ws, code)
        assert [p.topic for p in watch.sync() if p.kind == PUBLISH] == ["before"] * 3


def test_W18_no_extension_is_agreed_to(stack):
    for offer in ("permessage-deflate", "permessage-deflate; client_max_window_bits=99", "permessage-deflate; server_max_window_bits=8, x-webkit-deflate-frame"):
        ws = connect_door(port(stack.ready, "ws"), headers=[("Sec-WebSocket-Extensions", offer)])
        assert b"extensions" not in ws.head.lower()
        ws.close()


@WEB
def test_W19_http_2_is_not_spoken(stack, where):
    p = port(stack.ready, where)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    assert status(p, preface) in (400, 505)
    h2c = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    assert status(p, h2c) == 400


@WEB
def test_W20_a_slow_reader_gets_everything_and_nobody_spins(stack, customer, where):
    c, ws = opened(stack, where, customer.token(), 5)
    c.subscribe(("big", 1))
    ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    body = os.urandom(100000)

    def cpu():
        with open("/proc/%d/stat" % stack.ready["pids"]["proxy"]) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    with open_client(stack.port, customer.token()) as p:
        for i in range(20):
            p.publish("big", body, qos=1, pid=i + 1).expect(4)
        begin = cpu()
        time.sleep(1)
        assert cpu() - begin < 0.3
        for _ in range(20):
            m = c.expect(PUBLISH, 10)
            assert m.payload == body
            c.send(b"\x40\x02" + struct.pack(">H", m.pid))
        assert ws.code is None


@WEB
def test_W21_a_connection_that_dies_at_any_point_hurts_nobody(stack, customer, where):
    """Under ASan in CI."""
    p = port(stack.ready, where)
    whole = request()
    stages = [b"", whole[:10], whole[:-1], whole]
    for stage in stages:
        for reset in (False, True):
            s = plain(p)
            s.sendall(stage) if stage else None
            if reset:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
    for tail in (frame(BINARY, connect("d", customer.master))[:9], frame(BINARY, connect("d", customer.master)), frame(PING, b"x") + frame(CLOSE, b""),
                 frame(BINARY, connect("d", customer.master)) + frame(BINARY, subscribe("#")) + frame(CLOSE, b"\x03\xe8")):
        for reset in (False, True):
            ws = connect_door(p)
            ws.send_raw(tail)
            if reset:
                ws.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ws.close()
    if where == "wss":
        for n in (1, 5, 100, 200):
            s = dial(int(p))
            s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:n])
            s.close()
    with open_client(p, customer.master):
        pass


# ---- Who stands in front ----

def from_address(s, where, source, before=b"", **fields):
    """A socket to this door from one of our loopback addresses, all handshakes done; before: said first."""
    sock = socket.create_connection(("127.0.0.1", s.ready[{"tcp": "mqtt", "tls": "mqtts"}.get(where, where)]), timeout=10 * SLOW, source_address=(source, 0))
    sock.sendall(before)
    if where in ("tls", "wss"):
        sock = tls(sock, s.ready["ca"])
    if where in ("ws", "wss"):
        sock = WebSocket(sock, **fields)
    return sock


def known_as(s, sock, client):
    """The address that the customer's log names for this client. A customer of its own: of one token only so many records come in a second."""
    token = s.new_customer().master
    with open_client(s.ready["mqtt"], token) as watch, Raw(0, sock=sock) as c:
        watch.subscribe("flespi/log/mqtt/sessions/%s/connected" % client)
        assert c.connect(client, token).code == 0
        return json.loads(watch.expect(PUBLISH).payload)["source"]


def v2(source, command=0x21, family=0x11):
    addresses = socket.inet_aton(source) + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 4711, 1883)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family]) + struct.pack(">H", len(addresses)) + addresses


@pytest.mark.parametrize("where", ["tcp", "tls", "ws", "wss"])
def test_A22_the_proxy_protocol_counts_from_its_peer_only(strict, where):
    v1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 1883\r\n"
    v6 = b"PROXY TCP6 2001:db8::7 ::1 4711 1883\r\n"
    for i, (header, address) in enumerate(((v1, "192.0.2.7"), (v6, "2001:db8::7"), (v2("192.0.2.9"), "192.0.2.9"), (v2("192.0.2.9", 0x20, 0), "127.0.0.2"),
                                           (b"PROXY UNKNOWN\r\n", "127.0.0.2"))):
        assert known_as(strict, from_address(strict, where, "127.0.0.2", header), "pp%s%d" % (where, i)) == address
    assert known_as(strict, from_address(strict, where, "127.0.0.1"), "direct" + where) == "127.0.0.1"
    for source, header in (("127.0.0.2", b""), ("127.0.0.2", b"PROXY TCP4 192.0.2.7\r\n"), ("127.0.0.1", v1), ("127.0.0.1", v2("192.0.2.7"))):
        with pytest.raises((Closed, ssl.SSLError, ConnectionError, Refused)):
            known_as(strict, from_address(strict, where, source, header), "never" + where)


def test_A22_the_ips_of_a_token_are_held_against_the_real_address(strict):
    status_, answer = strict.rest("POST", "/platform/tokens", [{"access": {"type": 1}, "ips": "192.0.2.*", "ttl": 600}])
    assert status_ == 200, answer
    token = answer["result"][0]["key"]
    for address, code in (("192.0.2.7", 0), ("198.51.100.7", 5)):
        header = b"PROXY TCP4 %s 10.0.0.1 4711 1883\r\n" % address.encode()
        with Raw(0, sock=from_address(strict, "tcp", "127.0.0.2", header)) as c:
            assert c.connect("ips", token).code == code
    with Raw(0, sock=from_address(strict, "tcp", "127.0.0.2", b"PROXY UNKNOWN\r\n")) as c:
        assert c.connect("ips", token).code == 5


def test_A22_limits_count_the_real_address(strict):
    held = []
    try:
        for i in range(30):         # one client too many hurts neither the load balancer nor the others
            held.append(from_address(strict, "tcp", "127.0.0.2", b"PROXY TCP4 192.0.2.66 10.0.0.1 1 2\r\n"))
        closed, end = 0, time.monotonic() + 0.8     # before their deadline for CONNECT
        while closed < 10 and time.monotonic() < end:
            time.sleep(0.02)
            closed = len(select.select(held, [], [], 0)[0])
        assert closed == 10
        assert known_as(strict, from_address(strict, "tcp", "127.0.0.2", b"PROXY TCP4 192.0.2.67 10.0.0.1 1 2\r\n"), "other67") == "192.0.2.67"
    finally:
        for s in held:
            s.close()


def test_A22_a_header_in_pieces_with_the_first_packet_behind_it(strict):
    with socket.create_connection(("127.0.0.1", strict.ready["mqtt"]), source_address=("127.0.0.2", 0)) as s:
        data = b"PROXY TCP4 192.0.2.70 10.0.0.1 4711 1883\r\n" + connect("pieces", strict.master)
        for i in range(0, 45):
            s.sendall(data[i:i + 1])
            time.sleep(0.002)
        s.sendall(data[45:])
        assert Raw(0, sock=s).expect(CONNACK).code == 0


@WEB
def test_A23_forwarded_addresses_count_from_trusted_peers_only(strict, where):
    for source, value, address in (("127.0.0.3", "192.0.2.80", "192.0.2.80"), ("127.0.0.3", "203.0.113.9, 192.0.2.81", "192.0.2.81"),
                                   ("127.0.0.3", "192.0.2.82, 127.0.0.3", "192.0.2.82"), ("127.0.0.1", "192.0.2.83", "127.0.0.1"),
                                   ("127.0.0.3", None, "127.0.0.3")):
        sock = from_address(strict, where, source, headers=[("X-Forwarded-For", value), ("X-Real-IP", "198.51.100.1")])
        assert known_as(strict, sock, "xff%s%s" % (where, value and value.replace(", ", "-"))) == address
    with pytest.raises(Refused) as e:
        from_address(strict, where, "127.0.0.3", headers=[("X-Forwarded-For", "not an address")])
    assert e.value.status == 400
