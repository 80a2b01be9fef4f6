"""Chapters 3.4 to 3.7, 4.3, 4.4, 4.5, 4.6 and 4.9: the flows of QoS 1 and 2 both ways, sending again, order, Receive Maximum."""
import pytest
from proofs import RECEIVE_MAXIMUM, V, durable, ended, messages, payloads, proves, settled
from rawmqtt import PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, ack, open_client, packet, props, publish, unsubscribe


# ---- The server as receiver ----

@V
@proves("MQTT-4.3.2-4", "MQTT-4.3.2-5", "v3:MQTT-4.3.2-2", "MQTT-4.5.0-1", "v3:MQTT-4.5.0-1")
def test_qos_1_each_publish_is_a_new_message_whatever_its_id_and_dup(stack, token, version):
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe("a")
        for i, dup in enumerate((False, True, True, False)):
            p.publish("a", str(i), qos=1, pid=5, dup=dup)
            assert p.expect(PUBACK).pid == 5
        assert payloads(s.sync()) == [b"0", b"1", b"2", b"3"]


@V
@proves("MQTT-4.3.3-8", "MQTT-4.3.3-10", "MQTT-4.3.3-11", "MQTT-4.3.3-12", "v3:MQTT-4.3.3-2")
def test_qos_2_a_message_is_delivered_once_until_its_id_was_released(stack, token, version):
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe("a")
        for i in range(3):
            p.publish("a", "first", qos=2, pid=5, dup=i > 0)
            answer = p.expect(PUBREC)
            assert (answer.pid, answer.code) == (5, 0)
        for _ in range(2):
            p.send(ack(PUBREL, 5, version=version))
            assert p.expect(PUBCOMP).pid == 5
        for dup in (True, False):                # released: a new one each time
            p.publish("a", "next", qos=2, pid=5, dup=dup)
            assert p.expect(PUBREC).pid == 5
            p.send(ack(PUBREL, 5, version=version))
            assert (p.expect(PUBCOMP).code) == 0
        assert payloads(s.sync()) == [b"first", b"next", b"next"]


@V
@proves("MQTT-4.3.3-10", "v3:MQTT-4.3.3-2", "MQTT-4.4.0-1", "MQTT-4.1.0-1", "v3:MQTT-4.1.0-1", "MQTT-3.1.2-23")
def test_qos_2_an_id_that_was_not_released_is_known_after_a_reconnect(stack, token, version):
    with open_client(stack.port, token, "s", version) as s:
        s.subscribe("a")
        p = open_client(stack.port, token, "p", **durable(version))
        p.publish("a", "once", qos=2, pid=5)
        p.expect(PUBREC)
        p.close()
        with open_client(stack.port, token, "p", **durable(version)) as p:
            assert p.present == 1
            p.publish("a", "once", qos=2, pid=5, dup=True)
            assert p.expect(PUBREC).pid == 5
            p.send(ack(PUBREL, 5, version=version))
            assert p.expect(PUBCOMP).code == 0
        assert payloads(s.sync()) == [b"once"]


@proves("MQTT-4.3.3-9")
def test_qos_2_after_a_refusal_the_same_id_is_a_new_message(stack, customer):
    token = customer.acl(("ok", "publish subscribe"))
    with open_client(stack.port, token, "c", 5) as c:
        c.subscribe("ok")
        c.publish("no", "x", qos=2, pid=5)
        assert c.expect(PUBREC).code == 0x87
        c.publish("ok", "x", qos=2, pid=5)
        assert sorted((p.kind, p.code if p.kind == PUBREC else 0) for p in c.sync()) == [(PUBLISH, 0), (PUBREC, 0)]
        c.send(ack(PUBREL, 5, version=5))
        assert c.expect(PUBCOMP).code == 0


@V
@proves("MQTT-4.3.3-11", "MQTT-3.7.2-1")
def test_qos_2_pubrel_of_an_unknown_id_is_answered(stack, token, version):
    with open_client(stack.port, token, "p", version) as p:
        p.send(ack(PUBREL, 1234, version=version))
        answer = p.expect(PUBCOMP)
        assert answer.pid == 1234 and answer.body == (b"\x04\xd2\x92" if version == 5 else b"\x04\xd2")


@V
@proves("v3:MQTT-4.6.0-2", "v3:MQTT-4.6.0-3")
def test_acknowledgements_of_accepted_messages_come_in_order(stack, token, version):
    with open_client(stack.port, token, "p", version) as p:
        p.send(b"".join(publish("a", "x", qos=1 + i % 2, pid=100 - i, version=version) for i in range(60)))
        packets = p.sync()
        assert [(m.kind, m.pid) for m in packets] == [((PUBACK, PUBREC)[i % 2], 100 - i) for i in range(60)]


@proves("MQTT-3.3.4-7")
def test_a_client_that_exceeds_our_receive_maximum_with_qos_1_is_read_slower(stack, token):
    """Libraries send all that they have queued; what is only QoS 1 goes away by itself."""
    with open_client(stack.port, token, "p", 5) as c, open_client(stack.port, token, "s") as s:
        s.subscribe("a")
        assert c.connack.properties[RECEIVE_MAXIMUM] < 400
        c.send(b"".join(publish("a", "%d" % i, qos=1, pid=i + 1, version=5) for i in range(400)))
        assert [(p.kind, p.pid, p.code) for p in c.sync()] == [(PUBACK, i + 1, 0) for i in range(400)]
        assert [s.expect(PUBLISH).payload for _ in range(400)] == [b"%d" % i for i in range(400)]


@proves("MQTT-3.3.4-7")
def test_qos_1_goes_on_beside_as_many_qos_2_as_there_may_be(stack, token):
    with open_client(stack.port, token, "p", 5) as c:
        most = c.connack.properties[RECEIVE_MAXIMUM]
        c.send(b"".join(publish("a", "x", qos=2, pid=i + 1, version=5) for i in range(most)))
        c.send(b"".join(publish("a", "x", qos=1, pid=2000 + i, version=5) for i in range(50)))
        got = c.sync()
        assert [p.pid for p in got if p.kind == PUBREC] == [i + 1 for i in range(most)]
        assert [p.pid for p in got if p.kind == PUBACK] == [2000 + i for i in range(50)]
        c.send(ack(PUBREL, 1, version=5)).expect(PUBCOMP)
        c.publish("a", "x", qos=2, pid=1).expect(PUBREC)


@proves("MQTT-3.3.4-7", "MQTT-4.13.1-1")
def test_a_client_that_exceeds_our_receive_maximum_with_qos_2_is_disconnected(stack, token):
    c = open_client(stack.port, token, "p", 5)
    most = c.connack.properties[RECEIVE_MAXIMUM]
    for i in range(most):
        c.publish("a", "x", qos=2, pid=i + 1)
    assert len([p for p in c.sync() if p.kind == PUBREC and p.code < 0x80]) == most
    c.publish("a", "x", qos=2, pid=most + 1)
    ended(c, 0x93)


# ---- The server as sender ----

def first_deliveries(stack, token, version, qos, count=3, **more):
    """A durable subscriber to which `count` messages were sent once, and those deliveries."""
    s = open_client(stack.port, token, "s", **durable(version, **more))
    s.subscribe(("a/#", 2))
    with open_client(stack.port, token, "p") as p:
        for i in range(count):
            q = qos if isinstance(qos, int) else qos[i % len(qos)]
            p.publish("a/%d" % i, str(i), qos=q, pid=i + 1)
        p.sync()
    sent = messages(s.sync())
    return s, sent


@V
@pytest.mark.parametrize("qos", [1, 2])
@proves("MQTT-4.3.2-2", "MQTT-4.3.2-3", "MQTT-4.3.3-2", "MQTT-4.3.3-3", "MQTT-4.4.0-1", "v3:MQTT-4.3.2-1", "v3:MQTT-4.3.3-1", "v3:MQTT-4.4.0-1", "MQTT-3.3.1-1",
        "v3:MQTT-3.3.1-1", "v3:MQTT-4.6.0-1")
def test_what_is_not_acknowledged_is_sent_again_on_each_reconnect_with_its_id_dup_and_order(stack, token, version, qos):
    s, sent = first_deliveries(stack, token, version, qos)
    assert [(m.payload, m.qos, m.dup) for m in sent] == [(b"%d" % i, qos, False) for i in range(3)]
    for _ in range(3):
        assert s.sync() == []                   # never while connected
        s.close()
        s = open_client(stack.port, token, "s", **durable(version))
        assert [(m.topic, m.payload, m.qos, m.pid, m.dup) for m in messages(s.sync())] == [(m.topic, m.payload, qos, m.pid, True) for m in sent]
    kind = PUBACK if qos == 1 else PUBREC
    s.send(ack(kind, sent[1].pid, version=version))
    s.sync()
    s.close()
    with open_client(stack.port, token, "s", **durable(version)) as s:
        assert [m.pid for m in messages(s.sync())] == [sent[0].pid, sent[2].pid]


@V
@proves("MQTT-4.3.3-4", "MQTT-4.3.3-5", "MQTT-4.3.3-6", "MQTT-4.4.0-1", "v3:MQTT-4.3.3-1", "v3:MQTT-4.4.0-1")
def test_after_pubrel_only_pubrel_is_sent_again_until_pubcomp(stack, token, version):
    s, sent = first_deliveries(stack, token, version, 2)
    s.send(ack(PUBREC, sent[0].pid, version=version) + ack(PUBREC, sent[1].pid, version=version))
    assert [(p.kind, p.pid, p.flags) for p in (s.read(), s.read())] == [(PUBREL, sent[0].pid, 2), (PUBREL, sent[1].pid, 2)]
    for _ in range(2):
        s.close()
        s = open_client(stack.port, token, "s", **durable(version))
        assert [(p.kind, p.pid) for p in s.sync()] == [(PUBREL, sent[0].pid), (PUBREL, sent[1].pid), (PUBLISH, sent[2].pid)]
    s.send(ack(PUBREC, sent[0].pid, version=version))               # a PUBREC that comes again
    assert (s.expect(PUBREL).pid) == sent[0].pid
    s.send(ack(PUBCOMP, sent[0].pid, version=version) + ack(PUBCOMP, sent[1].pid, version=version))
    assert s.sync() == []
    s.close()
    with open_client(stack.port, token, "s", **durable(version)) as s:
        assert [(p.kind, p.pid) for p in s.sync()] == [(PUBLISH, sent[2].pid)]


@V
@proves("v3:MQTT-4.6.0-4", "v3:MQTT-4.6.0-6")
def test_pubrels_come_in_the_order_of_the_pubrecs(stack, token, version):
    s, sent = first_deliveries(stack, token, version, 2, 10)
    order = [sent[i].pid for i in (3, 1, 2, 9, 0, 8, 7, 4, 6, 5)]
    s.send(b"".join(ack(PUBREC, i, version=version) for i in order))
    assert [p.pid for p in s.sync() if p.kind == PUBREL] == order
    s.close()


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x91, 0x97, 0x99])
@proves("MQTT-4.4.0-2", "MQTT-4.3.3-4", "MQTT-4.9.0-2")
def test_a_refused_delivery_is_over_and_its_place_is_free(stack, token, code):
    s, sent = first_deliveries(stack, token, 5, (1, 2), 4, properties=((RECEIVE_MAXIMUM, 2),))
    assert [m.payload for m in sent] == [b"0", b"1"]
    s.send(ack(PUBACK, sent[0].pid, code, version=5) + ack(PUBREC, sent[1].pid, code, version=5))
    packets = s.sync()
    assert PUBREL not in [p.kind for p in packets] and payloads(packets) == [b"2", b"3"]
    s.close()
    with open_client(stack.port, token, "s", **durable(5)) as s:
        assert payloads(s.sync()) == [b"2", b"3"]


@pytest.mark.parametrize("code", [0x00, 0x10])
@proves("MQTT-4.3.3-4")
def test_a_pubrec_that_is_no_refusal_is_answered_with_pubrel(stack, token, code):
    s, sent = first_deliveries(stack, token, 5, 2, 1)
    s.send(ack(PUBREC, sent[0].pid, code, version=5))
    assert s.expect(PUBREL).pid == sent[0].pid
    s.close()


@V
@proves("MQTT-4.5.0-1", "v3:MQTT-4.5.0-1", "v3:MQTT-3.1.2-5")
def test_a_message_reaches_every_session_that_matches_connected_or_not(stack, token, version):
    names = ["s%d" % i for i in range(6)]
    for name in names:
        with open_client(stack.port, token, name, **durable(version)) as s:
            s.subscribe((("a/#", "+/b", "a/b")[int(name[1:]) % 3], 2))
    live = [open_client(stack.port, token, name, **durable(version)) for name in names[:3]]
    with open_client(stack.port, token, "p") as p:
        p.publish("a/b", "1", qos=1, pid=1)
        p.publish("a/b", "2", qos=2, pid=2)
        p.sync()
    for c in live + [open_client(stack.port, token, name, **durable(version)) for name in names[3:]]:
        assert payloads(c.sync()) == [b"1", b"2"]
        c.close()


@V
@pytest.mark.parametrize("qos", [0, 1, 2])
@proves("MQTT-4.6.0-5", "MQTT-4.6.0-6", "v3:MQTT-4.6.0-5", "v3:MQTT-4.6.0-6")
def test_messages_of_a_publisher_keep_their_order(stack, token, version, qos):
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe(("a", 2), ("b/#", 2))
        p.send(b"".join(publish("a" if i % 3 else "b/%d" % (i % 2), "%d" % i, qos=qos, pid=i + 1, version=version) for i in range(90)))
        p.sync()
        got = []
        while len(got) < 90:
            m = s.expect(PUBLISH)
            got.append(int(m.payload))
            if qos:
                s.send(ack(PUBACK if qos == 1 else PUBREC, m.pid, version=version))
            if qos == 2:
                while True:
                    q = s.read()
                    if q.kind == PUBREL:
                        s.send(ack(PUBCOMP, q.pid, version=version))
                        break
                    got.append(int(q.payload))
                    s.send(ack(PUBREC, q.pid, version=version))
        assert got == list(range(90))


@V
@proves("MQTT-4.6.0-5", "v3:MQTT-4.6.0-6", "v3:MQTT-4.6.0-1")
def test_what_comes_again_and_what_waited_and_what_is_new_keep_their_order(stack, token, version):
    more = {"properties": ((RECEIVE_MAXIMUM, 2),)} if version == 5 else {}
    s, sent = first_deliveries(stack, token, version, 1, 6, **more)
    s.close()
    with open_client(stack.port, token, "p") as p:
        p.publish("a/x", "6", qos=1, pid=9).sync()
        s = open_client(stack.port, token, "s", **durable(version, **more))
        p.publish("a/x", "7", qos=1, pid=10).sync()
    got = []
    while len(got) < 8:
        m = s.expect(PUBLISH)
        got.append(m.payload)
        s.send(ack(PUBACK, m.pid, version=version))
    assert got == [b"%d" % i for i in range(8)]
    s.close()


# ---- Receive Maximum ----

@pytest.mark.parametrize("most", [1, 3, 20])
@proves("MQTT-3.3.4-9", "MQTT-4.9.0-1", "MQTT-4.9.0-2")
def test_no_more_than_receive_maximum_is_under_way(stack, token, most):
    s, sent = first_deliveries(stack, token, 5, (1, 2), 2 * most + 4, properties=((RECEIVE_MAXIMUM, most),))
    assert [m.payload for m in sent] == [b"%d" % i for i in range(most)]
    nxt = most
    for m in sent[:4]:
        if m.qos == 1:
            s.send(ack(PUBACK, m.pid, version=5))
        else:
            s.send(ack(PUBREC, m.pid, version=5))
            assert [(p.kind, p.pid) for p in s.sync()] == [(PUBREL, m.pid)]        # PUBREC frees no place
            s.send(ack(PUBCOMP, m.pid, version=5))
        assert payloads(s.sync()) == [b"%d" % nxt]
        nxt += 1
    s.close()


@proves("MQTT-3.3.4-10", "MQTT-4.9.0-3")
def test_at_a_quota_of_0_everything_else_goes_on(stack, token):
    s, sent = first_deliveries(stack, token, 5, 1, 3, properties=((RECEIVE_MAXIMUM, 1),))
    assert len(sent) == 1
    s.send(packet(PINGREQ))
    s.expect(PINGRESP)
    assert s.subscribe("zero", "b") == [0, 0]
    s.publish("zero", "0")
    assert payloads(s.sync()) == [b"0"]         # QoS 0 needs no place
    s.publish("b", "1", qos=1, pid=1)
    s.publish("b", "2", qos=2, pid=2)
    s.send(ack(PUBREL, 2, version=5))
    kinds = sorted(p.kind for p in s.sync())
    assert kinds == sorted([PUBLISH, PUBLISH, PUBACK, PUBREC, PUBCOMP])
    s.send(ack(PUBACK, sent[0].pid, version=5))
    assert payloads(s.sync()) == [b"1"]
    s.close()


@proves("MQTT-4.9.0-1", "MQTT-3.3.4-9")
def test_the_quota_begins_anew_with_the_connection_and_holds_for_what_comes_again(stack, token):
    s, sent = first_deliveries(stack, token, 5, 1, 6, properties=((RECEIVE_MAXIMUM, 4),))
    assert len(sent) == 4
    s.close()
    with open_client(stack.port, token, "s", **durable(5, properties=((RECEIVE_MAXIMUM, 2),))) as s:
        first = messages(s.sync())
        assert [(m.payload, m.dup) for m in first] == [(b"0", True), (b"1", True)]
        for m, expected in ((first[0], (b"2", True)), (first[1], (b"3", True))):
            s.send(ack(PUBACK, m.pid, version=5))
            assert [(x.payload, x.dup) for x in messages(s.sync())] == [expected]


@pytest.mark.parametrize("most", [1, 3])
@proves("MQTT-3.3.4-9", "MQTT-4.9.0-2", "MQTT-3.3.1-9", "MQTT-4.6.0-5", "MQTT-3.10.4-2")
def test_retained_messages_keep_to_receive_maximum_and_to_the_order_of_what_is_live(stack, token, most):
    with open_client(stack.port, token, "s", 5, properties=((RECEIVE_MAXIMUM, most),)) as s, open_client(stack.port, token, "p", 5) as p:
        for i in range(40):
            p.publish("r/%02d" % i, "old", qos=1, pid=i + 1, retain=True)
        p.sync()
        s.subscribe(("r/#", 1))
        waiting = messages(settled(s))
        assert len(waiting) == most
        for i in range(40):
            p.publish("r/%02d" % i, "new", qos=1, pid=i + 1, retain=True)
        p.sync()
        seen = {}
        while waiting:
            m = waiting.pop(0)
            seen.setdefault(m.topic, []).append(m.payload)
            s.send(ack(PUBACK, m.pid, version=5))
            waiting += messages(s.sync())
            assert len(waiting) <= most
        assert len(seen) == 40
        for got in seen.values():
            assert got in ([b"old", b"new"], [b"new"], [b"new", b"new"]), got


@proves("MQTT-3.10.4-2")
def test_retained_messages_stop_when_the_filter_is_given_back(stack, token):
    with open_client(stack.port, token, "s", 5, properties=((RECEIVE_MAXIMUM, 1),)) as s:
        for i in range(1500):
            s.publish("r/%d" % i, "x", qos=1, pid=i + 1, retain=True)
            if i % 50 == 49:
                s.sync()
        s.subscribe(("r/#", 1))
        waiting = messages(settled(s))
        s.send(unsubscribe("r/#", version=5))
        s.sync()
        got = 0
        while waiting:
            got += 1
            s.send(ack(PUBACK, waiting.pop(0).pid, version=5))
            waiting += messages(s.sync())
        assert 1 <= got < 1500                  # what was buffered for delivery may still come


# ---- What acknowledgements of a client may look like ----

@pytest.mark.parametrize("kind", [PUBACK, PUBREC, PUBREL, PUBCOMP])
@pytest.mark.parametrize("tail,code", [(b"\x01", 0x82), (b"\x55", 0x82), (b"\x00\0\0", 0x81), (b"\x00\x02\x23\x01", 0x82), (b"\x00\x04\x1f\0\1\xff", 0x81),
                                       (b"\x00\x08\x1f\0\1a\x1f\0\1b", 0x82), (b"\x00\x05", 0x81)],
                         ids=["foreign-code", "no-code", "a-byte-too-many", "foreign-property", "not-utf8", "reason-twice", "cut"])
@proves("MQTT-4.13.1-1", "MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1")
def test_an_acknowledgement_that_breaks_the_rules_ends_the_connection(stack, token, kind, tail, code):
    c = open_client(stack.port, token, version=5)
    c.send(packet(kind, b"\0\1" + tail, 2 if kind == PUBREL else 0))
    ended(c, code)


@proves("MQTT-4.3.2-3", "MQTT-4.3.3-4", "MQTT-4.3.3-11")
def test_acknowledgements_with_properties_count_as_those_without(stack, token):
    s, sent = first_deliveries(stack, token, 5, (1, 2), 2)
    p = props((0x1F, "why"), (0x26, "k", "v"), (0x26, "k", "v"))
    s.send(packet(PUBACK, sent[0].pid.to_bytes(2, "big") + b"\0" + p) + packet(PUBREC, sent[1].pid.to_bytes(2, "big") + b"\0" + p))
    assert s.expect(PUBREL).pid == sent[1].pid
    s.send(packet(PUBCOMP, sent[1].pid.to_bytes(2, "big") + b"\0" + p))
    s.publish("b", "x", qos=2, pid=7)
    s.expect(PUBREC)
    s.send(packet(PUBREL, b"\0\7\0" + p, 2))
    assert s.expect(PUBCOMP).code == 0
    s.close()
    with open_client(stack.port, token, "s", **durable(5)) as s:
        assert s.sync() == []


@V
@proves("MQTT-3.6.2-1")
def test_pubrec_of_an_exchange_that_nobody_remembers_is_answered_with_pubrel(stack, token, version):
    """MQTT5 3.6.2.1, 4.3.3: or its sender waits for ever."""
    with open_client(stack.port, token, "s", version) as s:
        s.send(ack(PUBREC, 77, version=version))
        answer = s.expect(PUBREL)
        assert (answer.pid, answer.flags, answer.code) == (77, 2, 0x92 if version == 5 else 0)
        s.send(ack(PUBCOMP, 77, 0x92 if version == 5 else None, version=version))
        assert s.sync() == []
