#!/usr/bin/python3
"""Writes the first inputs of topic, space, core_tree, mqtt_props and frames: tests/fuzz/name_seeds.py (overwrites its own files only)."""
import os
import struct

import mqtt_seeds
from mqtt_seeds import CLIENT, PACKETS, V5, block, number, packet, st, text, u8, u16, u32, user, write

LINK = os.path.join(mqtt_seeds.HERE, "corpus", "link_frames")


# filter, name: the attack table's P19 to P21, P27, P34, C10, C11, T05 to T07
PAIRS = {
    "plain": ("a/b", "a/b"), "plus": ("a/+/c", "a//c"), "hash": ("a/#", "a"), "hash_root": ("#", "$SYS/x"), "plus_root": ("+/+", "/"),
    "system": ("+/#", "flespi/log"), "dollar": ("$SYS/#", "$SYS/x"), "P19": ("/" * 127, "/" * 128), "P21_inner": ("a/#/b", "a+"),
    "P21_share": ("$share/g/a/#", "$share/g"), "P21_empty": ("$share//x", "$share/g/"), "P21_wild": ("$share/a+b/x", "#a"),
    "P27": ("a\u0001/\ufeff", "\u009f"), "utf8": ("preis/\u20ac/+", "preis/\u20ac/\U0001f600"), "share_dollar": ("$share", "$shared/x/y"),
}
SPACES = {
    "same": (7, 7, b"a/b", b"a/b"), "prefix": (1, 12, b"2/x", b"x"), "bare": (7, 70, b"", b"customer/7/"), "other": (7, 8, b"a", b"customer/8/a"),
    "padded": (7, 9, b"../8/x", b"customer/07/x"), "long": (2 ** 64 - 1, 1, b"#", b"customer/18446744073709551615/#"),
    "over": (1, 2, b"$share/g/x", b"customer/18446744073709551616/x"), "nul": (3, 4, b"\0", b"customer/3/\0"),
}
TREES = {
    "siblings": "=a/b\n+a/b\n+a/+\n+a/#\n+#\n-\1\n-\2", "marks": "=flespi/log\n=$SYS/x\n+#\n*#\n+$SYS/+\n*+/log\n-\0",
    "deep": "=a/b/c/d/e\n+a/b/c/d/e\n+a/b/+/d/#\n+a\n+a/b\n-\0\n-\1", "same": "=a\n+a\n+a\n+a\n-\0\n-\1",
    "empty": "=//\n+//\n++/+/+\n+/#\n=/", "wide": "".join(f"+{c}/x\n" for c in "abcdefgh") + "=a/x\n=h/x\n-\0\n-\7",
}
KINDS = "cwCpPasSuUdDA"
MESSAGE = [u8(1, 1), u32(2, 60), st(3, "t"), st(8, "a/b"), st(9, b"\0\xff"), user("k", "v")]
PROPS = {
    "c": [u32(0x11, 9), st(0x15, "m"), st(0x16, b"\0"), u8(0x17, 0), u8(0x19, 1), u16(0x21, 1), u16(0x22, 1), u32(0x27, 1), user("", "")],
    "w": MESSAGE + [u32(0x18, 3)],
    "C": [u32(0x11, 1), st(0x12, "id"), u16(0x13, 5), st(0x15, "m"), st(0x16, "d"), st(0x1a, "r"), st(0x1c, "s"), st(0x1f, "why"), u16(0x21, 1),
          u16(0x22, 0), u8(0x24, 1), u8(0x25, 0), user("a", "b"), u32(0x27, 7), u8(0x28, 1), u8(0x29, 0), u8(0x2a, 1)],
    "p": MESSAGE + [b"\x0b" + number(n) for n in (1, 128, 16384, 268435455, 2, 3, 4, 5, 6)] + [u16(0x23, 1)],
    "P": MESSAGE + [u16(0x23, 1), user("k", "w")],
    "a": [st(0x1f, "why"), user("a", "b")], "s": [b"\x0b" + number(9), user("a", "b")], "S": [st(0x1f, "x")], "u": [user("a", "b")],
    "U": [user("a", "b")], "d": [st(0x1c, "elsewhere"), st(0x1f, "x")], "D": [u32(0x11, 5), st(0x1f, "x")],
    "A": [st(0x15, "m"), st(0x16, b"\xff"), st(0x1f, "x"), user("a", "b")],
}
BAD = {
    "P06": ("P", b"\x80\x80\x80\x80\x01"), "P07": ("P", b"\x80\x00"), "P11": ("P", b"\x09\x03\x00\x05abc"), "P12": ("P", block(u32(0x11, 1))),
    "P13_twice": ("c", block(u16(0x21, 1), u16(0x21, 1))), "P13_flag": ("P", block(u8(1, 2))), "P13_zero": ("c", block(u32(0x27, 0))),
    "P17": ("P", block(u16(0x23, 0))), "P20": ("P", block(st(8, "a/#"))), "P25": ("w", block(user(b"\xc0\x80", ""))), "P26": ("P", block(st(3, b"a\0b"))),
    "data": ("c", block(st(0x16, "d"))), "id": ("P", block(b"\x0b\x01")), "id0": ("s", block(b"\x0b\x00")), "unknown": ("a", block(u8(4, 1))),
    "server": ("D", block(st(0x1c, "x"))), "expiry": ("d", block(u32(0x11, 1))), "method": ("A", block(st(0x1f, "x"))),
}


def link_frames():
    names = sorted(n for n in os.listdir(LINK) if "-" in n)
    return b"".join(open(os.path.join(LINK, n), "rb").read() for n in names)


if __name__ == "__main__":
    write("topic", {n: f"{f}\n{t}".encode() for n, (f, t) in PAIRS.items()})
    write("space", {n: struct.pack("<QQ", a, b) + x + b"\n" + y for n, (a, b, x, y) in SPACES.items()})
    write("core_tree", {n: t.encode() for n, t in TREES.items()})
    write("mqtt_props", {f"all_{n if n.islower() else 'up_' + n.lower()}": bytes([KINDS.index(n)]) + block(*p) for n, p in PROPS.items()})
    write("mqtt_props", {n: bytes([KINDS.index(k)]) + b for n, (k, b) in BAD.items()})
    stream = b"".join(data for side, data in PACKETS.values() if side & CLIENT)
    write("frames", {f"packets_{seed}": bytes([mode, seed]) + stream for mode, seed in ((0, 1), (0, 6), (2, 3), (2, 0))})
    write("frames", {f"link_{seed}": bytes([mode, seed]) + link_frames() for mode, seed in ((1, 1), (3, 2), (1, 4))})
    write("frames", {n: b"\0\3" + d for n, d in {"P02": b"\x30\xff\xff\xff\x7f", "P05": b"\x00\x00", "P06": b"\x30\xff\xff\xff\xff\x01",
                                                 "P07": b"\x30\x80\x00", "P33": b"\xc0\x01x", "large": packet(3, 0, text("t"), b"x" * 3000) * 2}.items()})
