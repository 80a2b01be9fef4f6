"""Chapter 3.3.2.3 and what is said of properties elsewhere: what is passed on, expiry, topic aliases, problem information."""
import time

import pytest
from proofs import (ALIAS, ALIAS_MAXIMUM, CONTENT_TYPE, CORRELATION, EXPIRY, PACKET_MAXIMUM, PAYLOAD_FORMAT, PROBLEM_INFO, REASON, RESPONSE_TOPIC, USER,
                    durable, ended, messages, proves, settled)
from rawmqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK, Closed, ack, open_client, publish, subscribe, unsubscribe


@pytest.mark.parametrize("how", ["live", "retained", "queued", "shared"])
@proves("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20", "MQTT-1.5.4-3")
def test_properties_reach_a_subscriber_unaltered_and_in_order(stack, token, how):
    sent = ((USER, "b", "1"), (PAYLOAD_FORMAT, 1), (USER, "a", "2"), (CONTENT_TYPE, "text/\u00e9\ufeff"), (USER, "b", "1"), (RESPONSE_TOPIC, "re/ply/\u00e9"), (USER, "", ""),
            (CORRELATION, b"\x00\xff\x00"), (USER, "a", "0"))
    s = open_client(stack.port, token, "s", **durable(5))
    if how == "retained":
        s.publish("a", "p", qos=1, retain=True, properties=sent).sync()
    s.subscribe(("$share/g/a" if how == "shared" else "a", 1))
    if how == "queued":
        s.close()
    if how != "retained":
        with open_client(stack.port, token, "p", 5) as p:
            p.publish("a", "p", qos=1, properties=sent).sync()
    if how == "queued":
        s = open_client(stack.port, token, "s", **durable(5))
    m = s.expect(PUBLISH)
    assert m.user == [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("a", "0")]
    assert m.properties == {PAYLOAD_FORMAT: 1, CONTENT_TYPE: "text/\u00e9\ufeff".encode(), RESPONSE_TOPIC: "re/ply/\u00e9".encode(), CORRELATION: b"\x00\xff\x00"}
    s.close()


@pytest.mark.parametrize("prop", [(PAYLOAD_FORMAT, 0), (PAYLOAD_FORMAT, 1), (CONTENT_TYPE, ""), (CORRELATION, b""), (RESPONSE_TOPIC, "/"), (RESPONSE_TOPIC, "customer/1/x"),
                                  (RESPONSE_TOPIC, "$share/x/y"), (CORRELATION, bytes(range(256)) * 40)],
                         ids=["format-0", "format-1", "no-type", "no-data", "slash", "like-a-prefix", "dollar", "long-data"])
@proves("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-20")
def test_values_at_the_edge_are_passed_on_unaltered(stack, token, prop):
    with open_client(stack.port, token, "c", 5) as c:
        c.subscribe("a")
        c.publish("a", "x", qos=1, properties=(prop,))
        m = messages(c.sync())[0]
        assert m.properties == {prop[0]: prop[1].encode() if isinstance(prop[1], str) else prop[1]}


@proves("MQTT-3.3.2-17", "MQTT-3.1.2-29")
def test_user_properties_of_a_message_come_even_without_problem_information(stack, token):
    with open_client(stack.port, token, "c", 5, properties=((PROBLEM_INFO, 0),)) as c:
        c.subscribe("a")
        c.publish("a", "x", qos=1, properties=((USER, "k", "v"),))
        assert [m.user for m in messages(c.sync())] == [[("k", "v")]]


@pytest.mark.parametrize("topic", ["re/#", "+", "a/+/b", "#"])
@proves("MQTT-3.3.2-14", "MQTT-4.7.0-1")
def test_a_response_topic_with_wildcards_ends_the_connection(stack, token, topic):
    c = open_client(stack.port, token, version=5)
    c.subscribe("a")
    c.publish("a", "x", properties=((RESPONSE_TOPIC, topic),))
    assert ended(c, 0x90) == []


# ---- Expiry ----

@proves("MQTT-3.3.2-5", "MQTT-3.3.2-6")
def test_a_waiting_message_expires_or_goes_out_with_what_is_left(stack, token):
    with open_client(stack.port, token, "s", **durable(5)) as s:
        s.subscribe(("a", 1))
    with open_client(stack.port, token, "p", 5) as p:
        for i, expiry in enumerate((1, 100, None)):
            p.publish("a", str(expiry), qos=1, pid=i + 1, properties=((EXPIRY, expiry),) if expiry else ())
        p.publish("a", "kept", qos=1, pid=9, retain=True, properties=((EXPIRY, 1),))
        p.publish("b", "kept", qos=1, pid=10, retain=True, properties=((EXPIRY, 50),))
        p.sync()
    time.sleep(2.1)
    with open_client(stack.port, token, "s", **durable(5)) as s:
        got = {m.payload: m.properties.get(EXPIRY) for m in messages(s.settled())}
        assert sorted(got) == [b"100", b"None"]
        assert got[b"None"] is None and 90 <= got[b"100"] <= 98
    with open_client(stack.port, token, "n", 5) as n:
        n.subscribe("a", "b")
        got = messages(settled(n))
        assert [m.topic for m in got] == ["b"] and 40 <= got[0].properties[EXPIRY] <= 48


@proves("MQTT-3.3.2-6")
def test_a_message_that_did_not_wait_keeps_its_expiry(stack, token):
    with open_client(stack.port, token, "c", 5) as c:
        c.subscribe("a")
        for expiry in (1, 1000, 0x7FFFFFFF, 0xFFFFFFFE):
            c.publish("a", "x", properties=((EXPIRY, expiry),))
            assert expiry - 1 <= c.expect(PUBLISH).properties[EXPIRY] <= expiry


@proves("MQTT-3.3.2-6")
def test_the_longest_expiry_is_passed_on_too(stack, token):
    with open_client(stack.port, token, "c", 5) as c:
        c.subscribe("a")
        c.publish("a", "x", properties=((EXPIRY, 0xFFFFFFFF),))
        assert c.expect(PUBLISH).properties.get(EXPIRY, 0) >= 0xFFFFFFFE


@proves("MQTT-3.3.2-6")
def test_an_expiry_never_goes_out_larger_than_it_came(stack, token):
    with open_client(stack.port, token, "c", 5) as c:
        c.subscribe("a")
        c.publish("a", "x", qos=1, properties=((EXPIRY, 0),))
        assert [m.properties.get(EXPIRY) for m in messages(c.sync())] in ([], [0])      # over at once, or just not yet


@proves("MQTT-4.3.3-7", "MQTT-4.3.3-13")
def test_a_message_that_was_sent_does_not_expire_and_its_exchange_goes_on(stack, token):
    s = open_client(stack.port, token, "s", **durable(5))
    s.subscribe(("a", 2))
    p = open_client(stack.port, token, "p", 5)
    p.publish("a", "sent", qos=2, pid=7, properties=((EXPIRY, 1),))
    assert p.expect(PUBREC).code == 0
    first = s.expect(PUBLISH)
    s.close()
    time.sleep(2.1)
    with open_client(stack.port, token, "s", **durable(5)) as s:
        m = s.expect(PUBLISH)
        assert (m.payload, m.pid, m.dup, m.qos) == (b"sent", first.pid, True, 2)
        s.send(ack(PUBREC, m.pid, version=5))
        assert s.expect(PUBREL).pid == m.pid
        s.send(ack(PUBCOMP, m.pid, version=5))
    p.send(ack(PUBREL, 7, version=5))
    answer = p.expect(PUBCOMP)
    assert (answer.pid, answer.code) == (7, 0)
    p.close()


# ---- Topic aliases ----

@proves("MQTT-3.3.2-12")
def test_every_alias_up_to_the_announced_maximum_is_accepted(stack, token):
    with open_client(stack.port, token, "c", 5) as c:
        most = c.connack.properties[ALIAS_MAXIMUM]
        c.subscribe("t/#")
        for turn in range(2):                   # set, used, and set anew
            for a in range(1, most + 1):
                c.publish("t/%d/%d" % (turn, a), "set", properties=((ALIAS, a),))
            for a in range(most, 0, -1):
                c.publish("", "use", properties=((ALIAS, a),))
            got = [(m.topic, m.payload) for m in messages(c.sync())]
            assert got == [("t/%d/%d" % (turn, a), b"set") for a in range(1, most + 1)] + [("t/%d/%d" % (turn, a), b"use") for a in range(most, 0, -1)]


@pytest.mark.parametrize("which", ["0", "above", "unknown"])
@proves("MQTT-3.3.2-8", "MQTT-3.3.2-9", "MQTT-3.2.2-17", "MQTT-4.13.1-1")
def test_an_alias_that_is_0_or_above_the_maximum_or_unknown_ends_the_connection(stack, token, which):
    c = open_client(stack.port, token, version=5)
    most = c.connack.properties[ALIAS_MAXIMUM]
    c.publish("" if which == "unknown" else "t", "x", properties=((ALIAS, {"0": 0, "above": most + 1, "unknown": 1}[which]),))
    ended(c, 0x94)


@proves("MQTT-3.3.2-7")
def test_aliases_are_forgotten_with_the_connection_even_if_the_session_stays(stack, token):
    with open_client(stack.port, token, "c", **durable(5)) as c:
        c.publish("t", "x", qos=1, properties=((ALIAS, 1),)).sync()
    c = open_client(stack.port, token, "c", **durable(5))
    assert c.present == 1
    c.publish("", "x", properties=((ALIAS, 1),))
    ended(c, 0x94)


@pytest.mark.parametrize("most", [None, 0, 1, 5])
@proves("MQTT-3.1.2-26", "MQTT-3.1.2-27", "MQTT-3.3.2-11", "MQTT-3.3.2-8", "MQTT-3.3.2-7")
def test_no_alias_is_sent_above_the_maximum_of_the_client(stack, token, most):
    """Aliases of a publisher do not reach the subscriber; what the server uses on its own stays within what was allowed and can be resolved."""
    for turn in range(2):
        with open_client(stack.port, token, "s", 5, properties=() if most is None else ((ALIAS_MAXIMUM, most),)) as s, open_client(stack.port, token, "p", 5) as p:
            s.subscribe("t/#")
            for i in range(60):
                p.publish("t/alias/%d" % (i % 8), "%d" % (i % 8), properties=((ALIAS, i % 8 + 1),))
            p.sync()
            known = {}
            got = messages(s.sync())
            assert len(got) == 60
            for m in got:
                alias = m.properties.get(ALIAS)
                if alias is not None:
                    assert 1 <= alias <= (most or 0)
                    if m.topic:
                        known[alias] = m.topic
                assert (m.topic or known[alias]) == "t/alias/" + m.payload.decode()
            assert len(known) == (most or 0)
            assert sum(1 for m in got if not m.topic) >= 6 * (most or 0)


@proves("MQTT-3.3.2-7")
def test_aliases_towards_a_client_begin_anew_with_its_connection(stack, token):
    allowed = {**durable(5), "properties": (*durable(5)["properties"], (ALIAS_MAXIMUM, 4))}
    with open_client(stack.port, token, "p", 5) as p:
        with open_client(stack.port, token, "s", **allowed) as s:
            s.subscribe(("long/enough/#", 1))
            for i in range(3):
                p.publish("long/enough/topic", "x", qos=1, pid=i + 1)
            p.sync()
            assert [(m.topic, m.properties[ALIAS]) for m in messages(s.sync())] == [("long/enough/topic", 1), ("", 1), ("", 1)]
        with open_client(stack.port, token, "s", **durable(5)) as s:     # allows none; the three are sent again
            assert [(m.topic, m.properties.get(ALIAS)) for m in messages(s.sync())] == [("long/enough/topic", None)] * 3
        with open_client(stack.port, token, "s", **allowed) as s:
            assert [(m.topic, m.properties[ALIAS]) for m in messages(s.sync())] == [("long/enough/topic", 1), ("", 1), ("", 1)]


@proves("MQTT-3.1.2-24", "MQTT-3.1.2-25")
def test_an_alias_never_makes_a_message_too_large(stack, token):
    with open_client(stack.port, token, "p", 5) as p:
        for room in range(-1, 5):
            whole = 2 + 2 + len("long/topic") + 1 + 50
            with open_client(stack.port, token, "s", 5, properties=((ALIAS_MAXIMUM, 4), (PACKET_MAXIMUM, whole + room))) as s:
                s.subscribe("long/topic")
                for _ in range(3):
                    p.publish("long/topic", b"x" * 50)
                p.sync()
                assert len(messages(s.sync())) == (0 if room < 0 else 3)


# ---- Problem information, and properties that would make an answer too large ----

def answers(stack, customer, properties):
    """Every kind of answer, with refusals among them, as (kind, properties, user, size)."""
    token = customer.acl(("ok/#", "publish subscribe"))
    with open_client(stack.port, token, "c", 5, properties=properties) as c:
        c.send(subscribe("ok/a", "no", "bad/#/x", version=5) + unsubscribe("ok/a", "never", pid=3, version=5) + publish("no", "x", qos=1, pid=4, version=5) +
               publish("no", "x", qos=2, pid=5, version=5) + publish("ok/a", "x", qos=1, pid=6, version=5) + publish("ok/a", "x", qos=2, pid=7, version=5) +
               ack(PUBREL, 7, version=5) + ack(PUBREL, 99, version=5))
        packets = c.sync()
        c.subscribe(("ok/b", 2), pid=8)
        c.publish("ok/b", "x", qos=2, pid=9)
        more = c.sync()
        c.send(ack(PUBREC, messages(more)[0].pid, version=5) + ack(PUBREC, 77, version=5))
        packets += [p for p in more if p.kind != PUBLISH] + c.sync()
    assert {p.kind for p in packets} >= {SUBACK, UNSUBACK, PUBACK, PUBREC, PUBCOMP, PUBREL}
    return packets


@proves("MQTT-3.1.2-29")
def test_without_problem_information_no_answer_has_a_reason_string_or_user_properties(stack, customer):
    for p in answers(stack, customer, ((PROBLEM_INFO, 0),)):
        assert REASON not in p.properties and p.user == []


@pytest.mark.parametrize("most", [20, 30, 40, 60, 80])
@proves("MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2", "MQTT-3.5.2-3", "MQTT-3.6.2-2", "MQTT-3.6.2-3", "MQTT-3.7.2-2", "MQTT-3.7.2-3", "MQTT-3.9.2-1", "MQTT-3.9.2-2",
        "MQTT-3.11.2-1", "MQTT-3.11.2-2", "MQTT-3.1.2-24")
def test_no_reason_string_makes_an_answer_larger_than_the_client_takes(stack, customer, most):
    for p in answers(stack, customer, ((PACKET_MAXIMUM, most),)):
        assert len(p.body) + 2 <= most


@pytest.mark.parametrize("send", [subscribe, unsubscribe])
@proves("MQTT-3.1.2-24")
def test_no_acknowledgement_of_a_request_is_larger_than_the_client_takes(stack, token, send):
    with open_client(stack.port, token, "c", 5, properties=((PACKET_MAXIMUM, 20),)) as c:
        c.send(send(*["f/%d" % i for i in range(20)], version=5))
        try:
            packets = [c.read(1)]
        except (Closed, TimeoutError):
            packets = []
        assert all(len(p.body) + 2 <= 20 for p in packets)


@proves("MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1", "MQTT-3.9.3-2", "MQTT-3.11.3-2")
def test_every_answer_uses_a_code_of_its_own_table(stack, customer):
    tables = {PUBACK: {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}, PUBREC: {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}, PUBREL: {0, 0x92}, PUBCOMP: {0, 0x92},
              SUBACK: {0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}, UNSUBACK: {0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}}
    for p in answers(stack, customer, ()):
        for code in p.codes if p.kind in (SUBACK, UNSUBACK) else [p.code]:
            assert code in tables[p.kind], p
