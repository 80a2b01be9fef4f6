"""Chapter 3.3: PUBLISH, retained messages, overlapping subscriptions, rights."""
import pytest
from proofs import SUBSCRIPTION_ID, V, ended, messages, payloads, proves, settled
from rawmqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, ack, open_client, packet, subscribe, text, unsubscribe


@pytest.fixture
def pair(stack, token):
    """pair(version): a subscriber and a publisher."""
    clients = []

    def make(version):
        clients.extend((open_client(stack.port, token, "s", version), open_client(stack.port, token, "p", version)))
        return clients
    yield make
    for c in clients:
        c.close()


@V
@pytest.mark.parametrize("flags", [0x06, 0x0E, 0x07])
@proves("MQTT-3.3.1-4", "v3:MQTT-3.3.1-4")
def test_qos_3_is_malformed(stack, token, version, flags):
    c = open_client(stack.port, token, version=version)
    c.send(packet(PUBLISH, text("a") + b"\0\1" + (b"\0" if version == 5 else b"") + b"x", flags))
    ended(c, 0x81)


@V
@proves("MQTT-3.3.1-2", "v3:MQTT-3.3.1-2")
def test_dup_with_qos_0_is_malformed(stack, token, version):
    c = open_client(stack.port, token, version=version)
    c.publish("a", "x", dup=True)
    ended(c, 0x81)


@V
@proves("MQTT-3.3.1-3", "v3:MQTT-3.3.1-3", "MQTT-4.3.2-2", "MQTT-4.3.3-2", "v3:MQTT-4.3.2-1", "v3:MQTT-4.3.3-1")
def test_dup_of_a_publisher_is_not_passed_on(pair, version):
    s, p = pair(version)
    s.subscribe(("a", 2))
    p.publish("a", "1", qos=1, pid=1, dup=True)
    p.publish("a", "2", qos=2, pid=2, dup=True)
    p.sync()
    assert [(m.payload, m.dup) for m in messages(s.sync())] == [(b"1", False), (b"2", False)]


@V
@pytest.mark.parametrize("topic", ["a/#", "#", "+", "a/+/b", "a+", "a#b"])
@proves("MQTT-3.3.2-2", "v3:MQTT-3.3.2-2", "MQTT-4.7.0-1", "v3:MQTT-4.7.1-1")
def test_wildcards_in_a_topic_name_end_the_connection(stack, token, version, topic):
    c = open_client(stack.port, token, version=version)
    c.subscribe("#")
    c.publish(topic, "x", qos=1)
    assert ended(c, 0x90) == []


@V
@proves("MQTT-3.3.2-1", "v3:MQTT-3.3.2-1", "MQTT-4.7.3-1", "v3:MQTT-4.7.3-1")
def test_a_publish_without_a_topic_name_ends_the_connection(stack, token, version):
    for body, code in ((b"", 0x81), (b"\0", 0x81), (b"\0\5ab", 0x81), (text("") + (b"\0" if version == 5 else b"") + b"x", 0x82)):
        c = open_client(stack.port, token, version=version)
        c.send(packet(PUBLISH, body))
        ended(c, code)


@V
@proves("MQTT-3.3.2-3", "v3:MQTT-3.3.2-3")
def test_the_topic_of_a_delivery_is_the_published_one_and_matches_the_filter(pair, version):
    s, p = pair(version)
    s.subscribe("a/+", "b/#", "c")
    sent = ["a/b", "a", "a/b/c", "a/", "b", "b/c", "b/c/d", "c", "c/d", "d", "A/b", "/a/b"]
    for i, topic in enumerate(sent):
        p.publish(topic, topic, qos=1, pid=i + 1)
    p.sync()
    assert [(m.topic, m.payload.decode()) for m in messages(s.sync())] == [(t, t) for t in ("a/b", "a/", "b", "b/c", "b/c/d", "c")]


@V
@proves("MQTT-3.3.4-1", "v3:MQTT-3.3.4-1", "MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.7.2-1", "MQTT-3.6.2-1")
def test_the_answers_to_a_publish_are_those_of_its_qos_with_their_codes(pair, version):
    s, p = pair(version)
    p.publish("nobody/reads", "0")
    assert p.sync() == []
    p.publish("nobody/reads", "1", qos=1, pid=1)
    assert [(m.kind, m.code in (0, 0x10)) for m in p.sync()] == [(PUBACK, True)]
    p.publish("nobody/reads", "2", qos=2, pid=2)
    assert [(m.kind, m.code in (0, 0x10)) for m in p.sync()] == [(PUBREC, True)]
    p.send(ack(PUBREL, 2, version=version))
    assert [(m.kind, m.code) for m in p.sync()] == [(PUBCOMP, 0)]
    s.subscribe(("a", 2))
    p.publish("a", "2", qos=2, pid=3)
    m = s.expect(PUBLISH)
    s.send(ack(PUBREC, m.pid, version=version))
    assert s.expect(PUBREL).code == 0
    if version == 4:
        p.send(ack(PUBREL, 3))
        packets = p.sync()
        assert [x.body for x in packets] == [b"\0\3", b"\0\3"]       # no codes in v3


@V
@proves("MQTT-3.4.2-1", "MQTT-3.5.2-1", "v3:MQTT-3.3.5-2")
def test_a_publish_that_is_not_allowed_is_answered_and_dropped(stack, customer, version):
    with open_client(stack.port, customer.token(), "s", version) as s, open_client(stack.port, customer.acl(("yes", "publish")), "p", version) as p:
        s.subscribe("#")
        p.publish("no", "0")
        p.publish("no", "1", qos=1, pid=1)
        p.publish("no", "2", qos=2, pid=2)
        answers = sorted((m.pid, m.kind, m.code) for m in p.sync())
        assert answers == [(1, PUBACK, 0x87 if version == 5 else 0), (2, PUBREC, 0x87 if version == 5 else 0)]
        if version == 4:
            p.send(ack(PUBREL, 2))
            assert p.expect(PUBCOMP).pid == 2
        p.publish("yes", "1", qos=1, pid=1)
        p.sync()
        assert payloads(s.sync()) == [b"1"]


# ---- Retained messages ----

def retained(c, *filters, pid=9):
    """What a subscription brings at once, as {topic: (payload, qos)}; each with RETAIN 1."""
    c.subscribe(*filters, pid=pid)
    got = messages(settled(c))
    assert all(m.retain for m in got)
    c.send(unsubscribe(*(f[0] if isinstance(f, tuple) else f for f in filters), pid=pid, version=c.version))
    c.sync()
    return {m.topic: (m.payload, m.qos) for m in got}


@V
@proves("MQTT-3.3.1-5", "v3:MQTT-3.3.1-5", "v3:MQTT-3.3.1-6", "v3:MQTT-3.3.1-8")
def test_a_retained_message_is_kept_with_its_qos_and_replaced_by_the_next(pair, version):
    s, p = pair(version)
    for qos in (2, 0, 1):
        p.publish("r/a", "first", qos=qos, pid=1 + qos, retain=True)
        p.publish("r/a", "%d" % qos, qos=qos, pid=10 + qos, retain=True)
        p.publish("r/b", "b", qos=1, pid=20 + qos, retain=True)
        p.sync()
        assert retained(s, ("r/+", 2)) == {"r/a": (b"%d" % qos, qos), "r/b": (b"b", 1)}


@proves("v3:MQTT-3.3.1-7")
def test_a_retained_message_with_qos_0_replaces_one_with_qos_2(pair):
    s, p = pair(4)
    p.publish("r", "old", qos=2, pid=1, retain=True)
    p.sync()
    p.publish("r", "new", retain=True)
    p.sync()
    assert retained(s, ("r", 2)) == {"r": (b"new", 0)}


@V
@pytest.mark.parametrize("qos", [0, 1, 2])
@proves("MQTT-3.3.1-6", "MQTT-3.3.1-7", "v3:MQTT-3.3.1-10", "v3:MQTT-3.3.1-11")
def test_an_empty_retained_message_is_delivered_and_removes_the_kept_one(pair, version, qos):
    s, p = pair(version)
    p.publish("r", "kept", qos=1, pid=1, retain=True).sync()
    s.subscribe(("r", qos | 0x20 if version == 5 else qos))
    settled(s)
    p.publish("r", "", qos=qos, pid=2, retain=True)
    p.sync()
    got = messages(s.sync())
    assert [(m.payload, m.retain) for m in got] == [(b"", False)]
    assert retained(s, ("r", 2)) == {}
    p.publish("r/never", "", qos=qos, pid=3, retain=True)
    p.sync()
    assert retained(s, "r/#") == {}


@V
@proves("MQTT-3.3.1-8", "v3:MQTT-3.3.1-12")
def test_a_message_without_retain_neither_is_kept_nor_changes_what_is(pair, version):
    s, p = pair(version)
    p.publish("r/1", "kept", qos=1, pid=1, retain=True)
    for qos in (0, 1, 2):
        p.publish("r/1", "passing", qos=qos, pid=10 + qos)
        p.publish("r/1", "", qos=qos, pid=20 + qos)
        p.publish("r/2", "passing", qos=qos, pid=30 + qos)
    p.sync()
    assert retained(s, ("r/#", 2)) == {"r/1": (b"kept", 1)}


@V
@proves("MQTT-3.3.1-12", "v3:MQTT-3.3.1-9")
def test_an_established_subscription_gets_retain_0(pair, version):
    s, p = pair(version)
    s.subscribe("r")
    p.publish("r", "1", qos=1, pid=1, retain=True)
    p.publish("r", "2", qos=1, pid=2)
    p.sync()
    assert [(m.payload, m.retain) for m in messages(s.sync())] == [(b"1", False), (b"2", False)]


@proves("MQTT-3.3.1-13", "MQTT-3.3.1-12")
def test_retain_as_published_keeps_the_flag_as_it_came(pair):
    s, p = pair(5)
    s.subscribe(("r", 0x08))
    p.publish("r", "1", qos=1, pid=1, retain=True)
    p.publish("r", "2", qos=1, pid=2)
    p.sync()
    assert [(m.payload, m.retain) for m in messages(s.sync())] == [(b"1", True), (b"2", False)]


@proves("MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.8.4-4")
def test_retain_handling_says_when_retained_messages_come(pair):
    s, p = pair(5)
    p.publish("r", "kept", qos=1, retain=True).sync()

    def comes(handling, pid):
        s.subscribe(("r", handling << 4), pid=pid)
        return [(m.payload, m.retain) for m in messages(settled(s))] == [(b"kept", True)]
    assert not comes(2, 1)
    s.send(unsubscribe("r", version=5))
    s.sync()
    assert comes(1, 2) and not comes(1, 3) and comes(0, 4) and comes(0, 5) and not comes(2, 6) and not comes(1, 7)


@V
@proves("v3:MQTT-3.1.2-7")
def test_retained_messages_stay_when_the_session_ends(stack, token, version):
    with open_client(stack.port, token, "gone", version) as c:
        c.publish("r", "kept", qos=1, retain=True).sync()
    with open_client(stack.port, token, "gone", version) as c:
        assert retained(c, "r") == {"r": (b"kept", 0)}


# ---- Overlapping subscriptions ----

@V
@proves("MQTT-3.3.4-2", "v3:MQTT-3.3.5-1")
def test_overlapping_subscriptions_get_the_message_with_the_highest_qos_of_them(pair, version):
    s, p = pair(version)
    s.subscribe(("a/#", 0), ("a/+", 2), ("a/b", 1))
    for qos in (0, 1, 2):
        p.publish("a/b", "x", qos=qos, pid=qos + 1)
        p.sync()
        got = [m.qos for m in messages(s.sync())]
        assert max(got) == qos
        assert sorted(got) == sorted(min(qos, granted) for granted in (0, 1, 2))       # one copy for each, with its own


@proves("MQTT-3.3.4-3", "MQTT-3.3.4-4", "MQTT-3.3.4-5")
def test_each_copy_has_the_identifier_of_its_subscription(pair):
    s, p = pair(5)
    s.subscribe("a/#", properties=((SUBSCRIPTION_ID, 1),))
    s.subscribe("a/+", pid=2, properties=((SUBSCRIPTION_ID, 268435455),))
    s.subscribe("a/b", pid=3)
    s.subscribe("c", pid=4, properties=((SUBSCRIPTION_ID, 128),))
    p.publish("a/b", "x", qos=1, pid=1)
    p.publish("c", "x", qos=1, pid=2)
    p.publish("a/b/c", "x", qos=1, pid=3)
    p.sync()
    got = [(m.topic, m.properties.get(SUBSCRIPTION_ID)) for m in messages(s.sync())]
    assert sorted(g[1] or [] for g in got if g[0] == "a/b") == [[], [1], [268435455]]
    assert got[3:] == [("c", [128]), ("a/b/c", [1])]


@proves("MQTT-3.3.4-3", "MQTT-3.3.4-5")
def test_retained_messages_have_the_identifier_too_and_a_new_one_replaces_it(pair):
    s, p = pair(5)
    p.publish("r", "x", qos=1, retain=True).sync()
    for properties, expected in ((((SUBSCRIPTION_ID, 5),), [5]), (((SUBSCRIPTION_ID, 6),), [6]), ((), None)):
        s.subscribe("r", properties=properties)
        assert [m.properties.get(SUBSCRIPTION_ID) for m in messages(settled(s))] == [expected]
        p.publish("r", "y", qos=1, retain=True).sync()
        assert [m.properties.get(SUBSCRIPTION_ID) for m in messages(s.sync())] == [expected]


@proves("MQTT-3.3.4-6", "MQTT-4.13.1-1")
def test_a_subscription_identifier_in_a_publish_of_a_client_is_a_protocol_error(stack, token):
    for value in (1, 268435455):
        c = open_client(stack.port, token, version=5)
        c.subscribe("a")
        c.publish("a", "x", properties=((SUBSCRIPTION_ID, value),))
        assert ended(c, 0x82) == []


@proves("MQTT-4.13.1-1")
def test_a_subscription_identifier_of_0_or_given_twice_is_a_protocol_error(stack, token):
    for properties in (((SUBSCRIPTION_ID, 0),), ((SUBSCRIPTION_ID, 1), (SUBSCRIPTION_ID, 2))):
        c = open_client(stack.port, token, version=5)
        c.send(subscribe("a", version=5, properties=properties))
        assert ended(c, 0x82) == []
