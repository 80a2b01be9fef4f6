"""Attacks P14 and P15 in numbers: CONNECTs that cannot be read, again and again, leave the proxy's memory as it was.

MBUS_CONNECTS says how many of each (default 2,000; the row of the table says a million: see docs/testing.md). What is measured is the resident
memory after every tenth part; the bound is the same for any number, so a million shows half a byte per CONNECT."""
import os
import subprocess
import sys

import pytest
from rawmqtt import connect, open_client, text, varint
from stack import ROOT, SLOW, Stack

pytestmark = pytest.mark.one_door("counts the bytes of a parser; that the rows hold on each door is in test_p_protocol.py")

COUNT = int(os.environ.get("MBUS_CONNECTS", "2000"))
PARTS = 10
BOUND_KIB = 512    # what one part may differ from another by chance


def whole(body):
    return b"\x10" + varint(len(body)) + body


def body_of(packet):
    """Without the fixed header."""
    at = 1
    while packet[at] & 128:
        at += 1
    return packet[at + 1:]


def late(token, versions):
    """Right up to their end: CONNECTs that stop in the middle of each of their fields, with a length that fits."""
    will5 = ("w" * 30, "x" * 200, 1, False, ((0x26, "k", "v" * 100), (0x08, "re/ply"), (0x09, "c")))
    full = [connect("client", token, version=5, will=will5, properties=((0x26, "a", "b" * 50), (0x11, 60))),
            connect("client", token, version=4, will=("w" * 30, "x" * 200, 1, False)),
            connect("client", token, version=3, will=("w", "x" * 50, 1, False))]
    full = [p for p in full if body_of(p)[body_of(p).index(b"M") + body_of(p)[1]] in versions]
    return [whole(body_of(p)[:at]) for p in full for at in range(10, len(body_of(p)) - 1, 7)] + [whole(body_of(p) + b"\0") for p in full]


def bad_wills(token):
    """Will properties that may not stand there, have no such type, or run over their block; then the connection is gone."""
    def one(block):
        return whole(text("MQTT") + b"\x05\xc6\0\x3c\0" + text("client") + block + text("w") + text("x") + text(token) + text(""))
    return [one(b) for b in (b"\x03\x23\0\1", b"\x05\x11\0\0\0\1", b"\x02\x01\x02", b"\x02\x7e\1", b"\x02\x18\0", b"\x05\x26\0\1k\0", b"\x7f\x26\0\1k\0\1v",
                             b"\x04\x03\0\1\xff", b"\x05\x08\0\2a#", b"\x04\x01\0\x01\1", b"\x80\x80\x80\x80\x01", b"\x80\x00", b"\x01\x00")]


@pytest.fixture
def alone(tmp_path):
    """A proxy that nobody else uses."""
    s = Stack(tmp_path / "alone", config="[proxy]\nworkers = 2\n")
    s.start()
    yield s
    s.stop()


def resident(stack):
    with open("/proc/%d/status" % stack.ready["pids"]["proxy"]) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def storm(stack, packets, count):
    """In two processes: the proxy has two workers."""
    command = [sys.executable, os.path.join(ROOT, "tests", "kit", "storm.py"), str(int(stack.port)), str(count // 2)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    lines = "".join(p.hex() + "\n" for p in packets)
    for p in running:
        p.stdin.write(lines)
        p.stdin.close()
    for p in running:
        assert p.wait(3600) == 0, p.stderr.read()
        assert sum(map(int, p.stdout.read().split())) == count // 2


def flat(stack, packets, capsys):
    storm(stack, packets, max(1000, COUNT // PARTS))    # buffers, tables and the allocator's arenas find their size
    sizes = [resident(stack)]
    for _ in range(PARTS):
        storm(stack, packets, COUNT // PARTS)
        sizes.append(resident(stack))
    if COUNT >= 100000:
        with capsys.disabled():
            print("\n%d CONNECTs of %d kinds, resident KiB after each tenth: %s" % (COUNT, len(packets), sizes))
    if SLOW == 1:    # sanitizers keep freed memory for a while; they say themselves at the end if something was lost
        assert max(sizes) - sizes[0] < BOUND_KIB, sizes
    with open_client(stack.port, stack.master) as c:
        assert c.sync() == []


def test_P14_connects_with_bad_will_properties_leave_memory_flat(alone, capsys):
    flat(alone, bad_wills("t" * 60), capsys)


@pytest.mark.parametrize("version", [(3, 4, 5)], ids=["all versions"])
def test_P15_connects_that_fail_late_leave_memory_flat(alone, capsys, version):
    flat(alone, late("t" * 60, version), capsys)
