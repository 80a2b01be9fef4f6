"""Attacks R12 to R14, R16 and R20 of the attack table: what stays in the broker. Stacks: conftest.py."""
import pytest
from rawmqtt import DISCONNECT, PUBACK, PUBLISH, open_client, packet, props, publish, subscribe, unsubscribe
from resources import MIB, memory, refused
from stack import SLOW, Stopwatch, wait_for

V = pytest.mark.parametrize("version", [4, 5])


def leave(port, token, client_id, version, filters=()):
    """A session that stays when its client goes."""
    c = open_client(port, token, client_id, version, clean=False, properties=((0x11, 0xFFFFFFFF),) if version == 5 else ())
    if filters:
        c.subscribe(*filters)
    c.send(packet(DISCONNECT)).closed()


def came_back(port, token, client_id, version):
    """Was the session still there?"""
    with open_client(port, token, client_id, version, clean=False, properties=((0x11, 0xFFFFFFFF),) if version == 5 else ()) as c:
        return bool(c.present)


@V
def test_R12_sessions_that_are_owed_something_are_counted_connected_or_not(small, version):
    customer, other = small.new_customer(), small.new_customer()
    token = customer.token()
    for i in range(19):
        leave(small.port, token, "s%d" % i, version, [("t", 1)])
    with open_client(small.port, token, "p", version) as p:    # the twentieth
        p.publish("t", "x", qos=1).expect(PUBACK)
    wait_for(lambda: refused(small.port, token, "s19", version, clean=False) == 0, 3)    # p's has ended
    leave(small.port, token, "s19", version, [("t", 1)])
    with open_client(small.port, token, "s19", version, clean=False) as p:    # the last one is there, and is owed nothing
        assert p.present
        assert refused(small.port, token, "one-more", version) == (0x97 if version == 5 else 3)
        assert came_back(small.port, token, "s7", version)    # one of them is no newcomer
        open_client(small.port, other.token(), "one-more", version).close()
        with open_client(small.port, token, "s7", version, clean=True) as c:
            c.send(packet(DISCONNECT)).closed()
        wait_for(lambda: refused(small.port, token, "one-more", version) == 0, 3)


@V
def test_R12_over_the_count_the_session_that_was_left_first_and_is_owed_nothing_ends(small, version):
    customer = small.new_customer()
    token = customer.token()
    with open_client(small.port, token, "p", version) as p, open_client(small.port, customer.master, "w") as w:
        w.subscribe("flespi/log/mqtt/sessions/+/disconnected")
        for i in range(18):
            leave(small.port, token, "s%d" % i, version, [("t%d" % i, 1)])
            w.expect(PUBLISH)    # the core knows: the next, perhaps of another worker, leaves after this one
        p.publish("t0", "x", qos=1).expect(PUBACK)    # the oldest is owed a message: it stays
        with open_client(small.port, token, "new1", version), open_client(small.port, token, "new2", version):
            assert "session-evicted cid=%d client=s1\n" % customer.cid in small.log("core").replace("ev=", "")
            assert came_back(small.port, token, "s0", version)
            assert came_back(small.port, token, "s3", version)
            assert not came_back(small.port, token, "s1", version)


@V
def test_R12_a_token_has_so_many_sessions_of_its_customers(small, version):
    customer = small.new_customer()
    few, free = customer.token(limits={"mqtt_stored_sessions": 2}), customer.token()
    for i in range(2):
        leave(small.port, few, "few%d" % i, version)
    leave(small.port, free, "free", version)
    with open_client(small.port, few, "new1", version), open_client(small.port, few, "new2", version):
        assert refused(small.port, few, "new3", version) == (0x97 if version == 5 else 3)    # those who are here stay
        assert refused(small.port, free, "new3", version) == 0
        assert came_back(small.port, free, "free", version)    # of the other token none had to go


@V
def test_R13_retained_messages_of_a_customer_are_counted(small, version):
    customer, other = small.new_customer(), small.new_customer()
    with open_client(small.port, customer.token(), "p", version) as p, open_client(small.port, customer.token(), "w", 5) as w:
        w.subscribe("over")

        def keep(topic, payload):
            return p.publish(topic, payload, qos=1, retain=True).expect(PUBACK).code

        assert {keep("r/%d" % i, "x") for i in range(50)} <= {0x00, 0x10}
        assert keep("over", "x") == (0x97 if version == 5 else 0)
        assert w.expect(PUBLISH).payload == b"x"    # it was passed on all the same
        assert keep("r/7", "new") in (0, 0x10)
        assert keep("r/8", "") in (0, 0x10)
        assert keep("over", "kept") in (0, 0x10)
    for c, count in ((customer, 50), (other, 0)):
        with open_client(small.port, c.token(), "r", 5) as r:
            r.subscribe("#")
            assert len(r.sync()) == count


def test_R14_subscribing_again_and_again_to_much_that_is_retained_slows_down_nobody_else(flat):
    customer = flat.new_customer()
    token = customer.token()
    with open_client(flat.port, token, "p", 5) as p:
        for i in range(3000):
            p.publish("r/%d" % i, "x" * 100, retain=True)
        p.sync()
    attacker = open_client(flat.port, token, "attacker", 5)
    before = memory(flat, "core"), memory(flat, "proxy")
    attacker.sock.settimeout(5)
    with open_client(flat.port, flat.new_customer().token(), "victim", 5) as victim:
        for _ in range(20):
            attacker.send((subscribe("#", version=5) + unsubscribe("#", version=5)) * 50 + subscribe("#", version=5))
            watch = Stopwatch(flat)
            victim.sync()
            assert watch.seconds() < 0.5 * SLOW
        assert memory(flat, "core") - before[0] < 8 * MIB and memory(flat, "proxy") - before[1] < 8 * MIB
    attacker.close()


def test_R16_a_message_for_many_is_there_once(flat):
    token = flat.new_customer().token()
    for i in range(100):
        c = open_client(flat.port, token, "s%d" % i, 5, clean=False, properties=((0x11, 60),))
        c.subscribe(("big", 1))
        c.send(packet(DISCONNECT)).closed()
    with open_client(flat.port, token, "p", 5) as p:
        p.publish("big", b"x" * 100000, qos=1).expect(PUBACK)
        before = memory(flat, "core")
        for i in range(20):
            p.publish("big", b"x" * 100000, qos=1, pid=i + 1).expect(PUBACK)
    assert memory(flat, "core") - before < 12 * MIB    # copies would be 200 MB


def test_R20_extreme_times_are_lowered_and_told(small):
    token = small.new_customer().token()
    extremes = ((0x18, 0xFFFFFFFF), (0x02, 0xFFFFFFFF))
    c = open_client(small.port, token, "c", 5, clean=False, will=("w", "x", 0, False, extremes), properties=((0x11, 0xFFFFFFFF),))
    assert c.connack.properties[0x11] == 7 * 86400
    c.subscribe("t")
    for expiry in (0xFFFFFFFF, 0xFFFFFFFE, 1):
        c.publish("t", "x", properties=((0x02, expiry),))
        assert c.expect(PUBLISH).payload == b"x"
    c.send(packet(DISCONNECT, b"\0" + props((0x11, 0xFFFFFFFF)))).closed()
    with open_client(small.port, token, "c", 5, clean=False) as c:
        assert c.present
