#!/usr/bin/python3
"""Writes the first inputs of mqtt_packet, mqtt_roundtrip, mqtt_other, utf8, and those of mqtt_props that hold one property against every packet: tests/fuzz/mqtt_seeds.py (from the root; overwrites its own files only).

One packet of every kind, with every property it may have, and one input per attack of the table that a codec can see.
The first byte of a packet input: bits 0-1 version (0 v5, 1 v3.1.1, 2 v3.1), bit 2 set when a client sent it."""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
V5, V311, V31, CLIENT = 0, 1, 2, 4


def number(v):
    out = b""
    while True:
        v, low = divmod(v, 128)
        out += bytes([low | (128 if v else 0)])
        if not v:
            return out


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">H", len(s)) + s


def block(*props):
    body = b"".join(props)
    return number(len(body)) + body


def packet(kind, flags, *parts):
    body = b"".join(parts)
    return bytes([kind << 4 | flags]) + number(len(body)) + body


def u8(i, v): return bytes([i, v])
def u16(i, v): return bytes([i]) + struct.pack(">H", v)
def u32(i, v): return bytes([i]) + struct.pack(">I", v)
def st(i, v): return bytes([i]) + text(v)
def user(k, v): return b"\x26" + text(k) + text(v)


MESSAGE = (u8(1, 1), u32(2, 60), st(3, "text/plain"), st(8, "answer/me"), st(9, b"\x00\xff"))
USERS = (user("a", "1"), user("a", "2"), user("", ""))
WHY = st(0x1f, "because")
ID = b"\x00\x07"


def connect(name, level, flags, *rest):
    return packet(1, 0, text(name), bytes([level, flags]), b"\x00\x3c", *rest)


V5_CONNECT = block(u32(0x11, 10), st(0x15, "m"), st(0x16, b"\x01"), u8(0x17, 1), u8(0x19, 0), u16(0x21, 9), u16(0x22, 4), u32(0x27, 9999), *USERS)
PACKETS = {
    "connect5": (V5 | CLIENT, connect("MQTT", 5, 0xee, V5_CONNECT, text("id"), block(u32(0x18, 5), *MESSAGE, *USERS), text("will/topic"),
                                      text("gone"), text("FlespiToken abc"), text(b"\x00pw"))),
    "connect4": (V311 | CLIENT, connect("MQTT", 4, 0xc6, text("id"), text("w"), text(b"\xff"), text("u"), text("p"))),
    "connect3": (V31 | CLIENT, connect("MQIsdp", 3, 2, text("id"))),
    "connack5": (V5, packet(2, 0, b"\x00\x00", block(u32(0x11, 1), u16(0x21, 1), u8(0x24, 1), u8(0x25, 1), u32(0x27, 1), st(0x12, "x"),
                                                     u16(0x22, 1), WHY, *USERS, u8(0x28, 1), u8(0x29, 1), u8(0x2a, 1), u16(0x13, 1),
                                                     st(0x1a, "r"), st(0x1c, "s"), st(0x15, "m"), st(0x16, "d")))),
    "connack4": (V311, packet(2, 0, b"\x01\x00") + packet(2, 0, b"\x00\x05")),
    "publish5": (V5 | CLIENT, packet(3, 0x0b, text("a/b"), ID, block(*MESSAGE, u16(0x23, 3), *USERS), b"payload")),
    "publish5_alias": (V5 | CLIENT, packet(3, 0, text(""), block(u16(0x23, 3)), b"x")),
    "publish5_down": (V5, packet(3, 2, text("a"), ID, block(*(b"\x0b" + number(n) for n in (1, 127, 128, 16384, 2097152, 6, 7, 8, 9))), b"x")),
    "publish5_scattered": (V5 | CLIENT, packet(3, 0, text("a"), block(USERS[0], u8(1, 0), USERS[1], u32(2, 1), USERS[2]), b"x")),
    "publish4": (V311 | CLIENT, packet(3, 0, text("some/topic"), b"x") + packet(3, 5, text("t"), ID, b"")),
    "acks5": (V5 | CLIENT, b"".join(packet(k, 2 if k == 6 else 0, ID, b"\x00", block(WHY, *USERS)) for k in (4, 5, 6, 7))),
    "acks5_short": (V5 | CLIENT, packet(4, 0, ID) + packet(5, 0, ID, b"\x10") + packet(6, 2, ID, b"\x92") + packet(7, 0, ID, b"\x92\x00")),
    "acks4": (V311, b"".join(packet(k, 2 if k == 6 else 0, ID) for k in (4, 5, 6, 7))),
    "subscribe5": (V5 | CLIENT, packet(8, 2, ID, block(b"\x0b" + number(300), *USERS), text("a/+"), b"\x2d", text("$share/g/#"), b"\x02")),
    "subscribe4": (V311 | CLIENT, packet(8, 2, ID, text("a/#"), b"\x00", text("b"), b"\x02")),
    "suback5": (V5, packet(9, 0, ID, block(WHY), b"\x00\x01\x02\x87") + packet(11, 0, ID, block(WHY), b"\x00\x11")),
    "suback4": (V311, packet(9, 0, ID, b"\x00\x80") + packet(11, 0, ID)),
    "unsubscribe5": (V5 | CLIENT, packet(10, 2, ID, block(*USERS), text("a/+"), text("b"))),
    "unsubscribe4": (V311 | CLIENT, packet(10, 2, ID, text("a/+"))),
    "ping": (V311 | CLIENT, packet(12, 0) + packet(13, 0) + packet(14, 0)),
    "disconnect5": (V5 | CLIENT, packet(14, 0, b"\x04", block(u32(0x11, 5), WHY, *USERS))),
    "disconnect5_down": (V5, packet(14, 0, b"\x9d", block(st(0x1c, "elsewhere"), WHY)) + packet(14, 0, b"\x8e")),
    "auth": (V5, packet(15, 0, b"\x18", block(st(0x15, "m"), st(0x16, b"\xff"), WHY, *USERS)) + packet(15, 0)),
    # ---- the attack table, section 1.1
    "P02": (V311 | CLIENT, b"\x30\xff\xff\xff\x7f"),
    "P06": (V5 | CLIENT, b"\x30\xff\xff\xff\xff\x01"),
    "P06_props": (V5 | CLIENT, packet(3, 0, text("t"), b"\x80\x80\x80\x80\x01")),
    "P07": (V311 | CLIENT, b"\xc0\x80\x00"),
    "P09": (V5 | CLIENT, packet(8, 2, ID, b"\x00", text("a"))),
    "P10": (V311 | CLIENT, packet(3, 2, text("a"), b"\x00")),
    "P11": (V5 | CLIENT, packet(3, 0, text("a"), b"\x04\x03\x00\x05abcdef")),
    "P12": (V5 | CLIENT, packet(3, 0, text("a"), block(u32(0x11, 1)))),
    "P13": (V5 | CLIENT, connect("MQTT", 5, 2, block(u16(0x21, 0)), text("a")) + packet(3, 0, text("a"), block(u8(1, 2)))),
    "P14": (V5 | CLIENT, connect("MQTT", 5, 6, block(), text("a"), b"\x02\x7f\x01", text("w"), text(""))),
    "P16": (V5 | CLIENT, packet(3, 0, text(""), block(), b"x")),
    "P17": (V5 | CLIENT, packet(3, 0, text("a"), block(u16(0x23, 0)))),
    "P19": (V311 | CLIENT, packet(3, 0, text("/" * 300), b"")),
    "P20": (V5 | CLIENT, packet(3, 0, text("a/+"), block()) + packet(3, 0, text("a"), block(st(8, "#")))),
    "P22": (V5 | CLIENT, packet(8, 2, ID, block(), text("$share/g/a"), b"\x04")),
    "P23": (V311 | CLIENT, packet(8, 2, ID) + packet(8, 2, ID, text("a"), b"\x03") + packet(8, 2, b"\x00\x00", text("a"), b"\x00")),
    "P24": (V311 | CLIENT, packet(3, 6, text("a"), ID) + packet(3, 8, text("a")) + packet(3, 2, text("a"), b"\x00\x00")),
    "P25": (V5 | CLIENT, packet(3, 0, text(b"a\xed\xa0\x80"), block()) + packet(3, 0, text("a"), block(user(b"\xc0\x80", "")))),
    "P26": (V311 | CLIENT, packet(3, 0, text(b"a\x00b"))),
    "P27": (V311 | CLIENT, packet(3, 0, text("a\x07")) + packet(3, 0, text("\ufeff")) + packet(3, 0, text("\u009f"))),
    "P30": (V5 | CLIENT, connect("MQTT", 6, 2, text("")) + connect("MQIsdp", 4, 2, text("a")) + connect("MQTT", 0x84, 2, text("a"))),
    "P31": (V311 | CLIENT, connect("MQTT", 4, 0x42, text("a"), text("p")) + connect("MQTT", 4, 3, text("a"))),
    "P32": (V311 | CLIENT, connect("MQTT", 4, 0, text(""))),
    "P33": (V311 | CLIENT, packet(14, 0, b"\x00") + packet(12, 0, b"\x00")),
}

TEXTS = {
    "ascii": b"some/topic/of/a/usual/length", "short": b"abc", "seven": b"abcdefg", "eight": b"abcdefgh", "nine": b"abcdefghi",
    "latin": "caf\u00e9/\u00fcber/stra\u00dfe".encode(), "euro": "preis/\u20ac/tag".encode(), "wide": "a/\U0001f600/\U0010ffff".encode(),
    "overlong2": b"abcdefg\xc0\xaf", "overlong3": b"a\xe0\x80\xaf", "overlong4": b"a\xf0\x80\x80\xaf", "surrogate": b"abcdefgh\xed\xa0\x80",
    "above": b"\xf4\x90\x80\x80", "five": b"\xf8\x88\x80\x80\x80", "zero": b"abcdefgh\x00abcdefgh", "cut": b"abcdefgh\xe2\x82",
    "controls": b"abc\x01\x1f\x7f", "c1": "a\u0080\u009fb".encode(), "bom": b"\xef\xbb\xbfabc", "nonchar": "\ufdd0\ufdef\ufffe\uffff\U0001fffe".encode(),
    "wildcards": b"abcdefgh/+/#", "mixed": ("x" * 15 + "\u00e9" + "y" * 9 + "\u20ac" + "z" * 8).encode(), "edge": "\ud7ff\ue000\u07ff\u0800\U00010000".encode(),
}

# One property alone, for every packet (0xff): where it may stand and where not.
ALONE = {
    0x01: u8(1, 1), 0x02: u32(2, 60), 0x03: st(3, "t"), 0x08: st(8, "a"), 0x09: st(9, b"\xff"), 0x0b: b"\x0b\x01", 0x11: u32(0x11, 1),
    0x12: st(0x12, "i"), 0x13: u16(0x13, 1), 0x15: st(0x15, "m"), 0x16: st(0x16, b"\xff"), 0x17: u8(0x17, 1), 0x18: u32(0x18, 1),
    0x19: u8(0x19, 1), 0x1a: st(0x1a, "r"), 0x1c: st(0x1c, "s"), 0x1f: WHY, 0x21: u16(0x21, 1), 0x22: u16(0x22, 1), 0x23: u16(0x23, 1),
    0x24: u8(0x24, 1), 0x25: u8(0x25, 1), 0x26: user("k", "v"), 0x27: u32(0x27, 1), 0x28: u8(0x28, 1), 0x29: u8(0x29, 1), 0x2a: u8(0x2a, 1),
}
# AUTH is nothing without a method, and data nowhere: the same beside one.
BESIDE = {i: st(0x15, "m") + p for i, p in ALONE.items() if i != 0x15}
TWICE = {i: p + p for i, p in ALONE.items()}


def write(target, inputs):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    for name, data in inputs.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    packets = {name: bytes([side]) + data for name, (side, data) in PACKETS.items()}
    write("mqtt_packet", packets)
    for target in ("mqtt_roundtrip", "mqtt_other"):
        write(target, {name: data for name, data in packets.items() if not name.startswith("P")})
    write("utf8", TEXTS)
    for word, props in (("alone", ALONE), ("beside", BESIDE), ("twice", TWICE)):
        write("mqtt_props", {"%s_%02x" % (word, i): b"\xff" + block(p) for i, p in props.items()})
