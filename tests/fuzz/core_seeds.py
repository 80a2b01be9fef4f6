#!/usr/bin/python3
"""Writes the first inputs of core_link: tests/fuzz/core_seeds.py (overwrites its own files only). Steps as in core_link.c."""
import os

from mqtt_seeds import HERE, write

OPEN, SUB, PUB, ACK, FLOW, UNSUB, TURN, TIME, CUT, FRAME, BYTES, BUDGET = range(12)
CLEAN, WILL, RESUME, EIGHT, EXPIRY, SMALL = 1, 2, 4, 8, 64, 128
TURNS = bytes([TURN])


def text(s): return bytes([len(s)]) + (s if isinstance(s, bytes) else s.encode())
def at(link, channel): return link | channel << 1
def opened(link, channel, how, client=0, will=None): return bytes([OPEN, at(link, channel), how | client << 4 | (WILL if will else 0)]) + (text(will) if will else b"")
def sub(link, channel, opts, what): return bytes([SUB, at(link, channel), opts]) + text(what)
def unsub(link, channel, what): return bytes([UNSUB, at(link, channel)]) + text(what)
def pub(link, channel, flags, topic): return bytes([PUB, at(link, channel), flags]) + text(topic)
def ack(link): return bytes([ACK, at(link, 0)])
def flow(link, channel, kind): return bytes([FLOW, at(link, channel), kind])
def wait(n): return bytes([TIME, n])
def cut(link): return bytes([CUT, link])
def budget(n): return bytes([BUDGET, n])
def frame(link, kind, flags, channel, body=b""): return bytes([FRAME, at(link, 0), kind, flags, channel]) + text(body)


PAUSE, RESUMED, DROP, TOKEN, CLOSE = range(5)
A = opened(0, 1, RESUME | EXPIRY)
B = opened(1, 2, RESUME, client=1)
STEPS = {
    "qos1": A + B + sub(0, 1, 1, "t/+") + pub(1, 2, 1, "t/x") + TURNS + ack(0) + ack(1),
    "qos2": A + B + sub(0, 1, 2, "#") + pub(1, 2, 2, "t") + TURNS + ack(1) + ack(0) + ack(0) + TURNS,
    "away": A + sub(0, 1, 1, "t") + TURNS + flow(0, 1, CLOSE) + B + pub(1, 2, 1, "t") + TURNS + opened(0, 3, RESUME | EXPIRY) + TURNS + ack(0),
    "retained": B + pub(1, 2, 5, "r/a") + pub(1, 2, 4, "r/b") + TURNS + A + sub(0, 1, 1, "r/#") + TURNS + pub(1, 2, 128 | 4, "r/a") + TURNS,
    "will": opened(0, 1, RESUME | EXPIRY, will="w") + B + sub(1, 2, 1, "w") + TURNS + flow(0, 1, CLOSE | 1 << 4) + wait(30) + TURNS,
    "will_grace": opened(0, 1, RESUME | EXPIRY, will="w") + B + sub(1, 2, 1, "w") + TURNS + cut(0) + wait(15) + cut(0) + A + wait(20),
    "takeover": A + TURNS + opened(1, 1, RESUME | EXPIRY) + TURNS + sub(1, 1, 1, "x") + TURNS,
    "shared": A + B + sub(0, 1, 1, "$share/g/s/#") + sub(1, 2, 1, "$share/g/s/#") + b"".join(pub(0, 1, 1 | i << 4, "s/a") for i in range(5)) + TURNS
    + cut(1) + TURNS + ack(0),
    "sticky": A + B + sub(0, 1, 1, "$share/g:2/s/#") + sub(1, 2, 1, "$share/g:2/s/#") + pub(0, 1, 1, "s/a") + pub(0, 1, 17, "s/b") + TURNS,
    "two_customers": A + opened(1, 2, RESUME | EIGHT) + sub(0, 1, 1, "#") + sub(1, 2, 1, "#") + pub(0, 1, 1, "a") + pub(1, 2, 1, "a") + TURNS,
    "paused": A + B + sub(0, 1, 1, "t") + TURNS + flow(0, 1, PAUSE) + b"".join(pub(1, 2, 1 | i << 4, "t") for i in range(15)) + TURNS + flow(0, 1, RESUMED)
    + TURNS + ack(0) + TURNS,
    "window": opened(0, 1, RESUME | SMALL) + B + sub(0, 1, 2, "t") + b"".join(pub(1, 2, 1 | i << 4, "t") for i in range(6)) + TURNS + ack(0) + TURNS,
    "expiry": A + B + sub(0, 1, 1, "t") + TURNS + flow(0, 1, PAUSE) + pub(1, 2, 64 | 1, "t") + TURNS + wait(20) + wait(20) + flow(0, 1, RESUMED) + TURNS,
    "unsubscribe": A + B + sub(0, 1, 1, "t") + pub(1, 2, 1, "t") + unsub(0, 1, "t") + pub(1, 2, 17, "t") + unsub(0, 1, "zz") + TURNS,
    "token": A + flow(0, 1, TOKEN) + flow(0, 1, DROP) + TURNS,
    "overlap": A + B + sub(0, 1, 0x15, "t/#") + sub(0, 1, 0x22, "t/+") + pub(1, 2, 2, "t/a") + TURNS,
    "nonsense": A + B + sub(1, 2, 1, "t") + bytes([BYTES, 0]) + text(b"\xff" * 12) + TURNS + pub(1, 2, 1, "t") + TURNS + cut(0) + A,
    "foreign": A + frame(0, 20, 0, 1, b"\0\0\xff\xff\xff\xff\x0c\0\0\0\0\0\0\0\0\0\0\0customer/8/x") + TURNS,
    "dead": A + wait(80) + TURNS,
}

LITTLE, LANES, FULL, HELD = 1, 16, 32, 64
STEPS |= {"budget%d_%s" % (n, name): budget(n) + STEPS[name] for n in (LITTLE, LITTLE | LANES | FULL, 3 | LANES | FULL | HELD)
          for name in ("qos1", "qos2", "away", "retained", "will", "takeover", "shared", "two_customers", "paused", "window", "unsubscribe", "token", "overlap", "foreign")}
STEPS |= {
    "newcomers": A + TURNS + opened(1, 1, RESUME | EXPIRY) + opened(0, 2, RESUME | EXPIRY) + opened(1, 3, RESUME | EXPIRY) + sub(1, 3, 1, "x") + TURNS * 3 + ack(0) + ack(1) + TURNS,
    "newcomers_parked": budget(LITTLE | LANES) + B + A + sub(0, 1, 1, "#") + pub(1, 2, 1, "t") * 5 + opened(1, 1, RESUME | EXPIRY) + opened(0, 2, RESUME | EXPIRY) + flow(0, 2, CLOSE)
    + TURNS * 9 + ack(0) + ack(1) + cut(1) + TURNS * 9,
    "cut_parked": budget(LITTLE) + A + B + sub(0, 1, 1, "#") + pub(1, 2, 1, "t") * 9 + unsub(0, 1, "#") + flow(1, 2, CLOSE) + TURNS + cut(0) + cut(1) + TURNS * 9,
}

if __name__ == "__main__":
    write("core_link", STEPS)
    folder, frames = os.path.join(HERE, "corpus", "link_frames"), {}
    for name in sorted(n for n in os.listdir(folder) if "-" in n and not n.startswith("all")):
        data = open(os.path.join(folder, name), "rb").read()
        if len(data) < 250:
            frames["frame_" + name] = A + frame(0, data[4], data[5], data[8], data[12:]) + TURNS
    write("core_link", frames)
