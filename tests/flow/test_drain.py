"""Stopping without a storm, and one proxy taking over from another without a refused connection."""
import os
import signal
import socket
import threading
import time

import doors
import pytest
from proxy import Proxy
from rawmqtt import CONNACK, DISCONNECT, PINGRESP, PUBLISH, Raw, connect, open_client, packet
from stack import SLOW, Stack, free_offset, wait_for

MANY = 30


def clients(p, token, count=MANY, version=5, **more):
    return [open_client(p, token, "c%d" % i, version=version, **more) for i in range(count)]


def refused(p):
    try:
        socket.create_connection(("127.0.0.1", int(p)), timeout=5).close()
        return False
    except (ConnectionRefusedError, ConnectionResetError):
        return True


class Watch:
    """When each client was let go, and with what."""

    def __init__(self, all_clients):
        self.ends, self.begin = [], time.monotonic()
        self.threads = [threading.Thread(target=self.wait, args=(c,)) for c in all_clients]
        for t in self.threads:
            t.start()

    def wait(self, c):
        said = c.closed(30)
        self.ends.append((time.monotonic() - self.begin, [(p.kind, p.code, p.properties) for p in said if p.kind == DISCONNECT]))

    def all(self):
        for t in self.threads:
            t.join(40 * SLOW)
        assert len(self.ends) == len(self.threads)
        return sorted(self.ends, key=lambda e: e[0])


def test_on_sigterm_clients_leave_at_the_rate_and_the_program_ends_with_the_last(stack, customer, tmp_path):
    with Proxy(stack, tmp_path, "drain_rate = 15", "drain_deadline = 1h") as p:
        port = p.port
        watch = Watch(clients(port, customer.token()))
        p.signal(signal.SIGTERM)
        wait_for(lambda: refused(port), 5)
        ends = watch.all()
        assert p.ended() == 0
    assert all([(k, code) for k, code, _ in said] == [(DISCONNECT, 0x8B)] for _, said in ends)
    # 30 at 15 a second, a bit ahead of time and one more per worker
    assert ends[-1][0] - ends[0][0] > 1.3, ends
    assert ends[MANY // 2][0] - ends[0][0] > 0.5, ends


def test_after_the_deadline_the_others_go_at_once(stack, customer, tmp_path):
    with Proxy(stack, tmp_path, "drain_rate = 1", "drain_deadline = 1s") as p:
        watch = Watch(clients(p.port, customer.token()))
        p.signal(signal.SIGTERM)
        ends = watch.all()
        assert p.ended() == 0
    assert sum(1 for when, _ in ends if when < 0.8) < 10 and all(said for _, said in ends)
    assert ends[-1][0] < 8 * SLOW


def test_a_second_sigterm_ends_it_at_once(stack, customer, tmp_path):
    with Proxy(stack, tmp_path, "drain_rate = 1", "drain_deadline = 1h") as p:
        watch = Watch(clients(p.port, customer.token()))
        p.signal(signal.SIGTERM)
        wait_for(lambda: "ev=stopping how=drain" in p.log())
        p.signal(signal.SIGTERM)
        assert p.ended(8) == 0
        assert len(watch.all()) == MANY


@pytest.mark.parametrize("lines,code", [(["drain_moved = off"], 0x9C), (["drain_moved = on"], 0x9D)])
def test_a_server_reference_tells_where_to_go(stack, customer, tmp_path, lines, code):
    token = customer.token()
    with Proxy(stack, tmp_path, "drain_reference = other.example:8883", *lines) as p:
        new, small, old = open_client(p.port, token, "new", version=5), open_client(p.port, token, "small", version=5, properties=[(0x27, 20)]), \
            open_client(p.port, token, "old", version=4)
        smaller = open_client(p.port, token, "smaller", version=5, properties=[(0x27, 28)])
        p.signal(signal.SIGTERM)
        said = new.closed(10)
        assert [(x.kind, x.code) for x in said] == [(DISCONNECT, code)] and said[0].properties[0x1C] == b"other.example:8883"
        said = smaller.closed(10)           # [MQTT-3.14.2-3]: the reason string goes first
        assert said[0].code == code and list(said[0].properties) == [0x1C]
        said = small.closed(10)             # then the reference
        assert [(x.kind, x.code) for x in said] == [(DISCONNECT, code)] and not said[0].properties
        assert old.closed(10) == []
        assert p.ended() == 0
        assert "ev=close why=moved reason=0x%02x" % code in p.log()


def test_sigusr1_accepts_nobody_and_waits_until_the_last_has_gone_by_himself(stack, customer, tmp_path):
    with Proxy(stack, tmp_path, "drain_rate = 0", "drain_deadline = 100ms") as p:
        port = p.port
        a, b = clients(port, customer.token(), 2)
        p.signal(signal.SIGUSR1)
        wait_for(lambda: refused(port), 5)
        time.sleep(0.5)                     # longer than the deadline, which is not for this signal
        for c in (a, b):
            c.send(packet(12))
            c.expect(PINGRESP)
        a.close()
        b.send(packet(12))
        b.expect(PINGRESP)
        b.close()
        assert p.ended() == 0


def test_clients_in_the_queue_of_a_socket_that_closes_are_served(stack, customer, tmp_path):
    """They had a connection before we were told to stop."""
    token = customer.token()
    # two hundred handshakes, one after the other, take as long as they take
    with Proxy(stack, tmp_path, "workers = 1", "drain_rate = 1000", "drain_deadline = 10m", "connect_deadline = 10m") as p:
        port = p.port
        open_client(port, token, "warm").close()
        p.signal(signal.SIGSTOP)
        waiting = []
        for i in range(200):
            s = socket.create_connection(("127.0.0.1", int(port)), timeout=20 * SLOW)
            if doors.current == "tcp":
                s.sendall(connect("q%d" % i, token))
            waiting.append(s)
        p.signal(signal.SIGTERM)
        p.signal(signal.SIGCONT)
        for i, s in enumerate(waiting):
            s = doors.connect_door(port, sock=s)
            if doors.current != "tcp":
                s.sendall(connect("q%d" % i, token))
            assert s.recv(4) == b"\x20\x02\0\0"
            s.close()
        assert p.ended() == 0


def test_sessions_stay_and_wills_wait_for_the_client_to_come_back(tmp_path):
    s = Stack(tmp_path / "stack", "[core]\nwill_grace = %ds\n" % (3 * SLOW))
    s.start()
    try:
        token = s.new_customer().token()
        with Proxy(s, tmp_path / "proxy", "drain_rate = 1000") as p, open_client(s.port, token, "sub", version=5) as sub:
            sub.subscribe(("will/#", 1))
            names = ["back", "gone"]
            old = {n: open_client(p.port, token, n, version=5, clean=False, properties=[(0x11, 300)], will=("will/" + n, "dead", 1, False)) for n in names}
            old["back"].subscribe(("kept", 1))
            p.signal(signal.SIGTERM)
            assert [x.code for x in old["back"].closed(10)] == [0x8B]
            assert [x.code for x in old["gone"].closed(10)] == [0x8B]
            with open_client(s.port, token, "pub", version=5) as pub:
                pub.publish("kept", "while away", qos=1)
            with Raw(s.port, version=5) as again:
                answer = again.connect("back", token, clean=False, properties=[(0x11, 300)])
                assert answer.code == 0 and answer.present == 1
                m = again.expect(PUBLISH)
                assert m.payload == b"while away"
                will = sub.expect(PUBLISH, timeout=15)
                assert will.topic == "will/gone"                # and the other one, never
                sub.sync()
    finally:
        s.stop()


# ---- One proxy after another ----

class Knocking:
    """Connects, is let in, leaves; all the time, by several threads."""

    def __init__(self, port, token, threads=4):
        self.stop, self.count, self.wrong = threading.Event(), 0, []
        self.port, self.token = port, token
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(threads)]
        for t in self.threads:
            t.start()

    def run(self, n):
        i = 0
        while not self.stop.is_set():
            i += 1
            try:
                s = doors.connect_door(self.port)
                s.sendall(connect("k%d-%d" % (n, i), self.token))
                got = s.recv(4)
                s.close()
                assert got == b"\x20\x02\0\0", got
            except Exception as e:          # whatever it was, it is what the test is about
                self.wrong.append(repr(e))
                return
            with self.lock:
                self.count += 1

    def reach(self, count):
        wait_for(lambda: self.count >= count or self.wrong, 60)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(30 * SLOW)
        assert self.wrong == []
        return self.count


def fixed_port():
    """The door of the test, where several proxies will look for it."""
    line = "%s = 127.0.0.1:%d" % (doors.KEYS[doors.current], 1883 + free_offset())
    return [line] if doors.current == "tcp" else [line, "mqtt ="]


@pytest.mark.parametrize("workers", [(1, 1), (2, 1), (1, 3)])
def test_a_successor_takes_the_sockets_over_and_no_connection_is_refused(stack, customer, tmp_path, workers):
    token, part = customer.token(), 150 if doors.is_tls(doors.current) else 500
    lines = ["takeover = %s" % (tmp_path / "next.sock"), *fixed_port(), "drain_rate = 100", "drain_deadline = 20s"]
    first = Proxy(stack, tmp_path / "0", *lines, "workers = %d" % workers[0]).start()
    proxies, stays = [first], open_client(first.port, token, "stays", version=5)
    knocking = Knocking(first.port, token)
    try:
        for i in range(3):
            knocking.reach(part * (i + 1))
            proxies.append(Proxy(stack, tmp_path / str(i + 1), *lines, "workers = %d" % workers[(i + 1) % 2]).start())
            assert proxies[-2].ended() == 0
            assert "how=succeeded" in proxies[-2].log() and "ev=takeover sockets=" in proxies[-1].log()
        knocking.reach(4 * part)
    finally:
        count = knocking.end()
        for p in proxies:
            p.stop()
    assert [(x.kind, x.code) for x in stays.closed(5)] == [(DISCONNECT, 0x8B)]
    assert count >= 4 * part


def test_a_successor_that_dies_before_it_is_ready_changes_nothing(stack, customer, tmp_path):
    token, path = customer.token(), tmp_path / "next.sock"
    lines = ["takeover = %s" % path, *fixed_port()]
    with Proxy(stack, tmp_path / "0", *lines) as first:
        with open_client(first.port, token, "stays") as c:
            nowhere = Proxy(stack, tmp_path / "1", *lines)
            nowhere.core = str(tmp_path / "nobody")             # without a core it never gets ready
            nowhere.start(ready=False)
            wait_for(lambda: "ev=takeover sockets=" in nowhere.log(), 10)
            for i in range(50):
                open_client(first.port, token, "n%d" % i).close()
            nowhere.process.kill()
            nowhere.ended()
            wait_for(lambda: "the successor has gone" in first.log(), 10)
            c.sync()
            second = Proxy(stack, tmp_path / "2", *lines).start()
            assert first.ended() == 0
            open_client(second.port, token, "in").close()
            second.stop()


@pytest.mark.one_door("the path of the takeover is no door")
def test_descriptors_that_nobody_asked_for_are_closed(stack, tmp_path):
    """Who speaks on the path of the takeover sends two in one message, again and again."""
    path = tmp_path / "next.sock"
    with Proxy(stack, tmp_path / "0", "takeover = %s" % path) as p:
        before = len(os.listdir("/proc/%d/fd" % p.process.pid))
        for i in range(20):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10 * SLOW)
                s.connect(str(path))
                socket.recv_fds(s, 1, 1)        # it has begun to hand over
                socket.send_fds(s, [b"?"], [0, 1])
                wait_for(lambda: p.log().count("the successor has gone") == i + 1, 10)
        wait_for(lambda: len(os.listdir("/proc/%d/fd" % p.process.pid)) <= before, 5)
