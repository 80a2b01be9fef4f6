"""Attacks R01 to R07, R22 and R23 of the attack table: connections that are silent, slow, too many or too often. Stacks: conftest.py."""
import os
import resource
import signal
import socket
import ssl
import time

import doors
import pytest
from rawmqtt import DISCONNECT, PUBACK, PUBLISH, Closed, Raw, connect, open_client, packet, publish, subscribe
from resources import MIB, alive, cpu, ends, memory, refused, try_connect
from stack import SLOW, Stopwatch, wait_for

V = pytest.mark.parametrize("version", [4, 5])


# ---- Before CONNECT ----

def test_R01_who_connects_and_says_nothing_is_closed(small):
    silent = [Raw(small.port) for _ in range(20)]
    begin, watch = time.monotonic(), Stopwatch(small)
    for c in silent:
        assert c.closed(3) == []
    assert 0.5 < time.monotonic() - begin and watch.seconds() < 2 * SLOW
    alive(small, small.new_customer())


def test_R02_a_connect_that_trickles_has_one_deadline_and_no_memory_for_what_it_announces(small):
    before = memory(small, "proxy")
    announced = [Raw(small.port).send(b"\x10\xff\xff\x0f" + b"\0\4MQTT\4\2\0\x3c" + b"x" * 100) for _ in range(40)]
    slow = Raw(small.port)
    begin, watch = time.monotonic(), Stopwatch(small)
    with pytest.raises((Closed, ConnectionError, ssl.SSLError)):
        for byte in connect("c" * 60, "t" * 60):
            slow.send(bytes([byte]))
            time.sleep(0.05)
            slow.sock.settimeout(0.001)
            try:
                if slow.sock.recv(1) == b"":
                    raise Closed()
            except TimeoutError:
                pass
            slow.sock.settimeout(5)
    assert 1.5 < time.monotonic() - begin and watch.seconds() < 4 * SLOW
    assert memory(small, "proxy") - before < 3 * MIB    # they announced 10 MiB
    for c in announced:
        assert c.closed(4) == []


# ---- Slow and silent ----

@V
def test_R03_a_publish_that_trickles_is_cut_off_and_one_that_is_only_slow_is_not(small, version):
    token = small.new_customer().token()
    trickle, slow = open_client(small.port, token, "trickle", version), open_client(small.port, token, "slow", version)
    slow.subscribe("slow")
    body = publish("slow", b"x" * 30000, version=version)
    head = publish("trickle", b"x" * 50000, version=version)
    trickle.send(head[:20])
    at, end = 0, time.monotonic() + 20 * SLOW
    cut = small.log("proxy").count("why=slow-sender")
    trickle.sock.settimeout(0.01)
    closed = False
    while not closed and time.monotonic() < end:
        slow.send(body[at:at + 1000])    # 5 KB/s: longer than packet_grace, faster than 1 KiB/s
        at += 1000
        if at >= len(body):
            at = len(body)
        time.sleep(0.2)
        try:
            trickle.sock.sendall(b"x")
            trickle.data += trickle.sock.recv(100)
            closed = bool(trickle.data)
        except TimeoutError:
            pass
        except (ConnectionError, ssl.SSLError):
            closed = True
        closed = closed or small.log("proxy").count("why=slow-sender") > cut
    assert closed and at > 3000
    if version == 5:
        assert trickle.expect(DISCONNECT).code == 0x83
    slow.send(body[at:])
    assert len(slow.expect(PUBLISH).payload) == 30000


def test_R04_a_long_keep_alive_is_lowered_where_the_client_can_be_told(brief):
    """A v3 client has the one that it sent: no client that honours its keep-alive is closed, and devices send once an hour."""
    token = brief.new_customer().token()
    begin, watch = time.monotonic(), Stopwatch(brief)
    clients = [open_client(brief.port, token, "c%d-%d" % (version, asked), version, keepalive=asked) for version in (3, 4, 5) for asked in (0, 65535)]
    for c in clients[4:]:
        assert c.connack.properties[0x13] == 3
        ends(c, 0x8D)
        assert 4 < time.monotonic() - begin and watch.seconds() < 6 * SLOW
    for c in clients[:4]:
        c.sync()


# ---- Too many, too often ----

def test_R05_connections_of_an_address_are_limited(small):
    # an address that no other test comes from, on no door
    source = "127.0.5.%d" % (1 + doors.ALL.index(doors.current))
    tokens = [small.new_customer().token() for _ in range(5)]

    def come(token):
        try:
            c = Raw(small.port, sock=doors.connect_door(small.port, sock=doors.dial(int(small.port), source=source)))
            assert c.connect("", token).code == 0
            return c
        except (Closed, ConnectionError):
            return None
    kept = [c for c in [come(tokens[i % 5]) for i in range(80)] if c]
    assert len(kept) == 60
    kept.pop().send(packet(DISCONNECT)).closed()
    kept.append(wait_for(lambda: come(tokens[0]), 3))
    for c in kept:
        c.close()


@V
def test_R05_connections_with_one_token_are_limited_and_others_are_not(small, version):
    customer = small.new_customer()
    token, other = customer.token(limits={"mqtt_sessions": 3}), customer.token()
    kept = [open_client(small.port, token, "c%d" % i, version) for i in range(3)]
    assert refused(small.port, token, "c3", version) == (0x97 if version == 5 else 3)
    open_client(small.port, other, "c3", version).close()
    kept.pop().send(packet(DISCONNECT)).closed()

    def place_is_free():
        with Raw(small.port, version) as c:
            return c.connect("c3", token).code == 0
    wait_for(place_is_free)     # the client may see the end before the proxy has counted it


def numbers(stack):
    """What its proxy has counted until now (docs/operations.md)."""
    def said():
        return [x for x in stack.log("proxy").splitlines() if " ev=numbers " in x]
    before = len(said())
    os.kill(stack.ready["pids"]["proxy"], signal.SIGUSR2)
    wait_for(lambda: len(said()) > before, 10)
    words = (w.split("=") for w in said()[before].split(" ev=numbers ")[1].split())
    return {k: int(v) for k, v in words if v.isdigit()}     # one is a word: longest_turn_step


def test_R06_connections_of_an_address_have_a_rate_that_costs_nothing_beyond(rates):
    wait_for(lambda: try_connect(rates.port, rates.master), 5)
    watch = open_client(rates.port, rates.master, "watch-r06")
    before, begin = numbers(rates), time.monotonic()
    for _ in range(900):
        socket.create_connection(("127.0.0.1", int(rates.port))).close()

    def since():
        now = numbers(rates)
        return {k: now[k] - before[k] for k in ("accepted", "refused_rate")}
    wait_for(lambda: sum(since().values()) >= 900, 20, step=0.2)        # as the proxy counts: each has had its verdict
    refused_ones, seconds = since()["refused_rate"], time.monotonic() - begin
    # a burst of ten seconds' worth, less what came before; then the rate
    assert refused_ones >= 900 - 300 - 30 * seconds - 1 and refused_ones > 0
    assert "not-accepted" in rates.log("proxy")
    assert watch.sync() == []
    time.sleep(0.3)
    assert wait_for(lambda: try_connect(rates.port, rates.master), 5)


@V
def test_R06_a_customer_whose_clients_come_all_the_time_is_slowed_and_others_are_not(rates, version):
    time.sleep(1)
    customer, other = rates.new_customer(), rates.new_customer()
    token, codes = customer.token(), []
    for _ in range(30):
        wait_for(lambda: codes_append(codes, rates.port, token, version), 10)
    assert 20 <= codes.count(0) <= 20 + 30 and codes.count(0x9F if version == 5 else 3) == 30 - codes.count(0) > 0
    open_client(rates.port, other.token(), "x", version).close()
    time.sleep(1)
    open_client(rates.port, token, "x", version).close()


def codes_append(codes, port, token, version):
    try:
        codes.append(refused(port, token, "c", version))
    except (Closed, ConnectionError):    # the address is too fast, too
        time.sleep(0.1)
        return False
    return True


@V
def test_R07_a_take_over_war_goes_at_one_a_second(small, version):
    customer = small.new_customer()
    token = customer.token()
    fighters, won, lost = [], 0, 0
    begin = time.monotonic()
    for _ in range(40):
        c = Raw(small.port, version)
        code = c.connect("same", token).code
        if code == 0:
            won += 1
            if fighters:
                ends(fighters.pop(), 0x8E)
            fighters.append(c)
        else:
            assert code == (0x9F if version == 5 else 3)
            lost += 1
            c.close()
    assert 11 <= won <= 12 + time.monotonic() - begin and lost > 0
    fighters[0].sync()    # who has it, has it still
    time.sleep(1.1)
    winner = open_client(small.port, token, "same", version)
    ends(fighters[0], 0x8E)
    winner.sync()
    alive(small, customer)


# ---- What it costs ----

def test_R22_a_flood_of_errors_is_a_few_lines_a_second(flat):
    before, begin = len(flat.log("proxy")), time.monotonic()
    for _ in range(500):
        with Raw(flat.port) as c:
            c.send(b"\x30")
            c.closed(2)
    seconds = time.monotonic() - begin
    lines = [line for line in flat.log("proxy")[before:].splitlines() if "why=not-mqtt" in line]
    assert 1 <= len(lines) <= 20 * (seconds + 2)
    if 500 > 20 * (seconds + 2):
        with Raw(flat.port) as c:
            time.sleep(1.1)
            c.send(b"\x30")
            c.closed(2)
        assert "suppressed=" in flat.log("proxy")[before:]


def test_R23_without_descriptors_accepting_waits_and_nothing_else_changes(flat):
    customer = flat.new_customer()
    narrow = customer.acl(("a/#", "publish subscribe"))
    pid = flat.ready["pids"]["proxy"]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    inside = open_client(flat.port, narrow, "inside", 5)
    inside.subscribe("a/#")
    used = len(os.listdir("/proc/%d/fd" % pid))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 20, before[1]))
    crowd = []
    try:
        spent, begin = cpu(flat), time.monotonic()
        for _ in range(60):
            crowd.append(socket.create_connection(("127.0.0.1", int(flat.port))))    # no more: who is not accepted has no handshake
        time.sleep(1)
        assert "accept-paused" in flat.log("proxy")
        assert cpu(flat) - spent < 0.5 * (time.monotonic() - begin) * SLOW    # it does not spin
        inside.publish("a/x", "yes", qos=1)
        assert {p.kind for p in inside.sync()} == {PUBLISH, PUBACK}
        assert inside.publish("b", "no", qos=1, pid=2).expect(PUBACK).code == 0x87
        assert inside.subscribe("b") == [0x87]
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for c in crowd:
            c.close()
    wait_for(lambda: try_connect(flat.port, customer.token()), 5)
    inside.close()
