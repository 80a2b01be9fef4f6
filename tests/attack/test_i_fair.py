"""Attacks I20 to I22, and I24, of the attack table: work and memory that nobody was charged for, beside a customer that goes about its business."""
import os
import re
import select
import signal
import socket
import ssl
import threading
import time

import pytest
from rawmqtt import AUTH, CONNACK, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Closed, Raw, ack, connect, disconnect, open_client, packet, props, publish
from resources import alive
from stack import SLOW, Stack, Stopwatch, wait_for

V = pytest.mark.parametrize("version", [4, 5])
# control_rate: 100 at once, then 20 a second
FAIR = """[proxy]
workers = 1
partial_bytes = 1m
partial_strangers = 256k
control_rate = 20
rate_patience = 3s
packet_grace = 60s
connect_deadline = 60s
"""


@pytest.fixture(scope="module")
def fair(tmp_path_factory):
    s = Stack(tmp_path_factory.mktemp("fair"), config=FAIR)
    s.start()
    yield s
    s.check_alive()
    s.stop()


def in_two_pieces(c, data, cut):
    c.send(data[:cut])
    time.sleep(0.05)
    return c.send(data[cut:])


def is_open(c):
    """Also of a connection that was never answered."""
    c.sock.settimeout(0.05)
    try:
        return c.sock.recv(1) != b""
    except (socket.timeout, ssl.SSLWantReadError):
        return True
    except OSError:
        return False


@V
def test_I20_half_connects_without_a_token_close_no_customers_connection(fair, version):
    token = fair.new_customer().token()
    begun = connect("x", "t" * 60000, version=version)[:50000]
    strangers = []
    with open_client(fair.port, token, version=version) as c:
        for _ in range(12):    # 600 kB of 256
            strangers.append(Raw(fair.port, version).send(begun))
            time.sleep(0.02)
        wait_for(lambda: not is_open(strangers[0]), 5)    # the oldest made room
        assert is_open(strangers[-1])
        in_two_pieces(c, publish("t", b"x" * 40000, qos=1, pid=1, version=version), 30000)
        assert c.expect(PUBACK).pid == 1
        for i in range(5):    # nor does it keep anybody out who comes with a token
            with Raw(fair.port, version) as late:
                in_two_pieces(late, connect("late%d" % i, token, version=version), 20)
                assert late.expect(CONNACK).code == 0
    for s in strangers:
        s.close()


@V
def test_I20_a_customer_with_too_many_half_packets_loses_its_own_oldest_and_no_neighbours(fair, version):
    greedy, modest = fair.new_customer().token(), fair.new_customer().token()
    body = publish("t", b"x" * 120000, qos=1, pid=7, version=version)
    with open_client(fair.port, modest, version=version) as c:
        c.send(body[:110000])    # the oldest of all
        clients = [open_client(fair.port, greedy, version=version).send(body[:110000]) for _ in range(10)]    # 1.2 MB of 1
        told = [p.code for p in clients[0].closed() if p.kind == DISCONNECT]
        assert told == ([0x97] if version == 5 else [])
        for who in (c, clients[-1]):
            who.send(body[110000:])
            assert who.expect(PUBACK).pid == 7
        for who in clients:
            who.close()


def half_records(port, n):
    """A TLS client that has said so many bytes of a record of 16 KiB, and no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(come, go)
    sock = socket.create_connection(("127.0.0.1", int(port)))
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(go.read())
            come.write(sock.recv(65536))
    sock.sendall(go.read())
    tls.write(b"\x10" + b"\xff\xff\x03" + b"x" * 16000)    # a CONNECT that goes on
    sock.sendall(go.read()[:n])
    return sock


def test_I20_records_that_are_not_whole_count_too(fair):
    door = fair.ready.get("mqtts")
    if not door:
        pytest.skip("no TLS door")
    socks = []
    for _ in range(30):    # 450 kB of 256
        socks.append(half_records(door, 15000))
        time.sleep(0.01)

    def gone(s):
        s.settimeout(0.05)
        try:
            return len(s.recv(65536)) == 0
        except socket.timeout:
            return False
        except OSError:
            return True
    wait_for(lambda: gone(socks[0]) or gone(socks[0]), 10)
    assert not gone(socks[-1])
    alive(fair, fair.new_customer())
    for s in socks:
        s.close()


@V
def test_I21_pings_have_a_rate(fair, version):
    with open_client(fair.port, fair.new_customer().token(), version=version) as c:
        begin, watch = time.monotonic(), Stopwatch(fair)
        c.send(packet(PINGREQ) * 130)
        for _ in range(130):
            c.expect(PINGRESP)
        assert 1 < time.monotonic() - begin and watch.seconds() < 6 * SLOW


@V
@pytest.mark.parametrize("kind", [PUBACK, PUBREC, PUBREL, PUBCOMP])
def test_I21_acknowledgements_of_nothing_have_a_rate(fair, version, kind):
    with open_client(fair.port, fair.new_customer().token(), version=version) as c:
        begin = time.monotonic()
        for i in range(130):
            c.send(ack(kind, i + 1000, version=version))
        c.send(packet(PINGREQ))
        while c.read().kind != PINGRESP:    # a PUBREC or PUBREL of nothing is answered
            pass
        assert time.monotonic() - begin > 1


@V
def test_I21_acknowledgements_of_what_was_sent_are_free(fair, version):
    token = fair.new_customer().token()
    with open_client(fair.port, token, "s", version) as s, open_client(fair.port, token, "p", version) as p:
        s.subscribe(("t", 2))
        pauses = counter(fair, "control_pauses")
        for qos in (1, 2):
            for i in range(150):
                p.publish("t", b"%d" % i, qos=qos, pid=i + 1)
                if qos == 2:
                    p.expect(PUBREC)
                    p.send(ack(PUBREL, i + 1, version=version)).expect(PUBCOMP)
                else:
                    p.expect(PUBACK)
                m = s.expect(PUBLISH)
                s.send(ack(PUBACK if qos == 1 else PUBREC, m.pid, version=version))
                if qos == 2:
                    s.expect(PUBREL)
                    s.send(ack(PUBCOMP, m.pid, version=version))
        s.send(packet(PINGREQ)).expect(PINGRESP)
        assert counter(fair, "control_pauses") == pauses


def test_I21_who_goes_on_is_closed(fair):
    with open_client(fair.port, fair.new_customer().token(), version=5) as c:
        end, told = time.monotonic() + 30 * SLOW, []
        try:
            c.sock.settimeout(0.2)
            while time.monotonic() < end:
                try:
                    c.sock.sendall(packet(PINGREQ) * 50)
                except socket.timeout:
                    pass
                time.sleep(0.05)
        except OSError:
            pass
        try:
            while True:
                p = c.read(1)
                told += [p.code] if p.kind == DISCONNECT else []
        except (Closed, OSError, TimeoutError):
            pass
        assert told == [0x96]


def test_I21_auth_counts_as_twenty(fair):
    token = fair.new_customer().token()
    method = ((0x15, "token"), (0x16, token))
    with Raw(fair.port, 5) as c:
        c.send(connect("a", None, version=5, properties=method))
        assert c.expect(CONNACK).code == 0
        begin, block = time.monotonic(), packet(AUTH, b"\x19" + props(*method))
        for _ in range(7):    # five at once, then one a second
            c.send(block).expect(AUTH, 10)
        assert time.monotonic() - begin > 1


@V
def test_I22_what_was_sent_before_the_end_is_worked_on_however_many_turns_it_takes(fair, version):
    """Two customers are active, so that a turn has room for a few hundred packets of each."""
    token, other = fair.new_customer().token(), fair.new_customer().token()
    with open_client(fair.port, other, "o", version) as o, open_client(fair.port, token, "s", version) as s:
        s.subscribe(("t", 1))
        for round in range(3):
            o.publish("x", b"", qos=1, pid=1).expect(PUBACK)
            with open_client(fair.port, token, "p", version) as p:
                p.send(b"".join(publish("t", b"%d" % i, version=version) for i in range(1000)) + disconnect())
            got = 0
            while got < 1000:
                m = s.expect(PUBLISH, 10)
                assert m.payload == b"%d" % got
                got += 1
            o.publish("x", b"", qos=1, pid=2).expect(PUBACK)


@V
def test_I22_a_flood_takes_nothing_from_a_neighbour(fair, version):
    greedy, modest = fair.new_customer().token(), fair.new_customer().token()
    flood = [open_client(fair.port, greedy, "f%d" % i, version) for i in range(4)]
    block = b"".join(publish("f", b"x" * 50, version=version) for _ in range(500))
    with open_client(fair.port, modest, "b", version) as b:
        b.subscribe(("t", 0))
        stop = threading.Event()

        def floods(f):
            while not stop.is_set():
                f.send(block)
        threads = [threading.Thread(target=floods, args=(f,)) for f in flood]
        worked = counter(fair, "publishes_in")
        for t in threads:
            t.start()
        try:
            for i in range(100):
                b.publish("t", b"%d" % i)
                assert b.expect(PUBLISH).payload == b"%d" % i
        finally:
            stop.set()
            for t in threads:
                t.join()
        assert counter(fair, "publishes_in") > worked + 10000    # there was a flood
    for f in flood:
        f.close()


class Crowd:
    """Customers of one owner, each with clients that hear all that one of them says, as fast as it can."""

    def __init__(self, stack, customers, clients):
        self.poll, self.floods = select.epoll(), {}
        self.all, block = {}, publish("f", b"x" * 10) * 200
        for _ in range(customers):
            token = stack.new_customer().token()
            for i in range(clients):
                c = open_client(stack.port, token, "c%d" % i)
                c.subscribe("f")
                self.add(c, select.EPOLLIN)
            p = open_client(stack.port, token, "p")
            self.floods[self.add(p, select.EPOLLOUT)] = [block, block]

    def add(self, c, events):
        c.sock.setblocking(False)
        self.all[c.sock.fileno()] = c
        self.poll.register(c.sock, events)
        return c.sock.fileno()

    def run(self, stop):
        while not stop.is_set():
            for fd, _ in self.poll.poll(0.1):
                c, flood = self.all[fd], self.floods.get(fd)
                try:
                    if flood:
                        flood[0] = flood[0][c.sock.send(flood[0]):] or flood[1]
                    else:
                        c.sock.recv(1 << 18)
                except BlockingIOError:
                    pass
                except OSError:    # one that was too slow a reader
                    self.poll.unregister(fd)


@pytest.mark.one_door("the link")
def test_I24_many_customers_of_one_owner_do_not_stop_the_link(fair):
    """What was kept for all of them, while each was served a little in each turn, was so much that nobody was read for a second."""
    crowd, stop = Crowd(fair, 30, 30), threading.Event()
    thread = threading.Thread(target=crowd.run, args=(stop,))
    with open_client(fair.port, fair.new_customer().token(), "b") as b:
        b.subscribe("t")
        deaf, later = counter(fair, "links_deaf"), counter(fair, "frames_later")
        thread.start()
        try:
            end, n = time.monotonic() + 5, 0
            while time.monotonic() < end:
                b.publish("t", b"%d" % n)
                assert b.expect(PUBLISH).payload == b"%d" % n
                n += 1
        finally:
            stop.set()
            thread.join()
        assert counter(fair, "frames_later") > later + 1000    # they were too much
        assert counter(fair, "links_deaf") == deaf
    for c in crowd.all.values():
        c.close()


def test_I21_an_auth_with_the_same_rights_judges_no_subscription_again(fair):
    customer = fair.new_customer()
    token, narrower = customer.token(), customer.acl(("t", "subscribe"))
    method = (0x15, "token")
    with Raw(fair.port, 5) as c:
        c.send(connect("a", None, version=5, properties=(method, (0x16, token))))
        assert c.expect(CONNACK).code == 0
        c.subscribe(("t", 0), ("u", 0))
        before = counter(fair, "regrants")
        c.send(packet(AUTH, b"\x19" + props(method, (0x16, token)))).expect(AUTH, 10)
        c.sync()
        assert counter(fair, "regrants") == before
        c.send(packet(AUTH, b"\x19" + props(method, (0x16, narrower)))).expect(AUTH, 10)
        c.sync()
        wait_for(lambda: counter(fair, "regrants") > before, 5)


def counter(stack, name):
    before = stack.log("proxy").count("ev=numbers")
    os.kill(stack.ready["pids"]["proxy"], signal.SIGUSR2)
    wait_for(lambda: stack.log("proxy").count("ev=numbers") > before, 5)
    return int(re.findall(r"\b%s=(\d+)" % name, stack.log("proxy"))[-1])
