#!/usr/bin/python3
"""Writes the first inputs of core_door: tests/fuzz/core_door_seeds.py (overwrites its own files only). Steps as in core_door.c."""
from mqtt_seeds import PACKETS, write

CONNECT, PUB, SUB, UNSUB, ACK, OTHER, TURN, TIME, CUT, PACKET, BYTES = range(11)
V5, V311, V31 = 0, 1, 2
CLEAN, WILL, KEPT, LATER = 4, 8, 64, 128
ONCE, TWICE, FORTY, THOUSAND, ALL16, OVER16, MANY, THRICE = range(8)
TURNS = bytes([TURN])


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return bytes([len(s)]) + s


def connect(who, how=V5 | CLEAN, client="", will=None): return bytes([CONNECT, who, how | (WILL if will is not None else 0)]) + text(client) + (text(will) if will is not None else b"")
def pub(who, flags, topic): return bytes([PUB, who, flags]) + text(topic)
def sub(who, *filters, times=ONCE, opts=1): return bytes([SUB, who, times | len(filters) - 1 << 3]) + b"".join(text(f) + bytes([opts]) for f in filters)
def unsub(who, *filters, times=ONCE): return bytes([UNSUB, who, times | len(filters) - 1 << 3]) + b"".join(text(f) for f in filters)
def ack(who): return bytes([ACK, who])
def other(who, kind): return bytes([OTHER, who, kind])
def wait(n): return bytes([TIME, n])
def cut(who): return bytes([CUT, who])
def raw(who, first, body): return bytes([PACKET, who, first]) + text(body)


PING, BYE, BYE_WILL, BYE_EXPIRY, DEAF = range(5)
Q1, Q2, RETAIN, DUP = 2, 4, 1, 8
A, B = connect(0, client="a"), connect(1, V311 | CLEAN, client="b")
STEPS = {
    "hello": A + B + connect(2, V31 | CLEAN, client="c") + TURNS + other(0, PING) + other(1, PING) + TURNS,
    "qos": A + B + sub(0, "t/+", "#") + TURNS + pub(1, Q1, "t/a") + pub(1, Q2 | 16, "t/b") + pub(0, 0, "t/c") + TURNS + ack(1) + ack(0) + TURNS,
    "I06_empty": A + B + sub(0, "") + sub(0, "", "a", "") + unsub(0, "") + pub(1, 0, "") + TURNS + sub(1, "") + TURNS,
    "empty_v3": B + sub(1, "", "") + unsub(1, "") + TURNS,
    "empty_will": connect(0, client="a", will="") + TURNS,
    "wild_will": connect(0, client="a", will="a/#") + connect(1, V311 | CLEAN, client="b", will="+") + TURNS,
    "wild_topics": A + B + pub(0, 0, "a/+/b") + TURNS + pub(1, 0, "#") + TURNS,
    "bad_filters": A + sub(0, "a/#/b", "a+", "+a/b", "a#") + sub(0, "#/#", "/", "//", "$SYS/#") + TURNS,
    "shares": A + B + sub(0, "$share/g/a/#", "$share/g/+") + sub(1, "$share/g/a/#") + sub(0, "$share", "$share/", "$share/g", "$share/g/") + pub(1, Q1, "a/b") * 3 + TURNS
    + ack(0) + ack(1) + cut(0) + TURNS + ack(1) + TURNS,
    "bad_shares": A + sub(0, "$share//a", "$share/+/a", "$share/#/a", "$share/g/a/#/b") + unsub(0, "$share/", "$share//a", "$share") + TURNS,
    "share_again": A + sub(0, "$share/g/a", times=FORTY) + unsub(0, "$share/g/a", times=THOUSAND) + TURNS,
    "sticky": A + B + sub(0, "$share/g:2/s/#", "$share/g:1:2/s/#") + sub(1, "$share/g:2/s/#") + pub(1, Q1, "s/a/b") + TURNS + ack(0),
    "no_local_share": A + sub(0, "$share/g/a", opts=4) + TURNS,
    "bad_options": A + sub(0, "a", opts=3) + TURNS + cut(0) + A + sub(0, "a", opts=0xff) + TURNS,
    "all16": A + sub(0, "a", times=ALL16) + TURNS + unsub(0, "a", times=ALL16) + TURNS * 3,
    "over16": A + sub(0, "a", times=OVER16) + TURNS + A + B + unsub(1, "", times=OVER16) + TURNS,
    "many": B + sub(1, "", times=MANY) + TURNS + unsub(1, "b", times=MANY) + TURNS,
    "thousand": A + sub(0, "a", "b/#", "+/c", "#", times=THOUSAND) + TURNS + pub(0, Q1, "a/c") + TURNS * 2 + ack(0),
    "none": A + raw(0, 0x82, b"\0\1\0") + TURNS,
    "customers": A + B + sub(0, "customer/+/t/#", "customer/7/#", "+/7/t") + pub(1, Q1, "customer/7/t/a") + pub(1, RETAIN | Q1, "customer/8/t") + TURNS + ack(0) + TURNS,
    "space": A + pub(0, 0, "customer") + pub(0, 0, "customer/") + pub(0, 0, "customer/7") + pub(0, 0, "customer/007/x") + pub(0, 0, "customer/99999999999999999999/x") + TURNS,
    "bus": A + B + sub(0, "mbus/#") + pub(1, Q1, "mbus/token/1") + pub(1, 0, "mbus") + TURNS + connect(2, client="c", will="mbus/x") + TURNS + cut(2) + TURNS,
    "will": connect(0, V5 | CLEAN | KEPT | 16, "a", "w/a") + B + sub(1, "w/#") + TURNS + cut(0) + TURNS + ack(1) + TURNS,
    "will_later": connect(0, V5 | LATER, "a", "w/a") + B + sub(1, "w/#") + TURNS + cut(0) + wait(30) + wait(30) + TURNS,
    "will_kept": connect(0, V5 | CLEAN, "a", "w") + B + sub(1, "w") + TURNS + other(0, BYE_WILL) + TURNS + cut(0) + connect(0, V5 | CLEAN, "a", "w") + TURNS + other(0, BYE) + TURNS,
    "will_customer": connect(0, V5 | KEPT | CLEAN, "a", "customer/7/w") + TURNS + cut(0) + wait(2) + TURNS,
    "expiry": connect(0, V5 | LATER, "a") + sub(0, "t") + TURNS + other(0, BYE_EXPIRY) + B + pub(1, Q1, "t") + TURNS + cut(0) + connect(0, V5, "a") + TURNS + ack(0),
    "expiry_rise": A + other(0, BYE_EXPIRY) + TURNS,
    "takeover": A + TURNS + connect(2, client="a") + sub(2, "x") + TURNS + pub(2, Q1, "x") + TURNS,
    "twice": A + A + TURNS,
    "no_id": connect(0) + connect(1, V311 | CLEAN) + connect(2, V311) + TURNS,
    "retained": A + pub(0, RETAIN | Q1, "r/a") + pub(0, RETAIN, "customer/7/r") + pub(0, RETAIN | 128, "r/b") + B + sub(1, "r/#", "+/+/r", "#") + TURNS * 2 + ack(1) + TURNS,
    "no_connect": sub(0, "a") + pub(1, 0, "a") + other(2, PING) + TURNS,
    "silence": A + wait(100) + TURNS + cut(1) + cut(1) + B + wait(31) + TURNS,
    "deaf": A + B + sub(0, "t") + TURNS + other(0, DEAF) + pub(1, 128, "t") * 60 + TURNS * 3 + other(0, DEAF) + TURNS * 3,
    "window": A + pub(0, Q1, "t") * 12 + pub(0, Q2 | 32, "t") * 12 + TURNS,
    "ids": A + pub(0, Q2, "t") + pub(0, Q2 | 16, "t") + raw(0, 0x62, b"\0\1") + raw(0, 0x62, b"\0\x09") + raw(0, 0x40, b"\0\x07") + raw(0, 0x50, b"\0\x07") + TURNS,
    "alias": A + raw(0, 0x30, b"\0\1t\3\x23\0\1x") + TURNS,
    "auth": A + raw(0, 0xf0, b"") + TURNS,
    "half": A + bytes([BYTES, 0]) + text(b"\x30\x10\0\1t") + TURNS + cut(0) + TURNS,
    "bad_length": A + bytes([BYTES, 0]) + text(b"\x30\xff\xff\xff\xff\x7f") + TURNS,
    "too_large": A + bytes([BYTES, 0]) + text(b"\x30\xff\xff\xff\x7f") + TURNS,
    "long_id": connect(0, client=b"i" * 250) + connect(1, client=b"\1link/0/1") + TURNS,
}

if __name__ == "__main__":
    write("core_door", STEPS)
    packets = {}
    for name, (side, data) in sorted(PACKETS.items()):
        if side & 4 and 2 <= len(data) < 250:
            packets["packet_" + name] = (b"" if data[0] >> 4 == 1 else A) + bytes([BYTES, 0]) + text(data) + TURNS
    write("core_door", packets)
