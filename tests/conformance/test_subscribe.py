"""Chapters 3.8 to 3.11: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK."""
import pytest
from proofs import V, durable, ended, messages, payloads, proves, settled
from rawmqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBSCRIBE, UNSUBACK, ack, open_client, packet, subscribe, text, unsubscribe
from stack import wait_for


@V
@proves("MQTT-3.8.3-2", "v3:MQTT-3.8.3-3", "MQTT-3.10.3-2", "v3:MQTT-3.10.3-2", "v3:MQTT-4.8.0-1")
def test_a_request_without_a_filter_ends_the_connection(stack, token, version):
    for data, code in ((subscribe(version=version), 0x82), (unsubscribe(version=version), 0x82),
                       (packet(SUBSCRIBE, b"\0\1" + (b"\0" if version == 5 else b"") + text("a"), 2), 0x81)):
        c = open_client(stack.port, token, version=version)
        c.send(data)
        assert ended(c, code) == []


@V
@pytest.mark.parametrize("bits", [0x40, 0x80, 0xC0, 0x03])
@proves("MQTT-3.8.3-5", "v3:MQTT-3.8.3-4")
def test_reserved_bits_in_the_options_are_malformed_and_qos_3_is_a_protocol_error(stack, token, version, bits):
    c = open_client(stack.port, token, version=version)
    c.send(subscribe("fine", ("a", bits), version=version))
    assert ended(c, 0x82 if bits == 3 else 0x81) == []


@pytest.mark.parametrize("bits", [0x04, 0x08, 0x10, 0x20])
@proves("v3:MQTT-3.8.3-4")
def test_the_options_of_v5_are_reserved_bits_of_v3(stack, token, bits):
    c = open_client(stack.port, token)
    c.send(subscribe(("a", bits)))
    assert ended(c) == []


@proves("MQTT-3.8.3-3")
def test_no_local_keeps_a_clients_own_messages_from_it(stack, token):
    with open_client(stack.port, token, "me", 5) as c, open_client(stack.port, token, "other", 5) as o:
        c.subscribe(("a", 4), ("b", 0))
        c.publish("a", "own", qos=1)
        c.publish("b", "own", qos=1, pid=2)
        o.publish("a", "theirs", qos=1)
        o.sync()
        assert sorted((m.topic, m.payload) for m in messages(c.sync())) == [("a", b"theirs"), ("b", b"own")]


@proves("MQTT-3.8.3-3")
def test_no_local_holds_over_a_reconnect_and_for_the_will(stack, token):
    c = open_client(stack.port, token, "me", **durable(5, will=("a", "my will", 1, False)))
    c.subscribe(("a", 4 | 1))
    c.close()
    with open_client(stack.port, token, "other", 5) as o:
        o.publish("a", "theirs", qos=1).sync()
    with open_client(stack.port, token, "me", **durable(5)) as c:
        assert c.present == 1
        c.publish("a", "own", qos=1)
        assert payloads(c.sync()) == [b"theirs"]


@proves("MQTT-3.8.3-4", "MQTT-4.13.1-1")
def test_no_local_on_a_shared_subscription_is_a_protocol_error(stack, token):
    c = open_client(stack.port, token, version=5)
    c.send(subscribe("fine", ("$share/g/a", 4), version=5))
    assert ended(c, 0x82) == []


@V
@proves("MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2", "v3:MQTT-3.8.4-4", "v3:MQTT-3.8.4-5", "v3:MQTT-3.9.3-1", "v3:MQTT-3.9.3-2", "v3:MQTT-3.8.3-2")
def test_each_filter_is_judged_on_its_own_and_answered_at_its_place(stack, customer, version):
    token = customer.acl(("ok/#", "subscribe publish"), ("ro/#", "subscribe"))
    with open_client(stack.port, token, "c", version) as c:
        wrong, denied = (0x8F, 0x87) if version == 5 else (0x80, 0x80)
        assert c.subscribe(("ok/a", 0), ("no", 1), ("ok/b", 1), ("ok/#/x", 2), ("ro/#", 2), ("$SYS/#", 0), ("ok/+/c", 2), ("", 0)) == \
            [0, denied, 1, wrong, 2, denied, 2, wrong]
        c.publish("ok/a", "a", qos=2, pid=1)
        c.publish("ok/b", "b", qos=2, pid=2)
        c.publish("ok/x/c", "c", qos=2, pid=3)
        assert [(m.payload, m.qos) for m in messages(c.sync())] == [(b"a", 0), (b"b", 1), (b"c", 2)]


@V
@proves("MQTT-3.8.4-5", "v3:MQTT-3.8.4-4", "v3:MQTT-3.9.3-2")
def test_the_same_filter_twice_in_one_request_counts_twice_in_order(stack, token, version):
    with open_client(stack.port, token, "c", version) as c:
        assert c.subscribe(("a", 2), ("a", 1)) == [2, 1]
        c.publish("a", "x", qos=2)
        assert [m.qos for m in messages(c.sync())] == [1]


@V
@proves("MQTT-3.8.4-8", "v3:MQTT-3.8.4-6")
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_messages_come_with_the_lower_of_both_qos(stack, token, version, granted):
    with open_client(stack.port, token, "c", version) as c:
        assert c.subscribe(("a", granted)) == [granted]
        for qos in (0, 1, 2):
            c.publish("a", str(qos), qos=qos, pid=qos + 1)
        assert [(m.payload, m.qos) for m in messages(c.sync())] == [(b"%d" % q, min(q, granted)) for q in (0, 1, 2)]


@V
@proves("MQTT-3.8.4-3", "v3:MQTT-3.8.4-3", "MQTT-3.8.4-4")
def test_an_identical_filter_replaces_the_subscription_and_brings_retained_messages_again(stack, token, version):
    with open_client(stack.port, token, "c", version) as c, open_client(stack.port, token, "p", version) as p:
        p.publish("a", "kept", qos=1, retain=True).sync()
        for options, expected in ((2, 2), (0, 0), (1, 1)):
            c.subscribe(("a", options))
            assert [(m.payload, m.retain) for m in messages(settled(c))] == [(b"kept", True)]
            p.publish("a", "live", qos=2, pid=7)
            p.expect(PUBREC)
            p.send(ack(PUBREL, 7, version=version))
            p.expect(PUBCOMP)
            assert [(m.payload, m.qos) for m in messages(c.sync())] == [(b"live", expected)]


@V
@proves("MQTT-3.8.4-4", "v3:MQTT-3.8.4-3")
def test_no_message_is_lost_while_a_subscription_is_replaced(stack, token, version):
    with open_client(stack.port, token, "c", version) as c, open_client(stack.port, token, "p", version) as p:
        c.subscribe(("a", 1))
        for i in range(60):
            p.publish("a", str(i), qos=1, pid=i + 1)
            if i % 4 == 0:
                c.send(subscribe(("a", 1), pid=i + 1, version=version))
        p.sync()
        got = []
        while len(got) < 60:
            more = messages(c.sync())
            assert more
            c.send(b"".join(ack(PUBACK, m.pid, version=version) for m in more))
            got += [m.payload for m in more]
        assert got == [b"%d" % i for i in range(60)]


@V
@proves("MQTT-3.8.4-3", "v3:MQTT-3.8.4-3")
def test_a_replacement_keeps_what_is_under_way(stack, token, version):
    s = open_client(stack.port, token, "s", **durable(version))
    s.subscribe(("a", 1))
    with open_client(stack.port, token, "p") as p:
        p.publish("a", "1", qos=1).sync()
    assert s.expect(PUBLISH).payload == b"1"
    s.subscribe(("a", 0))
    s.close()
    with open_client(stack.port, token, "s", **durable(version)) as s:
        assert [(m.payload, m.qos, m.dup) for m in messages(s.sync())] == [(b"1", 1, True)]


# ---- UNSUBSCRIBE ----

@V
@proves("MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-4", "MQTT-3.10.4-6", "MQTT-3.11.3-1", "MQTT-3.11.3-2", "v3:MQTT-3.10.4-1", "v3:MQTT-3.10.4-2", "v3:MQTT-3.10.4-4",
        "v3:MQTT-3.10.4-6")
def test_unsubscribing_compares_character_by_character_and_answers_once_in_order(stack, token, version):
    with open_client(stack.port, token, "c", version) as c:
        c.subscribe("a/b", "a/+", "a/#", "A/b", "/a/b", "\u00e9", "$share/g/a/b")
        c.send(unsubscribe("a/B", "a/+", "a/b/", "a/b", "#", "e\u0301", "$share/h/a/b", "$share/g/a/b", "a/+", pid=7, version=version))
        answer = c.expect(UNSUBACK)
        assert answer.pid == 7
        if version == 5:
            assert answer.codes == [0x11, 0, 0x11, 0, 0x11, 0x11, 0x11, 0, 0x11]
        else:
            assert answer.body == b"\0\7"
        for i, topic in enumerate(("a/b", "a/c", "A/b", "/a/b", "\u00e9")):
            c.publish(topic, str(i), qos=1, pid=i + 1)
        packets = c.sync()
        assert UNSUBACK not in [p.kind for p in packets]
        assert payloads(packets) == [b"0", b"1", b"2", b"3", b"4"]       # a/# and the three that nothing named
        c.send(unsubscribe("a/#", pid=8, version=version))
        c.expect(UNSUBACK)
        c.publish("a/b", "x", qos=1)
        assert payloads(c.sync()) == []


@V
@proves("MQTT-3.10.4-3", "v3:MQTT-3.10.4-3")
def test_deliveries_that_were_started_are_completed_after_unsubscribing(stack, token, version):
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe(("a", 2))
        p.publish("a", "1", qos=1, pid=1)
        p.publish("a", "2", qos=2, pid=2)
        p.publish("a", "3", qos=2, pid=3)
        p.sync()
        one, two, three = messages(s.sync())
        s.send(ack(PUBREC, three.pid, version=version))
        assert s.expect(PUBREL).pid == three.pid
        s.send(unsubscribe("a", version=version))
        s.expect(UNSUBACK)
        p.publish("a", "late", qos=1, pid=4).sync()
        s.send(ack(PUBACK, one.pid, version=version) + ack(PUBREC, two.pid, version=version) + ack(PUBCOMP, three.pid, version=version))
        assert [(m.kind, m.pid, m.code) for m in s.sync()] == [(PUBREL, two.pid, 0)]


@V
@proves("MQTT-3.10.4-3", "v3:MQTT-3.10.4-3")
def test_deliveries_that_were_started_are_completed_after_unsubscribing_and_a_reconnect(stack, token, version):
    s = open_client(stack.port, token, "s", **durable(version))
    s.subscribe(("a", 2), ("other", 1))
    with open_client(stack.port, token, "p") as p:
        p.publish("a", "1", qos=1, pid=1)
        p.publish("a", "2", qos=2, pid=2)
        p.sync()
    sent = messages(s.sync())
    s.send(unsubscribe("a", version=version))
    s.sync()
    s.close()
    with open_client(stack.port, token, "s", **durable(version)) as s:
        assert [(m.payload, m.pid, m.dup) for m in messages(s.sync())] == [(m.payload, m.pid, True) for m in sent]


@proves("MQTT-3.10.4-3", "MQTT-4.4.0-1")
def test_deliveries_that_were_started_survive_unsubscribing_and_a_change_of_other_rights(stack, customer):
    access = lambda *topics: {"type": 2, "acl": [{"uri": "mqtt", "topic": t, "actions": ["publish", "subscribe"]} for t in topics]}
    token = customer.token(access=access("a", "other/#"))
    s = open_client(stack.port, token, "s", **durable(5))
    s.subscribe(("a", 1), ("other/#", 1))
    s.publish("a", "1", qos=1)
    sent = messages(s.sync())
    s.send(unsubscribe("a", version=5))
    s.sync()
    s.close()
    customer.change_token(token, access=access("a", "other/x"))
    with open_client(stack.port, token, "probe", 5) as probe:

        def in_force():
            probe.publish("other/y", "", qos=1, pid=1)
            return probe.expect(PUBACK).code == 0x87
        wait_for(in_force)
    with open_client(stack.port, token, "s", **durable(5)) as s:
        assert s.present == 1
        assert [(m.payload, m.pid, m.dup) for m in messages(s.sync())] == [(b"1", sent[0].pid, True)]
