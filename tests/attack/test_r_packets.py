"""Attacks R08 to R11, R15, R21 and R24 of the attack table: what one packet, or one exchange, may cost. Stacks: conftest.py."""
import time

import pytest
from rawmqtt import DISCONNECT, PUBACK, PUBLISH, PUBREC, SUBACK, UNSUBACK, open_client, packet, props, publish, subscribe, unsubscribe
from resources import MIB, cpu, ends, memory, refused
from stack import SLOW, Stopwatch

V = pytest.mark.parametrize("version", [4, 5])


# ---- In a packet ----

def many(n, key="k", value=""):
    return tuple((0x26, key, value) for _ in range(n))


@pytest.mark.parametrize("properties,code", [(many(33), 0x97), (many(10000), 0x97), (many(32, "k" * 200, "v" * 200), 0x95), (many(1, "k" * 65535), 0x95)],
                         ids=["33", "10000", "32-large", "64k-key"])
def test_R08_user_properties_are_bounded_in_every_packet(small, properties, code):
    token = small.new_customer().token()
    for data in (publish("a", "x", version=5, properties=properties), subscribe("a", version=5, properties=properties),
                 unsubscribe("a", version=5, properties=properties), packet(DISCONNECT, b"\0" + props(*properties))):
        c = open_client(small.port, token, version=5)
        watch = Stopwatch(small)
        c.send(data)
        ends(c, code)
        assert watch.seconds() < 0.5 * SLOW
    assert refused(small.port, token, "", 5, properties=properties) == code
    assert refused(small.port, token, "", 5, will=("w", "x", 0, False, properties)) == code


def test_R08_what_is_inside_the_bounds_comes_through_whole(small):
    with open_client(small.port, small.new_customer().token(), version=5) as c:
        c.subscribe("a")
        c.publish("a", "x", properties=many(32, "k" * 50, "v" * 190))
        assert c.expect(PUBLISH).user[:32] == [("k" * 50, "v" * 190)] * 32


@V
def test_R09_only_so_many_filters_of_a_subscribe_are_judged(flat, version):
    with open_client(flat.port, flat.new_customer().token(), version=version) as c:
        watch = Stopwatch(flat)
        codes = c.send(subscribe(*["f/%d" % i for i in range(20000)], version=version)).expect(SUBACK, 20).codes
        assert watch.seconds() < 2 * SLOW
        assert codes == [0] * 200 + [0x97 if version == 5 else 0x80] * 19800
        c.publish("f/199", "x").publish("f/200", "x")
        assert [p.topic for p in c.sync()] == ["f/199"]


@V
def test_R09_a_session_has_so_many_subscriptions(small, version):
    with open_client(small.port, small.new_customer().token(), version=version) as c:
        codes = sum((c.subscribe(*["f/%d" % i for i in range(at, at + 5)]) for at in range(0, 30, 5)), [])
        assert codes == [0] * 20 + [0x97 if version == 5 else 0x80] * 10
        c.send(unsubscribe("f/0", version=version)).expect(UNSUBACK)
        assert c.subscribe("f/29") == [0]
        assert c.subscribe("f/1") == [0]    # again is not one more


@V
def test_R09_an_unsubscribe_of_more_than_there_can_be_is_refused(small, version):
    c = open_client(small.port, small.new_customer().token(), version=version)
    c.send(unsubscribe(*["f/%d" % i for i in range(5000)], version=version))
    ends(c, 0x97)


@V
def test_R10_filters_that_come_and_go_leave_nothing_behind(flat, version):
    def cycle(c, first, rounds):
        for r in range(rounds):
            filters = ["a%d/+/b%d/#" % (first + r, i) for i in range(100)]
            c.send(subscribe(*filters, pid=1, version=version) + unsubscribe(*filters, pid=2, version=version))
            c.expect(SUBACK)
            c.expect(UNSUBACK)

    with open_client(flat.port, flat.new_customer().token(), version=version) as c:
        cycle(c, 0, 50)
        before = memory(flat, "core"), memory(flat, "proxy")
        cycle(c, 1000, 200)
        assert memory(flat, "core") - before[0] < MIB
        assert memory(flat, "proxy") - before[1] < MIB


# ---- Exchanges that never end ----

@V
def test_R11_a_sender_that_never_releases_is_stopped(small, version):
    most = 10 if version == 5 else 20    # v3 never heard of our receive maximum; there the session's own bound comes first
    c = open_client(small.port, small.new_customer().token(), "c", version)
    for i in range(1, most + 1):
        c.publish("t", "x", qos=2, pid=i)
    answers = [c.expect(PUBREC) for _ in range(most)]
    assert all(p.code < 0x80 for p in answers)
    if version == 5:
        ends(c.publish("t", "x", qos=2, pid=most + 1), 0x93)
        return
    c.send(b"".join(publish("t", "x", qos=2, pid=i) for i in range(most + 1, 150)))
    assert len([p for p in ends(c, None) if p.kind == PUBREC]) <= 100


def send_of_session(port, token, first, count):
    """The codes of so many messages with QoS 2, never completed, over a connection of its own."""
    with open_client(port, token, "c", 5, clean=False, properties=((0x11, 60),)) as c:
        for i in range(first, first + count):
            c.publish("t", "x", qos=2, pid=i)
        codes = [c.expect(PUBREC).code for _ in range(count)]
        c.send(packet(DISCONNECT)).closed()
        return codes


# MQTT 5, which is told: the core counts the same for MQTT 3.

def test_R11_ids_of_a_session_add_up_over_its_connections(small):
    token = small.new_customer().token()
    codes = [send_of_session(small.port, token, first, count) for first, count in ((1, 10), (11, 9), (21, 3))]
    assert codes == [[0x10] * 10, [0x10] * 9, [0x10, 0x97, 0x97]]


def test_R11_ids_of_a_session_time_out(brief):
    token = brief.new_customer().token()
    assert [send_of_session(brief.port, token, first, 10) for first in (1, 11)] == [[0x10] * 10] * 2    # there is room for twenty
    time.sleep(2.1)
    assert send_of_session(brief.port, token, 31, 9) == [0x10] * 9


@V
def test_R11_a_receiver_that_never_answers_gets_its_window_and_no_more(small, version):
    customer = small.new_customer()
    token = customer.token()
    with open_client(small.port, token, "deaf", version, **({"properties": ((0x21, 5),)} if version == 5 else {})) as deaf, \
            open_client(small.port, token, "p", 5) as p:
        deaf.subscribe(("t", 2))
        for i in range(60):
            p.publish("t", "%d" % i, qos=1, pid=i + 1).expect(PUBACK)
        got = deaf.sync()
        assert [m.payload for m in got] == [b"%d" % i for i in range(5 if version == 5 else 10)]


# ---- What a packet sets off ----

@V
def test_R15_one_message_has_so_many_copies_for_a_client(small, version):
    filters = ["/".join("+" if 1 << i & n else "t" for i in range(5)) for n in range(20)]
    with open_client(small.port, small.new_customer().token(), version=version) as c:
        for f in filters:
            c.subscribe(f)
        c.publish("t/t/t/t/t", "x")
        assert len(c.sync()) == 10
        c.publish("t/t/t/t/t", "y", qos=1, pid=7)
        assert len([p for p in c.sync() if p.kind == PUBLISH]) == 10


def test_R21_names_chosen_to_collide_cost_what_others_cost(flat):
    def collide(n):    # equal under the hash of Java, and of many that multiply by 31
        return "".join("Aa" if n >> bit & 1 else "BB" for bit in range(12))

    def spent(names):
        with open_client(flat.port, flat.new_customer().token(), version=5) as c:
            begin = time.monotonic()
            for at in range(0, len(names), 100):
                assert c.subscribe(*names[at:at + 100]) == [0] * 100
            for n in names:
                c.publish(n, "x")
            assert len(c.sync(20)) == len(names)
            return time.monotonic() - begin

    plain = min(spent(["x%023d" % i for i in range(3000)]) for _ in range(2))
    chosen = min(spent([collide(i) for i in range(3000)]) for _ in range(2))
    assert chosen < 3 * plain + 0.5


@V
def test_R24_no_packet_costs_a_hundred_times_another_of_its_size(shipped, version):
    size = 8000
    deep = "/".join("x" * 8 for _ in range(32))
    packets = {
        "publish": publish("a", b"x" * size, version=version),
        "subscribe": subscribe(*["/".join("+" * 16) + "/%d" % i for i in range(190)], version=version),
        "again": subscribe(*["a/%031d" % i for i in range(190)], version=version),
        "unsubscribe": unsubscribe(*["a/%032d" % i for i in range(200)], version=version),
        "deep": publish(deep, b"x" * (size - len(deep)), version=version),
    }
    if version == 5:
        packets["properties"] = publish("a", b"x" * (size - 32 * 240), version=5, properties=many(32, "k" * 110, "v" * 120))
    cost = {}
    customer = shipped.new_customer()
    for name, data in packets.items():
        count = 800 if "publish" == name or name in ("properties", "deep") else 100
        with open_client(shipped.port, customer.token(), name, version) as c:
            if name == "unsubscribe":
                for at in range(0, 200, 20):
                    c.subscribe(*["a/%031dz" % i for i in range(at, at + 20)])
            c.send(data)
            c.sync()
            before = cpu(shipped)
            for _ in range(count // 20):
                c.send(data * 20)
                c.sync(20)
            cost[name] = (cpu(shipped) - before) / count
    assert SLOW > 1 or max(cost.values()) < 100 * min(cost.values()), cost
