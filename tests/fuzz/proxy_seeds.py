#!/usr/bin/python3
"""Writes the first inputs of proxy_packets: tests/fuzz/proxy_seeds.py (overwrites its own files only). Steps as in proxy_packets.c."""
import struct

from mqtt_seeds import CLIENT, ID, PACKETS, V5, V311, block, packet, st, text, u8, u16, u32, write

SEND, TURN, ANSWERS, DELIVERS, AUTH, CHANGE, TIME, LEAVE, CLOSES, RAVES, DIES, DEAF = range(12)


def send(who, *packets, now=True):
    data = b"".join(packets)
    return bytes([SEND, who | (128 if now else 0)]) + struct.pack(">H", len(data)) + data


def connect5(key, client_id="c", flags=2, props=(), will=b""):
    return packet(1, 0, text("MQTT"), bytes([5, flags | 0x80]), b"\0\x3c", block(*props), text(client_id), will, text(key))


def connect4(key, client_id="c", flags=2, will=b"", level=4, name="MQTT"):
    return packet(1, 0, text(name), bytes([level, flags | 0x80]), b"\0\x3c", text(client_id), will, text(key))


def deliver(mask, flags, topic):
    return bytes([DELIVERS, mask, flags, len(topic)]) + topic.encode()


def raves(data):
    return bytes([RAVES]) + struct.pack(">H", len(data)) + data


def frame(kind, flags, generation, channel, body=b""):
    return struct.pack("<IBBHI", 12 + len(body), kind, flags, generation, channel) + body


YES, NO, PRESENT, QUOTA = (bytes([ANSWERS, m]) for m in (0, 1, 2, 4))
TURNS = bytes([TURN])
ASKED = bytes([AUTH])
WILL5 = block(u32(0x18, 5)) + text("a/will") + text("gone")


def change(which, rights): return bytes([CHANGE, which, rights])
def wait(n): return bytes([TIME, n])
def leave(who): return bytes([LEAVE, who])
def deaf(who): return bytes([DEAF, who])
def pub(qos, topic="a/b", pid=ID, v5=True, **more):
    return packet(3, qos << 1 | more.get("flags", 0), text(topic), pid if qos else b"", block(*more.get("props", ())) if v5 else b"", b"x")


SUB5 = packet(8, 2, ID, block(), text("a/+"), b"\x02", text("#"), b"\x01", text("$share/g/b/#"), b"\x00", text("$SYS/#"), b"\0", text("a/#/b"), b"\0")
SUB4 = packet(8, 2, ID, text("#"), b"\x02")
ACKS = [packet(k, 2 if k == 6 else 0, b"\0\1") for k in (4, 5, 6, 7)]
IN5 = send(0, connect5("a")) + YES
IN4 = send(1, connect4("b")) + YES

RUNS = {
    "session5": IN5 + send(0, SUB5) + YES + send(0, pub(1), pub(2, pid=b"\0\x09"), pub(0)) + YES + send(0, packet(6, 2, b"\0\x09")) + YES
    + deliver(1, 1, "a/b") + deliver(1, 2, "a/b") + send(0, *ACKS) + YES + send(0, packet(14, 0)),
    "session4": IN4 + send(1, SUB4) + YES + send(1, pub(1, v5=False), pub(2, v5=False, pid=b"\0\x09")) + YES + deliver(1, 6, "a/t") + leave(1),
    "session3": send(1, connect4("c", level=3, name="MQIsdp")) + YES + send(1, SUB4) + YES + deliver(1, 0, "a/b") + send(1, b"\xc0\0"),
    "resumed": send(0, connect5("a", flags=0, props=(u32(0x11, 60),))) + PRESENT + deliver(1, 9, "b/x") + send(0, *ACKS) + leave(0),
    "takeover": IN5 + send(2, connect5("a")) + bytes([CLOSES, 0, 0x8e]) + YES + send(0, pub(1)) + deliver(3, 1, "a/b"),
    "asked": send(0, connect5("ab"), SUB5, pub(1)) + TURNS + ASKED + YES + YES + deliver(1, 1, "a/b"),
    "asked_gone": send(0, connect5("ab", flags=6, will=WILL5)) + leave(0) + ASKED + YES,
    "refused": send(0, connect5("d"), SUB5) + send(1, connect4("d")) + send(2, connect5("dd")) + ASKED + send(3, connect4("e")) + TURNS,
    "core_refuses": send(0, connect5("a")) + NO + send(1, connect4("b")) + NO + TURNS,
    "revoked": IN5 + IN4 + send(0, SUB5) + YES + change(0, 1) + send(0, pub(1, "a/c"), pub(1)) + change(0, 2) + send(0, pub(1)) + deliver(1, 1, "a/b"),
    "narrow_opening": send(0, connect5("a", flags=6, will=WILL5)) + change(0, 1) + PRESENT + deliver(1, 0, "a/c") + change(0, 0),
    "foreign": IN5 + send(1, connect4("c")) + YES + deliver(3, 16, "a/b") + wait(30) + TURNS * 3 + IN5,
    "two_customers": IN5 + send(1, connect4("c")) + YES + send(1, SUB4) + send(0, SUB5) + YES + deliver(1, 1, "a/b") + deliver(2, 1, "a/b"),
    "will": send(0, connect5("a", flags=0x2e, will=WILL5)) + YES + change(0, 1) + leave(0) + TURNS,
    "will_denied": send(0, connect5("a", flags=6, will=block() + text("no") + text(""))) + send(1, connect4("b", flags=6, will=text("no") + text(""))),
    "slow": IN5 + deaf(0) + deliver(1, 33, "a/b") * 12 + wait(40) + deaf(0) + TURNS * 3 + wait(100),
    "core_dies": IN5 + IN4 + bytes([DIES]) + wait(10) + TURNS * 4 + IN5 + send(0, pub(1)) + YES,
    "keepalive": IN5 + wait(255) + wait(255) + TURNS,
    "late_connect": send(0, b"\x10\x20\0\4MQ") + wait(100) + wait(100) + TURNS,
    "pieces": send(0, connect5("a")[:9], now=False) + TURNS + send(0, connect5("a")[9:] + pub(1)[:4]) + YES + send(0, pub(1)[4:] + b"\xc0") + send(0, b"\0"),
    "alias": IN5 + send(0, pub(1, props=(u16(0x23, 1),)), pub(1, "", props=(u16(0x23, 1),)), pub(0, "", props=(u16(0x23, 2),))) + YES,
    "window": IN5 + send(0, *(pub(2, pid=bytes([0, i])) for i in range(1, 6))) + YES,
    "twice": IN5 + send(0, connect5("a")),
    "reauth": send(0, connect5("", flags=2, props=(st(0x15, "token"), st(0x16, "a")))) + YES
    + send(0, packet(15, 0, b"\x19", block(st(0x15, "token"), st(0x16, "b")))) + YES
    + send(0, packet(15, 0, b"\x19", block(st(0x15, "token"), st(0x16, "ab")))) + ASKED + YES + send(0, pub(1))
    + send(0, packet(15, 0, b"\x19", block(st(0x15, "token"), st(0x16, "c")))) + YES,
    "unsubscribe": IN5 + send(0, SUB5) + YES + send(0, packet(10, 2, ID, block(), text("a/+"), text("zz"), text(""))) + YES,
    "small": send(0, connect5("a", props=(u32(0x27, 20),))) + YES + send(1, connect5("a", "d", props=(u32(0x27, 60),))) + YES + deliver(3, 33, "a/b"),
    "raves_ack": IN5 + raves(frame(22, 4, 1, 1, b"\1\0\x55") + frame(22, 7, 1, 1, b"\1\0\x97")),
    "raves_opened": IN5 + raves(frame(11, 0, 1, 1, b"\0\0\0\0\0")),
    "raves_suback": IN5 + raves(frame(31, 0, 1, 1, b"\1\0\x44") + frame(33, 0, 1, 1, b"\1\0\x99")),
    "raves_closed": IN5 + raves(frame(13, 0, 1, 1, b"\0")) + IN5 + raves(frame(13, 0, 2, 1, b"\x44")),
    "raves_push": raves(frame(21, 0, 0, 0, struct.pack("<QQQI", 0, 0, 0, 1) + struct.pack("<IHHIBBBB", 0, 0, 0, 0, 0, 0, 0, 0)
                                      + struct.pack("<IIII", 0xffffffff, 6, 0, 0) + b"mbus/x")),
    "raves_head": raves(b"\xff" * 12),
    "auto_id": send(0, connect5("a", client_id="")) + YES + send(1, connect4("a", client_id="")) + YES,
}

if __name__ == "__main__":
    write("proxy_packets", {n: d for n, d in RUNS.items()})
    attacks = {n: d for n, (side, d) in PACKETS.items() if side & CLIENT}
    write("proxy_packets", {f"packet_{n}": (IN5 if side & 3 == V5 else IN4) + send(0 if side & 3 == V5 else 1, d) + YES + TURNS
                            for n, (side, d) in PACKETS.items() if n in attacks and side & 3 in (V5, V311)})
