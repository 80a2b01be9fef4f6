#!/usr/bin/python3
"""Writes the first inputs of ws_frames, upgrade and proxy_protocol: tests/fuzz/door_seeds.py (from anywhere; overwrites its own files only)."""
import os
import struct
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
KEY = b"\x37\xfa\x21\x3d"


# ---- WebSocket: u8 seed of the cuts, u8 limits (0 usual, 1 small, 2 largest, 3 one), then the stream
def frame(first, payload=b"", length=None, mask=KEY):
    n = len(payload) if length is None else length
    bit = 128 if mask else 0
    head = bytes([first])
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload)) if mask else head + payload


def close(code, reason=b""):
    return frame(0x88, struct.pack(">H", code) + reason)


FRAMES = {
    "hello": (0, frame(0x82, b"Hello")), "fragments": (0, frame(2, b"Hel") + frame(0x89, b"p") + frame(0, b"lo ") + frame(0x8a) + frame(0x80, b"world")),
    "long": (0, frame(0x82, b"x" * 300) + frame(0x82, b"y" * 126)), "empty": (0, frame(0x82) + frame(2) + frame(0) + frame(0x80) + frame(0x82, b"z")),
    "very_long": (0, frame(0x82, b"x" * 65536)), "half": (0, frame(0x82, b"abcdef", length=1000)),
    "ping": (0, frame(0x89, b"p" * 125) + frame(0x89)), "close": (0, frame(0x82, b"data") + close(1000, b"bye") + frame(0x82, b"ignored")),
    "close_utf8": (0, close(1001, "\u20ac".encode())), "close_not_utf8": (0, close(1001, b"\xe2\x82")), "close_own": (0, close(4999)),
    "small_frame": (1, frame(0x82, b"0123456789abcdef") + frame(0x82, b"0123456789abcdef+")),
    "small_message": (1, frame(2, b"0123456789abcdef") + frame(0, b"0123456789abcdef") + frame(0x80, b"012345678")),
    "small_fragments": (1, frame(2, b"0") + frame(0, b"1") * 5), "one": (3, frame(0x82, b"0") + frame(0x82, b"1") + frame(0x82, b"22")),
    "W14_2_63_1": (0, frame(0x82, b"little", length=2**63 - 1)), "W14_top_bit": (0, b"\x82\xff\x80\0\0\0\0\0\0\0abcd"), "W14_padded": (0, b"\x82\xfe\0\x05abcdHello"),
    "W14_padded64": (0, b"\x82\xff\0\0\0\0\0\0\xff\xffabcd"), "W14_sum": (2, frame(2, b"x" * 10) + frame(0, b"y", length=2**32 - 10)),
    "W15_unmasked": (0, frame(0x82, b"Hello", mask=b"")), "W15_rsv": (0, frame(0xc2, b"x")), "W15_opcode": (0, frame(0x83, b"x")), "W15_ping_fragment": (0, frame(9, b"x")),
    "W15_ping_126": (0, frame(0x89, b"x" * 126)), "W16_continuation": (0, frame(0x80, b"x")), "W16_text": (0, frame(0x81, b"x")), "W16_nested": (0, frame(2, b"x") + frame(0x82, b"y")),
    "W17_pings": (0, frame(0x89, b"x") * 50), "W17_fragments": (0, frame(2, b"x") + frame(0, b"x") * 60), "W17_close_1": (0, frame(0x88, b"\x03")), "W17_close_0": (0, frame(0x88)),
    "W17_close_1006": (0, close(1006)),
}


# ---- The upgrade: u8 seed of the cuts, u8 rules (0 open, 1 path and origins), then the request
HOST = b"Host: a.example\r\n"
WS = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
WS_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
PROTOCOL = b"Sec-WebSocket-Protocol: mqtt\r\n"


def get(*headers, line=b"GET /mqtt HTTP/1.1", host=HOST):
    return line + b"\r\n" + host + b"".join(headers) + b"\r\n"


GOOD = WS + WS_KEY + VERSION + PROTOCOL
REQUESTS = {
    "good": (0, get(GOOD)), "good_rules": (1, get(GOOD, b"Origin: https://A.example\r\n")), "v31": (0, get(WS, WS_KEY, VERSION, b"Sec-WebSocket-Protocol: x, mqttv3.1\r\n")),
    "plain": (0, get(line=b"GET /?token=abc&x=y HTTP/1.1")), "plain10": (0, get(line=b"HEAD / HTTP/1.0", host=b"")), "post": (0, get(b"Content-Length: 2\r\n", line=b"POST / HTTP/1.1") + b"hi"),
    "absolute": (0, get(line=b"GET http://b.example:80/x?y HTTP/1.1")), "options": (0, get(line=b"OPTIONS * HTTP/1.1")), "authorization": (0, get(GOOD, b"Authorization: FlespiToken abc\r\n")),
    "forwarded": (0, get(GOOD, b"X-Forwarded-For: 192.0.2.1, 10.0.0.1\r\nX-Forwarded-For: [::1]:80,\r\nX-Real-IP: 2001:db8::7\r\n")),
    "browser": (0, get(b"User-Agent: Mozilla/5.0\r\nAccept: */*\r\nsec-websocket-version: 13\r\norigin: null\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
                       b"Cookie: n\xc3\xa4me=1\r\nPragma:no-cache\r\nConnection: keep-alive, upgrade\r\nUpgrade:\tWebSocket \r\n", WS_KEY, PROTOCOL)),
    "address": (0, b"[2001:db8::1]:65535"), "address4": (0, b"192.0.2.7:80"),
    "W11_no_protocol": (0, get(WS, WS_KEY, VERSION)), "W11_no_key": (0, get(WS, VERSION, PROTOCOL)), "W11_version": (0, get(WS, WS_KEY, PROTOCOL, b"Sec-WebSocket-Version: 8\r\n")),
    "W11_long_key": (0, get(WS, VERSION, PROTOCOL, b"Sec-WebSocket-Key: " + b"A" * 3000 + b"\r\n")), "W12_origin": (1, get(GOOD, b"Origin: https://evil.example\r\n")),
    "W13_long": (0, get(b"X: " + b"y" * 8200 + b"\r\n")), "W13_many": (0, get(b"a:b\r\n" * 70)), "W13_fold": (0, get(GOOD, b"X: a\r\n b\r\n")), "W13_lf": (0, get(GOOD, b"X: a\nY: b\r\n")),
    "W13_te": (0, get(GOOD, b"Transfer-Encoding: chunked\r\n")), "W13_two": (0, get(GOOD) + get(GOOD)), "W13_space": (0, get(GOOD, b"X : a\r\n")), "W13_hosts": (0, get(HOST)),
    "W19_preface": (0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "W19_h2c": (0, get(b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n")), "W08_tls": (0, b"\x16\x03\x01\x02\x00\x01"),
}

# ---- PROXY protocol: the header, and what follows it
SIGN = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES4 = b"\xc0\x00\x02\x07\xc6\x33\x64\x09\x12\x67\x07\x5b"


def tlv(kind, value):
    return bytes([kind]) + struct.pack(">H", len(value)) + value


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return struct.pack(">I", crc ^ 0xffffffff)


def v2(body, command=0x21, family=0x11):
    return SIGN + bytes([command, family]) + struct.pack(">H", len(body)) + body


def summed():
    empty = v2(ADDRESSES4 + tlv(4, b"xy") + tlv(3, b"\0" * 4))
    return empty[:-4] + crc32c(empty)


TLS = tlv(0x20, b"\x07\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"lamp1") + tlv(0x23, b"TLS_AES_128_GCM_SHA256"))
HEADERS = {
    "v1": b"PROXY TCP4 192.0.2.7 198.51.100.9 4711 1883\r\n\x10\x0c", "v1_6": b"PROXY TCP6 2001:db8::7 ::1 65535 0\r\n", "v1_unknown": b"PROXY UNKNOWN whatever\r\nx",
    "v1_longest": b"PROXY TCP6 " + b" ".join([b":".join([b"ffff"] * 8)] * 2) + b" 65535 65535\r\n", "v2": v2(ADDRESSES4) + b"\x10\x0c",
    "v2_6": v2(b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\x07" + b"\0" * 15 + b"\x01\xff\xff\0\x50", family=0x21), "v2_unix": v2(b"/run/x".ljust(216, b"\0"), family=0x31),
    "v2_local": v2(b"", command=0x20, family=0), "v2_local_more": v2(b"xyz", command=0x20, family=0xff), "v2_unspec": v2(b"", family=0),
    "v2_tls": v2(ADDRESSES4 + tlv(1, b"mqtt") + tlv(2, b"a.example") + TLS + tlv(5, b"\0\xff") + tlv(0xe0, b"zz")), "v2_summed": summed(), "v2_noop": v2(ADDRESSES4 + tlv(4, b"")),
    "A22_v2_short": v2(ADDRESSES4[:-1]), "A22_v2_udp": v2(ADDRESSES4, family=0x12), "A22_v2_long": SIGN + b"\x21\x11\xff\xff", "A22_v2_half_tlv": v2(ADDRESSES4 + b"\x01\x00"),
    "A22_v2_twice": v2(ADDRESSES4 + TLS + TLS), "A22_v2_sum": v2(ADDRESSES4 + tlv(3, b"\0" * 4)), "A22_v1_octal": b"PROXY TCP4 192.0.2.07 198.51.100.9 4711 1883\r\n",
    "A22_v1_spaces": b"PROXY TCP4  192.0.2.7 198.51.100.9 4711 1883\r\n", "A22_v1_long": b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n", "A22_none": b"\x10\x0c\0\x04MQTT", "W06_cn": v2(ADDRESSES4 + tlv(0x20, b"\x03\0\0\0\0" + tlv(0x22, b"a\0b"))),
}

def write(target, inputs):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    for name, data in inputs.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    write("ws_frames", {name: bytes([zlib.crc32(name.encode()) & 255, limits]) + data for name, (limits, data) in FRAMES.items()})
    write("upgrade", {name: bytes([zlib.crc32(name.encode()) & 255, rules]) + data for name, (rules, data) in REQUESTS.items()})
    write("proxy_protocol", HEADERS)
