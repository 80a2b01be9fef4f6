"""What the files of the R family share."""
import os
import socket
import struct

from rawmqtt import DISCONNECT, PUBLISH, Closed, Raw, open_client
from stack import SLOW

MIB = 1 << 20


def memory(stack, name):
    """Resident bytes of mbus-<name>; nothing under sanitizers, which keep freed memory for a while."""
    if SLOW > 1:
        return 0
    with open("/proc/%d/status" % stack.ready["pids"][name]) as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))


def own_memory(pid):
    """Bytes that are the process's own."""
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon")) * 1024


def cpu(stack):
    """Seconds of CPU that proxy and core have used."""
    total = 0
    for name in ("proxy", "core"):
        tasks = "/proc/%d/task" % stack.ready["pids"][name]
        for task in os.listdir(tasks):
            with open("%s/%s/schedstat" % (tasks, task)) as f:
                total += int(f.read().split()[0])
    return total / 1e9


def ends(c, code, timeout=8.0):
    """The connection ends; v5 is told the code, v3 nothing. Returns what came before."""
    packets = c.closed(timeout)
    told = [p.code for p in packets if p.kind == DISCONNECT]
    assert told == ([code] if c.version == 5 else []), packets
    return packets


def refused(port, token, client_id, version, **more):
    """The code of the CONNACK."""
    with Raw(port, version) as c:
        return c.connect(client_id, token, **more).code


def alive(stack, customer):
    """Somebody else is served at once."""
    token = customer.token()
    with open_client(stack.port, token) as c:
        c.subscribe("alive")
        c.publish("alive", "yes")
        assert c.expect(PUBLISH, 2).payload == b"yes"


def reset(c):
    """Ends the connection with RST: nobody says goodbye."""
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()


def try_connect(port, token):
    """Is there room?"""
    try:
        with Raw(port) as c:
            return c.connect("", token).code == 0
    except (Closed, ConnectionError):
        return False
