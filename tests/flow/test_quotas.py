"""The quotas of docs/limits.md, each as a token's limit and as its customer's, v3.1.1 and v5: announced, enforced, answered. Who is not limited is not."""
import time

import pytest
from rawmqtt import (DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK, Closed, Raw, ack, open_client, packet, publish, subscribe, unsubscribe)
from stack import SLOW, Stopwatch, wait_for

V = pytest.mark.parametrize("version", [4, 5])
LEVEL = pytest.mark.parametrize("level", ["token", "customer"])


@pytest.fixture
def limited(stack, customer, level):
    """limited(mqtt_x=1) is a token of `customer` that has this limit: set on itself, or on the customer."""
    def make(**limits):
        if level == "token":
            return customer.token(limits=limits)
        set_customer(stack, customer, **limits)
        return customer.token()
    return make


def set_customer(stack, customer, **limits):
    status, answer = stack.rest("PUT", "/platform/subaccounts/%d" % customer.cid, {"limits": limits})
    assert status == 200, answer


def ends(c, code, timeout=8.0):
    """The connection ends; v5 is told the code, v3 nothing. Returns what came before."""
    packets = c.closed(timeout)
    told = [p.code for p in packets if p.kind == DISCONNECT]
    assert told == ([code] if c.version == 5 else []), packets
    return packets


def refused(port, token, version, client_id="", **more):
    """The code of the CONNACK; None when the connection is closed without one."""
    with Raw(port, version) as c:
        try:
            return c.connect(client_id, token, **more).code
        except Closed:
            return None


# ---- A packet ----

@V
@LEVEL
def test_a_packet_has_so_many_bytes(stack, other, limited, version):
    token = limited(mqtt_packet_size=300)
    with open_client(stack.port, token, "", version) as c:
        if version == 5:
            assert c.connack.properties[0x27] == 300
        c.send(publish("t", b"x" * (300 - 6 - (version == 5)), version=version)).sync()
        c.send(publish("t", b"x" * (301 - 6 - (version == 5)), version=version))
        ends(c, 0x95)
    with open_client(stack.port, other.token(), "", version) as c:
        c.send(publish("t", b"x" * 5000, version=version)).sync()


@V
@LEVEL
@pytest.mark.parametrize("limit,good,bad", [("mqtt_topic_size", "a/bcdefg", "a/bcdefgh"), ("mqtt_topic_levels", "////////"[:7], "////////")])
def test_a_topic_has_so_many_bytes_and_levels(stack, limited, version, limit, good, bad):
    token = limited(**{limit: 8})
    with open_client(stack.port, token, "", version, will=(good, "x", 0, False)) as c:
        assert c.subscribe(good, bad) == [0, 0x8F if version == 5 else 0x80]
        assert c.publish(good, "x").expect(PUBLISH).topic == good
        c.publish(bad, "x")
        ends(c, 0x90)
    assert refused(stack.port, token, version, will=(bad, "x", 0, False)) == (0x90 if version == 5 else None)


@V
@LEVEL
def test_a_client_id_has_so_many_bytes(stack, limited, version):
    token = limited(mqtt_client_id_size=10)
    open_client(stack.port, token, "1234567890", version).close()
    open_client(stack.port, token, "", version).close()    # the one we make is as long as it is
    assert refused(stack.port, token, version, "12345678901") == (0x85 if version == 5 else 2)


@V
def test_a_client_id_has_128_bytes_as_shipped(stack, customer, version):
    token = customer.token()
    open_client(stack.port, token, "x" * 128, version).close()
    assert refused(stack.port, token, version, "x" * 129) == (0x85 if version == 5 else 2)


def test_the_longest_client_id_there_can_be_fits_into_the_log_of_its_customer(stack, customer):
    set_customer(stack, customer, mqtt_client_id_size=16384)
    longest = "\u00e9" * 8192    # as a level of a topic it is three times as long
    with open_client(stack.port, customer.master, "w", 5) as w:
        w.subscribe("flespi/log/mqtt/sessions/+/connected")
        open_client(stack.port, customer.token(), longest, 5).close()
        assert longest in w.expect(PUBLISH).payload.decode()
    assert refused(stack.port, customer.token(), 5, longest + "x") == 0x85


@LEVEL
def test_a_packet_has_so_many_user_properties(stack, limited):
    token = limited(mqtt_user_properties=2, mqtt_user_properties_size=40)

    def many(n, size=1):
        return tuple((0x26, "k", "v" * size) for _ in range(n))

    with open_client(stack.port, token, "", 5) as c:
        c.publish("t", "x", properties=many(2)).sync()
        c.publish("t", "x", properties=many(3))
        ends(c, 0x97)
    with open_client(stack.port, token, "", 5) as c:
        c.publish("t", "x", properties=many(2, 15))
        ends(c, 0x95)
    assert refused(stack.port, token, 5, properties=many(3)) == 0x97
    assert refused(stack.port, token, 5, properties=many(2, 15)) == 0x95


@V
@LEVEL
def test_a_subscribe_has_so_many_filters(stack, limited, version):
    with open_client(stack.port, limited(mqtt_subscribe_filters=3), "", version) as c:
        assert c.subscribe("a", "b", "c", "d", "e") == [0, 0, 0] + [0x97 if version == 5 else 0x80] * 2


@V
def test_a_hub_subscribes_to_a_thousand_entities_in_one_packet_as_shipped(stack, customer, version):
    """Home Assistant and others do, and look at no code. The next packet waits until the rate allows it."""
    over = 0x97 if version == 5 else 0x80
    with open_client(stack.port, customer.token(), "hub", version) as c:
        c.send(subscribe(*["home/entity%d/state" % i for i in range(1001)], version=version))
        assert c.expect(SUBACK, 10).codes == [0] * 1000 + [over]
        c.publish("home/entity999/state", "on")
        assert c.expect(PUBLISH, 10).payload == b"on"
        assert c.subscribe("one/more") == [over]


@V
def test_a_topic_has_4096_bytes_as_shipped(stack, customer, version):
    with open_client(stack.port, customer.token(), "", version) as c:
        assert c.subscribe("t" * 4096, "t" * 4097) == [0, 0x8F if version == 5 else 0x80]
        c.publish("t" * 4096, "x")
        assert c.expect(PUBLISH).topic == "t" * 4096
        c.publish("t" * 4097, "x")
        ends(c, 0x90)


# ---- A connection ----

@V
@LEVEL
def test_so_many_messages_are_under_way_to_us(stack, limited, version):
    """Receive Maximum; v3, which cannot be told, may have ten times as many of QoS 2."""
    most = 3 if version == 5 else 30
    with open_client(stack.port, limited(mqtt_receive_maximum=3), "", version) as c:
        if version == 5:
            assert c.connack.properties[0x21] == 3
        for i in range(most):
            c.publish("t", "x", qos=2, pid=i + 1).expect(PUBREC)
        c.send(ack(PUBREL, 1, version=version)).expect(PUBCOMP)
        c.publish("t", "x", qos=2, pid=most + 1).expect(PUBREC)
        c.publish("t", "x", qos=2, pid=most + 2)
        ends(c, 0x93)


@LEVEL
def test_topic_aliases_end_at_the_maximum(stack, limited):
    token = limited(mqtt_topic_alias_maximum=2)
    with open_client(stack.port, token, "", 5) as c:
        assert c.connack.properties[0x22] == 2
        c.publish("t", "x", properties=((0x23, 2),)).publish("", "x", properties=((0x23, 2),)).sync()
        c.publish("t", "x", properties=((0x23, 3),))
        ends(c, 0x94)


@LEVEL
def test_an_alias_maximum_of_0_allows_none(stack, limited):
    with open_client(stack.port, limited(mqtt_topic_alias_maximum=0), "", 5) as c:
        assert 0x22 not in c.connack.properties
        c.publish("t", "x", properties=((0x23, 1),))
        ends(c, 0x94)


@V
@LEVEL
def test_a_keep_alive_is_lowered(stack, limited, version):
    """For v5, which is told; a v3 client keeps to what it sent."""
    with open_client(stack.port, limited(mqtt_keep_alive=1), "", version, keepalive=60) as c:
        begin, watch = time.monotonic(), Stopwatch(stack)
        if version == 5:
            assert c.connack.properties[0x13] == 1
            ends(c, 0x8D)
            assert 1.2 < time.monotonic() - begin and watch.seconds() < 4 * SLOW
        else:
            time.sleep(2)
            c.sync()


@V
@LEVEL
def test_bytes_per_second_are_read_slower_and_none_is_lost(stack, customer, limited, version):
    token = limited(mqtt_traffic=20000)
    with open_client(stack.port, token, "", version) as fast, open_client(stack.port, token, "") as w:
        w.subscribe("t")
        begin = time.monotonic()
        fast.send(b"".join(publish("t", b"%02d" % i + b"x" * 4990, version=version) for i in range(28)))    # 140 kB; 100 at once, then 20 a second
        got = [w.expect(PUBLISH, 20).payload[:2] for _ in range(28)]
        assert got == [b"%02d" % i for i in range(28)]
        assert 1.2 < time.monotonic() - begin
        fast.sync()


@V
@LEVEL
@pytest.mark.parametrize("limit", ["mqtt_messages", "mqtt_traffic"])
def test_who_may_publish_nothing_is_told_so(stack, customer, limited, version, limit):
    token = limited(**{limit: 0})
    with open_client(stack.port, token, "", version) as c:
        c.subscribe("t")
        c.publish("t", "x")
        assert c.publish("t", "x", qos=1, pid=3).expect(PUBACK).code == (0x97 if version == 5 else 0)
        assert c.publish("t", "x", qos=2, pid=4).expect(PUBREC).code == (0x97 if version == 5 else 0)
        assert c.sync() == []
    assert refused(stack.port, token, version, will=("t", "x", 0, False)) == (0x97 if version == 5 else 3)


# ---- A session ----

@V
@LEVEL
def test_a_session_has_so_many_subscriptions(stack, limited, version):
    over = 0x97 if version == 5 else 0x80
    with open_client(stack.port, limited(mqtt_subscriptions=2), "", version) as c:
        assert c.subscribe("a", "b", "c") == [0, 0, over]
        assert c.subscribe("a") == [0]


@V
@LEVEL
def test_no_subscriptions_at_all(stack, limited, version):
    with open_client(stack.port, limited(mqtt_subscriptions=0), "", version) as c:
        assert c.subscribe("a") == [0x97 if version == 5 else 0x80]
        c.publish("a", "x", qos=1).expect(PUBACK)


def durable(version):
    return {"version": version, "clean": False, "properties": ((0x11, 600),) if version == 5 else ()}


def what_waits(stack, token, version, sizes):
    """Messages of these sizes that still wait for an absent client of that token."""
    c = open_client(stack.port, token, "away", **durable(version))
    c.subscribe(("t", 1))
    c.send(packet(DISCONNECT)).closed()
    with open_client(stack.port, token, "p") as p:
        for i, size in enumerate(sizes):
            p.publish("t", b"%03d" % i + b"x" * (size - 3), qos=1, pid=i + 1).expect(PUBACK)
    got = []
    with open_client(stack.port, token, "away", **durable(version)) as c:
        assert c.present
        while True:
            packets = [m for m in c.sync() if m.kind == PUBLISH]
            if not packets:
                return got
            got += [int(m.payload[:3]) for m in packets]
            c.send(b"".join(ack(PUBACK, m.pid, version=version) for m in packets))


@V
@LEVEL
def test_so_many_messages_wait_for_a_session(stack, limited, version):
    assert what_waits(stack, limited(mqtt_session_messages=7), version, [10] * 20) == list(range(7))


@V
@LEVEL
def test_so_many_bytes_wait_for_a_session(stack, limited, version):
    got = what_waits(stack, limited(mqtt_session_storage=20000), version, [4000] * 10)
    assert got == list(range(4))


@V
@LEVEL
@pytest.mark.parametrize("limit", ["mqtt_session_messages", "mqtt_session_storage"])
def test_nothing_waits_where_nothing_may(stack, limited, version, limit):
    token = limited(**{limit: 0})
    assert what_waits(stack, token, version, [10] * 3) == []
    with open_client(stack.port, token, "here", version) as c:    # who is here is served all the same
        c.subscribe(("t", 1))
        for i in range(3):
            c.publish("t", "%d" % i, qos=1, pid=i + 1)
            got = {c.read().kind, c.read().kind}
            assert got == {PUBACK, PUBLISH}
            c.send(ack(PUBACK, i + 1, version=version))


@LEVEL
def test_a_session_expiry_is_lowered_and_told(stack, limited):
    token = limited(mqtt_session_expiry=1)
    for asked, told in ((600, 1), (1, None), (0, None)):
        with open_client(stack.port, token, "s", 5, clean=True, properties=((0x11, asked),)) as c:
            assert c.connack.properties.get(0x11) == told


@V
@LEVEL
def test_a_session_lives_as_long_as_it_may(stack, limited, version):
    token = limited(mqtt_session_expiry=1)
    open_client(stack.port, token, "s", **durable(version)).send(packet(DISCONNECT)).closed()
    time.sleep(1.5 * SLOW)
    with open_client(stack.port, token, "s", **durable(version)) as c:
        assert not c.present


# ---- All clients of a token, all of a customer ----

@V
def test_connections_of_a_customer_are_counted_over_its_tokens(stack, customer, other, version):
    set_customer(stack, customer, mqtt_sessions=3)
    tokens = [customer.token() for _ in range(4)]
    kept = [open_client(stack.port, t, "", version) for t in tokens[:3]]
    assert refused(stack.port, tokens[3], version) == (0x97 if version == 5 else 3)
    open_client(stack.port, other.token(), "", version).close()
    kept.pop().send(packet(DISCONNECT)).closed()
    wait_for(lambda: refused(stack.port, tokens[3], version) == 0, 3)
    for c in kept:
        c.close()


@V
@LEVEL
def test_no_connections_at_all(stack, limited, version):
    assert refused(stack.port, limited(mqtt_sessions=0), version) == (0x97 if version == 5 else 3)


@V
@LEVEL
def test_clients_of_a_token_or_a_customer_connect_so_often(stack, customer, other, limited, version):
    token = limited(mqtt_connects=1)
    codes = [refused(stack.port, token, version) for _ in range(25)]
    over = 0x9F if version == 5 else 3
    assert set(codes) == {0, over} and 10 <= codes.count(0) <= 20 and codes.index(over) == 10
    assert refused(stack.port, other.token(), version) == 0
    assert refused(stack.port, customer.token(), version) == (0 if token.object["limits"] else over)


@V
@LEVEL
def test_a_refused_will_counts_against_the_rate_of_connects(stack, customer, limited, version):
    """Nothing else would slow down a client that tries again and again."""
    token = limited(mqtt_connects=1)
    codes = [refused(stack.port, token, version, will=("flespi/no", "x", 0, False)) for _ in range(15)]
    assert codes == [0x87 if version == 5 else 5] * 10 + [0x9F if version == 5 else 3] * 5


@V
@LEVEL
def test_one_client_id_connects_so_often(stack, limited, version):
    token = limited(mqtt_client_connects=1)
    codes = [refused(stack.port, token, version, "same") for _ in range(15)]
    assert codes.index(0x9F if version == 5 else 3) == 10
    assert refused(stack.port, token, version, "another") == 0
    wait_for(lambda: refused(stack.port, token, version, "same") == 0, 3, 0.3)


@V
@LEVEL
def test_retained_messages_are_counted(stack, customer, limited, version):
    token, free = limited(mqtt_retained_messages=3), customer.token()
    over = 0x97 if version == 5 else 0
    with open_client(stack.port, token, "", version) as p:
        def keep(name, payload="x"):
            return p.publish(name, payload, qos=1, retain=True).expect(PUBACK).code
        assert {keep("r/%d" % i) for i in range(3)} <= {0, 0x10}
        assert keep("r/3") == over
        assert keep("r/1", "y") in (0, 0x10) and keep("r/0", "") in (0, 0x10) and keep("r/3") in (0, 0x10)
        assert keep("r/4") == over
    with open_client(stack.port, free, "", version) as p:
        one_more = p.publish("r/5", "x", qos=1, retain=True).expect(PUBACK).code
        assert one_more in ((0, 0x10) if token.object["limits"] else (over,))


@V
@LEVEL
def test_bytes_of_retained_messages_are_counted(stack, limited, version):
    with open_client(stack.port, limited(mqtt_retained_storage=10000), "", version) as p:
        codes = [p.publish("r/%d" % i, b"x" * 3000, qos=1, retain=True).expect(PUBACK).code for i in range(5)]
        if version == 5:
            assert codes == [0x10] * 3 + [0x97] * 2


@V
def test_bytes_that_wait_for_all_sessions_of_a_customer_are_counted(stack, customer, version):
    set_customer(stack, customer, mqtt_sessions_storage=20000)
    token = customer.token()
    for name in "ab":
        with open_client(stack.port, token, name, **durable(version)) as c:
            c.subscribe((name, 1))
            c.send(packet(DISCONNECT)).closed()
    with open_client(stack.port, token, "p", version) as p:
        for i in range(4):
            for name in "ab":
                p.publish(name, b"x" * 4000, qos=1, pid=i + 1).expect(PUBACK)
    got = []
    for name in "ab":
        with open_client(stack.port, token, name, **durable(version)) as c:
            got += [m.topic for m in c.sync() if m.kind == PUBLISH]
    assert got == ["a", "a", "b", "b"]


# ---- Who may set what ----

def test_an_operator_gives_a_customer_more_than_the_setting_and_nobody_else_can(stack, customer):
    def most(token):
        with open_client(stack.port, token, "", 5) as c:
            return c.connack.properties[0x27]

    usual = most(customer.token())
    assert usual == 256 << 10
    assert most(customer.token(limits={"mqtt_packet_size": 1 << 20})) == usual    # a token cannot
    status, answer = customer.rest("POST", "/platform/subaccounts", [{"name": "below", "limits": {"mqtt_packet_size": 1 << 20}}])
    assert status == 200, answer
    below = answer["result"][0]["id"]

    def token_below(**fields):
        status, answer = customer.rest("POST", "/platform/tokens", [dict({"ttl": 60, "access": {"type": 0}}, **fields)], headers={"x-flespi-cid": str(below)})
        assert status == 200, answer
        return answer["result"][0]["key"]

    assert most(token_below()) == usual                                           # nor can a customer, for one below it
    set_customer(stack, customer, mqtt_packet_size=512 << 10)
    wait_for(lambda: most(customer.token()) == 512 << 10, 5)
    assert most(token_below()) == 512 << 10                                       # 1 MiB was set, above it is half of that
    assert most(customer.token(limits={"mqtt_packet_size": 1000})) == 1000
    assert most(customer.token(limits={"mqtt_packet_size": -1})) == 512 << 10
    set_customer(stack, customer, mqtt_packet_size=-1)
    assert most(customer.token()) == 255 << 20                                    # as much as there can be


@pytest.mark.one_door("REST")
def test_a_limit_out_of_its_range_is_refused(stack, customer):
    for limits in ({"mqtt_packet_size": 5}, {"mqtt_sessions": -2}, {"mqtt_keep_alive": 0}, {"mqtt_nope": 1}, {"mqtt_sessions": "3"}, {"mqtt_egress": 5}):
        status, answer = customer.rest("POST", "/platform/tokens", [{"limits": limits}])
        assert status == 400 and answer["errors"][0]["code"] == 2, (limits, answer)


# ---- A change reaches who is connected ----

@V
@LEVEL
def test_a_changed_limit_reaches_live_clients(stack, customer, level, version):
    token = customer.token()

    def change(**limits):
        if level == "token":
            customer.change_token(token, limits=limits)
        else:
            set_customer(stack, customer, **limits)

    over = 0x97 if version == 5 else 0x80
    with open_client(stack.port, token, "", version) as c:
        assert c.subscribe("a", "b") == [0, 0]
        change(mqtt_subscriptions=2, mqtt_retained_messages=0, mqtt_topic_size=20)
        wait_for(lambda: another(c) == over, 5)
        assert c.subscribe("b") == [0]
        assert c.subscribe("x" * 21) == [0x8F if version == 5 else 0x80]
        assert c.publish("r", "x", qos=1, retain=True).expect(PUBACK).code == (0x97 if version == 5 else 0)
        change(mqtt_messages=0)
        wait_for(lambda: "x" not in heard(c, "a"), 5)
        change()
        wait_for(lambda: "x" in heard(c, "a"), 5)
        assert another(c) == 0
        if version == 5:
            assert c.publish("r", "x", qos=1, retain=True).expect(PUBACK).code in (0, 0x10)


def another(c):
    """The answer to one subscription more, which is given up again."""
    code = c.subscribe("another")[0]
    c.send(unsubscribe("another", version=c.version)).expect(UNSUBACK)
    return code


def heard(c, topic):
    c.publish(topic, "x")
    return [p.payload.decode() for p in c.sync() if p.kind == PUBLISH]


# ---- REST ----

@LEVEL
def test_a_token_or_a_customer_calls_so_often_a_minute(stack, customer, level):
    limits = {"api_calls": 5}
    token = customer.token(access={"type": 1}, limits=limits if level == "token" else {})
    if level == "customer":
        set_customer(stack, customer, **limits)
        time.sleep(0.1)    # its own calls so far, at thousands a minute, are forgotten

    def call(key):
        return stack.rest("GET", "/platform/customer?fields=id", token=key)
    answers = [call(token) for _ in range(8)]
    assert [status for status, _ in answers[:5]] == [200] * 5
    assert answers[-1] == (429, {"errors": [{"code": 14, "reason": "more than 5 calls in a minute"}]})
    assert call(stack.master)[0] == 200
    # its clients come in: what proxies ask is not a call of theirs
    with open_client(stack.port, token):
        pass
