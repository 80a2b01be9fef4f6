"""The REST API's own server: what one client sends or holds open stops no other."""
import importlib.util
import json
import os
import selectors
import socket
import threading
import time

import pytest
from stack import BUILD, SLOW, wait_for

pytestmark = pytest.mark.one_door("mbus-admin's own socket")
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("fuzz_admin_http", os.path.join(HERE, "..", "fuzz", "admin_http.py"))
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)

PIPELINED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
ASK = b"GET /auth/info HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def admin(tmp_path):
    a = fuzz.Admin(BUILD, str(tmp_path), SLOW)
    yield a
    if a.process.poll() is None:
        a.end()


@pytest.mark.parametrize("data", [PIPELINED, PIPELINED + b"0123456789", PIPELINED * 50, PIPELINED + b"0" * 20 + PIPELINED], ids=["head", "part", "many", "whole"])
def test_M34_a_body_announced_behind_an_answered_request_blocks_nobody(admin, data):
    with admin.connect() as s:
        s.sendall(data)
        admin.control()
        admin.rests()
        admin.end()      # within two seconds, with the connection open


def dial(admin, own):
    return socket.create_connection(("127.0.0.1", admin.port), 5, source_address=(own, 0))


def asks(s):
    """One request on a connection, and its whole answer: head and body may come apart."""
    s.settimeout(10)
    s.sendall(ASK)
    answer = b""
    while not answer.endswith(b"]}"):
        more = s.recv(4096)
        assert more, answer
        answer += more
    assert answer.startswith(b"HTTP/1.1 401 ")


def answered(admin, own):
    """How long one request of this address takes, without what both sides waited for a CPU."""
    passes = fuzz.Time(admin.process.pid)
    with dial(admin, own) as s:
        asks(s)
    return passes.passed()


def hold(admin, stop, hosts, first):
    """More connections than there may be, half a head on each, renewed as they end."""
    open_now = []
    while not stop.is_set():
        while len(open_now) < 100:
            s = dial(admin, hosts[len(open_now) % len(hosts)])
            s.sendall(first)
            s.setblocking(False)
            open_now.append(s)
        for s in list(open_now):
            try:
                ended = s.recv(100) == b""
            except BlockingIOError:
                ended = False
            except OSError:
                ended = True
            if ended:
                s.close()
                open_now.remove(s)
        time.sleep(0.01)
    for s in open_now:
        s.close()


@pytest.mark.parametrize("hosts", [["127.0.0.3"], ["127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"]], ids=["one", "four"])
@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nX: "], ids=["idle", "slow"])
def test_M35_connections_that_are_held_open_keep_nobody_out(admin, hosts, first):
    stop = threading.Event()
    with dial(admin, "127.0.0.2") as early:      # one that was there before
        asks(early)
        t = threading.Thread(target=hold, args=(admin, stop, hosts, first))
        t.start()
        try:
            wait_for(lambda: "ev=connection-evicted" in admin.said(), 10)
            times = [answered(admin, "127.0.0.2") for _ in range(100)]
            asks(early)
        finally:
            stop.set()
            t.join()
    assert sorted(times)[98] < 0.5 * SLOW, sorted(times)[-5:]


def test_M35_a_thousand_requests_a_second_of_one_address_keep_nobody_out(admin):
    stop, asked = threading.Event(), [0]

    def flood():
        with dial(admin, "127.0.0.3") as s:
            while not stop.is_set():
                s.sendall(ASK * 20)
                left = 20
                while left:
                    left -= s.recv(65536).count(b"HTTP/1.1 401 ")
                asked[0] += 20
                time.sleep(0.08)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    begin = time.monotonic()
    for t in threads:
        t.start()
    try:
        times = [answered(admin, "127.0.0.2") for _ in range(100)]
        time.sleep(1)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert asked[0] / (time.monotonic() - begin) > 100
    assert sorted(times)[98] < 0.5 * SLOW, sorted(times)[-5:]


def test_M37_requests_of_one_address_with_a_long_access_list_wait_behind_those_of_others(admin):
    grants = [{"uri": "mqtt", "topic": "%04d" % i, "actions": ["subscribe"]} for i in range(1100)]
    body = json.dumps([{"access": {"type": 2, "acl": grants}}]).encode()
    with dial(admin, "127.0.0.3") as s:
        s.sendall(b"POST /platform/tokens?fields=key HTTP/1.1\r\nHost: x\r\nAuthorization: FlespiToken %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" %
                  (admin.token.encode(), len(body)) + body)
        said = b""
        while not said.endswith(b"}"):    # in as many segments as it likes
            said += s.recv(65536)
        key = json.loads(said.split(b"\r\n\r\n")[1])["result"][0]["key"].encode()
    ask = b"GET /platform/customer HTTP/1.1\r\nHost: x\r\nAuthorization: FlespiToken %s\r\n\r\n" % key    # is refused by the list
    stop, done = threading.Event(), [0]

    def loop():
        """40 connections, each of which asks again as soon as it has its answer."""
        chosen, ends = selectors.DefaultSelector(), {}
        for _ in range(40):
            s = dial(admin, "127.0.0.3")
            s.sendall(ask)
            chosen.register(s, selectors.EVENT_READ)
        while not stop.is_set():
            for at, _ in chosen.select(0.1):
                data = ends.get(at.fileobj, b"")[-4:] + at.fileobj.recv(1 << 18)
                ends[at.fileobj] = data
                if data.endswith(b"]}"):
                    at.fileobj.sendall(ask)
                    done[0] += 1
        for at in list(chosen.get_map().values()):
            at.fileobj.close()

    t = threading.Thread(target=loop)
    t.start()
    try:
        wait_for(lambda: done[0] > 80, 20)
        begin, before = time.monotonic(), done[0]
        times = [answered(admin, "127.0.0.2") for _ in range(60)]
        rate = (done[0] - before) / (time.monotonic() - begin)
    finally:
        stop.set()
        t.join()
    print("answered in %.4f s, beside %d requests a second" % (sorted(times)[30], rate))
    assert sorted(times)[30] < 0.05 * SLOW, sorted(times)[30:]
    assert sorted(times)[58] < 0.5 * SLOW, sorted(times)[-5:]
