"""Attacks R14 and R16 to R19 of the attack table: too fast, too slow. Stacks: conftest.py."""
import socket
import time

import pytest
from rawmqtt import PUBACK, PUBLISH, SUBACK, Closed, Raw, ack, open_client, publish, subscribe
from resources import MIB, alive, ends, memory, reset
from stack import SLOW, Stack, Stopwatch

V = pytest.mark.parametrize("version", [4, 5])


@V
def test_R14_subscribing_has_a_rate(small, version):
    with open_client(small.port, small.new_customer().token(), version=version) as c:
        begin, watch = time.monotonic(), Stopwatch(small)
        for i in range(130):    # 100 at once, then 20 a second
            c.send(subscribe("a", pid=i + 1, version=version))
        for i in range(130):
            assert c.expect(SUBACK).pid == i + 1
        assert 1 < time.monotonic() - begin and watch.seconds() < 6 * SLOW
        c.sync()


@V
def test_R16_a_customer_has_a_budget_of_what_goes_out_and_others_do_not_feel_it(flat, version):
    customer, other = flat.new_customer(), flat.new_customer()
    status, answer = flat.rest("PUT", "/platform/subaccounts/%d" % customer.cid, {"limits": {"mqtt_egress": 100000}})
    assert status == 200, answer
    token = customer.token()
    with open_client(flat.port, token, "p", version) as p, open_client(flat.port, token, "zero", version) as zero, \
            open_client(flat.port, token, "one", version) as one:
        zero.subscribe("t")
        one.subscribe(("t", 1))
        begin, watch = time.monotonic(), Stopwatch(flat)
        for i in range(60):
            p.publish("t", b"%02d" % i + b"x" * 9998, qos=1, pid=i + 1).expect(PUBACK)    # 1.2 MB for two clients: ten seconds' worth and more
        assert watch.seconds() < 5 * SLOW    # the publisher is not held up
        alive(flat, other)
        assert len([m for m in zero.sync() if m.kind == PUBLISH]) < 30
        got = []
        while len(got) < 15:
            m = one.expect(PUBLISH, 10)
            got.append(int(m.payload[:2]))
            one.send(ack(PUBACK, m.pid, version=version))
        assert got == list(range(15)) and time.monotonic() - begin > 0.8    # none is lost, none comes sooner


@V
def test_R17_a_client_that_reads_nothing_is_closed_and_its_messages_are_not_piled_up(small, version):
    customer = small.new_customer()
    token = customer.token()
    deaf = open_client(small.port, token, "deaf", version)
    deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.subscribe("big")
    before = memory(small, "proxy"), memory(small, "core")
    end, size = time.monotonic() + 20 * SLOW, b"x" * 200000
    closes = small.log("proxy").count("why=slow-reader")
    with open_client(small.port, token, "p", 5) as p:
        while small.log("proxy").count("why=slow-reader") == closes and time.monotonic() < end:
            p.publish("big", size)
            p.sync()
            time.sleep(0.01)
    assert small.log("proxy").count("why=slow-reader") == closes + 1
    assert memory(small, "proxy") - before[0] < 8 * MIB and memory(small, "core") - before[1] < 8 * MIB
    deaf.close()
    alive(small, customer)


@V
def test_R18_above_its_rate_a_client_is_read_slower_and_nothing_is_lost(small, version):
    customer = small.new_customer()
    with open_client(small.port, customer.token(limits={"mqtt_messages": 20}), "fast", version) as fast, open_client(small.port, customer.token(), "w") as w:
        w.subscribe("t")
        begin, watch = time.monotonic(), Stopwatch(small)
        fast.send(b"".join(publish("t", "%d" % i, version=version) for i in range(120)))
        got = [w.expect(PUBLISH).payload for _ in range(100)]
        assert watch.seconds() < 0.8 * SLOW
        got += [w.expect(PUBLISH).payload for _ in range(20)]
        assert time.monotonic() - begin > 0.8
        assert got == [b"%d" % i for i in range(120)]
        fast.sync()
    alive(small, customer)


@V
def test_R18_who_goes_on_above_its_rate_is_closed(small, version):
    customer = small.new_customer()
    with open_client(small.port, customer.token(limits={"mqtt_messages": 20}), "fast", version) as fast, open_client(small.port, customer.token(), "w") as w:
        w.subscribe("t")
        begin = time.monotonic()
        fast.send(b"".join(publish("t", "%d" % i, version=version) for i in range(400)))
        ends(fast, 0x96, 10)
        assert time.monotonic() - begin > 1.8
        got = [p.payload for p in w.sync()]
        assert got == [b"%d" % i for i in range(len(got))] and 130 < len(got) < 100 + 20 * 4 * SLOW


@V
def test_R19_wills_have_room_for_so_many_bytes(tmp_path, version):
    """A client of MQTT 5 comes with another id each time, a long Will with a delay, and a session that stays: one socket would fill the core."""
    s = Stack(tmp_path, config="[proxy]\nworkers = 1\n[core]\ncustomer_will_bytes = 1m\n")
    s.start()
    try:
        customer, codes, kept = s.new_customer(), [], []
        token, will = customer.token(), ("w", "x" * 60000, 0, False, ((0x18, 3600),))
        for i in range(24):
            c = Raw(s.port, version)
            codes.append(c.connect("c%d" % i, token, clean=False, will=will, properties=((0x11, 3600),)).code)
            if version == 5:
                reset(c)
            else:    # has no delay: it is there as long as its client
                kept.append(c)
        assert codes == [0] * 17 + [0x97 if version == 5 else 3] * 7    # of 1,048,576 bytes
        with open_client(s.port, token, "c0", version, clean=False, will=will) as c:    # it has room in place of its own
            c.sync()
        alive(s, customer)
        alive(s, s.new_customer())
        for c in kept:
            c.close()
    finally:
        s.stop()


@V
def test_R19_wills_have_a_rate_of_their_own(small, version):
    customer = small.new_customer()
    token = customer.token()
    with open_client(small.port, customer.token(), "w", 5) as w:
        w.subscribe("will")
        begin = time.monotonic()
        for i in range(60):
            reset(open_client(small.port, token, "flap%d" % i, version, will=("will", "x", 0, False)))
        wills = 0
        end = time.monotonic() + 2 * SLOW
        while time.monotonic() < end:
            try:
                wills += w.read(0.3 / SLOW).kind == PUBLISH
            except TimeoutError:
                break
            except Closed:
                raise AssertionError("the watcher was closed")
        assert 20 <= wills <= 21 + 2 * (time.monotonic() - begin)    # a burst of ten seconds' worth, then two a second
    assert "why=rate" in small.log("core")
    alive(small, customer)
