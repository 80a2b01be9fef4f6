"""Attacks C01 to C20: the ACL. One test per id."""
import random
import time

import pytest
from rawmqtt import CONNACK, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Raw, ack, connect, disconnect, open_client, publish, subscribe
from stack import wait_for

V = pytest.mark.parametrize("version", [4, 5])


def stay(version):
    """Of a session that outlives its connection."""
    return {"clean": False, **({"properties": ((0x11, 300),)} if version == 5 else {})}


def mqtt(*grants):
    return {"type": 2, "acl": [{"uri": "mqtt", "topic": t, "actions": a.split()} for t, a in grants]}


@pytest.mark.parametrize("version,code", [(4, 5), (5, 0x87)])
def test_C01_a_will_on_a_denied_topic_is_refused_at_connect(stack, customer, version, code):
    with Raw(stack.port, version) as c:
        c.send(connect("w", customer.acl(("a", "publish")), version=version, will=("b", "x", 0, False)))
        assert c.expect(CONNACK).code == code


def test_C02_a_delayed_will_whose_right_was_lost_is_not_sent(stack, customer):
    token = customer.acl(("w/#", "publish"))
    with open_client(stack.port, customer.token(), "watch") as w:
        w.subscribe("w/#")
        will = ("w/x", "late", 0, False, ((0x18, 3),))
        c = open_client(stack.port, token, "d", 5, clean=False, properties=((0x11, 60),), will=will)
        c.close()
        time.sleep(0.3)
        customer.change_token(token, access=mqtt(("other", "publish")))
        time.sleep(4.5)
        assert [p for p in w.sync() if p.kind == PUBLISH] == []


@V
def test_C02_a_will_of_a_live_session_that_lost_the_right_is_not_sent(stack, customer, version):
    token, prober = customer.acl(("w/#", "publish"), ("live", "publish")), None
    with open_client(stack.port, customer.token(), "watch") as w:
        w.subscribe("w/#")
        c = open_client(stack.port, token, "d", version, will=("w/x", "late", 0, False))
        prober = open_client(stack.port, token, "prober", 5)    # v3 has no word for it
        customer.change_token(token, access=mqtt(("live", "publish")))

        def lost():
            prober.publish("w/probe", "x", qos=1)
            return [p for p in prober.sync() if p.kind == PUBACK and p.code == 0x87]
        wait_for(lost, 5, 0.1)
        time.sleep(0.3)    # another worker hears of it in the same moment, but nobody promises which is first
        c.sync()
        w.sync()
        c.close()
        prober.close()
        time.sleep(0.7)
        assert [p.topic for p in w.sync() if p.kind == PUBLISH and p.topic != "w/probe"] == []


@V
def test_C03_retained_messages_of_a_revoked_token_are_not_given_to_new_subscribers(stack, customer, version):
    token, good = customer.token(), customer.token()
    with open_client(stack.port, token, version=version) as c:
        c.publish("r/bad", "x", qos=1, retain=True).sync()
    with open_client(stack.port, good, version=version) as c:
        c.publish("r/good", "x", qos=1, retain=True).sync()
    customer.delete_token(token)

    def hidden():
        with open_client(stack.port, good, version=version) as c:
            c.subscribe("r/#")
            return [p.topic for p in c.settled() if p.kind == PUBLISH] == ["r/good"]
    wait_for(hidden, 5, 0.2)


@V
def test_C04_retained_messages_are_filtered_one_by_one(stack, customer, version):
    with open_client(stack.port, customer.token()) as p, open_client(stack.port, customer.acl(("a/+/ok", "subscribe")), version=version) as c:
        for i, t in enumerate(("a/1/ok", "a/1/no", "a/2/ok", "b/1/ok")):
            p.publish(t, "x", qos=1, pid=i + 1, retain=True)
        p.sync()
        c.subscribe("#")
        assert [m.topic for m in c.settled() if m.kind == PUBLISH] == ["a/1/ok", "a/2/ok"]


@V
def test_C05_what_waits_in_flight_and_in_the_queue_is_not_sent_after_the_right_was_lost(stack, customer, version):
    token = customer.acl(("a", "subscribe"), ("b", "subscribe"))
    c = open_client(stack.port, token, "q", version, **stay(version))
    c.subscribe(("a", 1), ("b", 2))
    with open_client(stack.port, customer.token()) as p:
        p.publish("b", "1", qos=2)
        p.publish("a", "2", qos=1, pid=2)
        p.sync()
        assert [c.expect(PUBLISH).topic for _ in range(2)] == ["b", "a"]
        c.close()
        p.publish("b", "3", qos=1, pid=3)
        p.publish("a", "4", qos=1, pid=4)
        p.sync()
    customer.change_token(token, access=mqtt(("a", "subscribe")))
    time.sleep(0.5)
    c = open_client(stack.port, token, "q", version, **stay(version))
    got = [m for m in c.sync() if m.kind == PUBLISH]
    assert [(m.topic, m.payload) for m in got] == [("a", b"2"), ("a", b"4")] and got[0].dup
    c.close()


@V
def test_C06_a_qos_2_publish_takes_effect_once_under_the_right_of_that_moment(stack, customer, version):
    """We pass the message on at PUBLISH (method B), so PUBREL after the right was lost has nothing left to release: see docs/architecture.md."""
    token = customer.acl(("a", "publish"), ("b", "publish"))
    with open_client(stack.port, customer.token()) as w, open_client(stack.port, token, "p", version) as c:
        w.subscribe("#")
        c.publish("a", "1", qos=2, pid=1)
        assert c.expect(PUBREC).code in (0, 0x10)
        assert w.expect(PUBLISH).payload == b"1"
        customer.change_token(token, access=mqtt(("b", "publish")))

        def narrowed():
            c.publish("a", "probe", qos=1, pid=50)
            c.sync()
            return [p for p in w.sync() if p.kind == PUBLISH] == []
        wait_for(narrowed, 5, 0.1)
        c.send(ack(PUBREL, 1, version=version))
        assert c.expect(PUBCOMP).code == 0
        c.publish("a", "2", qos=2, pid=2)
        assert c.expect(PUBREC).code == (0x87 if version == 5 else 0)
        assert [p for p in w.sync() if p.kind == PUBLISH] == []


@V
def test_C07_a_durable_subscription_is_judged_again_when_the_session_resumes(stack, customer, version):
    token = customer.acl(("a", "subscribe"), ("b", "subscribe"))
    c = open_client(stack.port, token, "d", version, **stay(version))
    c.subscribe(("#", 1))
    c.close()
    customer.change_token(token, access=mqtt(("b", "subscribe")))
    time.sleep(0.5)
    c = open_client(stack.port, token, "d", version, **stay(version))
    assert c.present == 1
    with open_client(stack.port, customer.token()) as p:
        p.publish("a", "no", qos=1)
        p.publish("b", "yes", qos=1, pid=2)
        p.sync()
    assert [m.topic for m in c.sync() if m.kind == PUBLISH] == ["b"]
    c.close()


@V
def test_C08_each_filter_of_a_subscribe_is_judged_on_its_own(stack, customer, version):
    with open_client(stack.port, customer.acl(("a", "subscribe")), version=version) as c:
        assert c.subscribe(("a", 1), ("b", 1), ("a", 2)) == [1, 0x87 if version == 5 else 0x80, 2]


@V
def test_C09_a_shared_filter_is_judged_without_its_group(stack, customer, version):
    no = 0x87 if version == 5 else 0x80
    with open_client(stack.port, customer.acl(("ok/#", "subscribe"), ("g/#", "subscribe")), version=version) as c:
        assert c.subscribe("$share/g/secret/#", "$share/ok/secret", "$share/g/ok/1") == [no, no, 0]


@V
def test_C10_a_wider_filter_is_granted_and_cut_to_the_grant(stack, customer, version):
    with open_client(stack.port, customer.acl(("a/1", "subscribe")), version=version) as c, open_client(stack.port, customer.token()) as p:
        assert c.subscribe("a/+") == [0]
        p.publish("a/2", "no", qos=1)
        p.publish("a/1", "yes", qos=1, pid=2)
        p.sync()
        assert [m.topic for m in c.sync() if m.kind == PUBLISH] == ["a/1"]


@V
def test_C11_grants_match_by_meaning_not_by_text(stack, customer, version):
    """A sample over TCP; ten million pairs against a naive model are in tests/unit/wire_topic.c."""
    cases = [("a/#", "a", True), ("a/+", "a", False), ("a/+", "a/", True), ("/+", "/x", True), ("+/x", "/x", True), ("a/#", "ab", False), ("#", "a/b", True),
             ("a/+/c", "a//c", True), ("a", "a/", False), ("A", "a", False)]
    with open_client(stack.port, customer.token()) as w:
        w.subscribe("#")
        for grant, topic, allowed in cases:
            with open_client(stack.port, customer.acl((grant, "publish subscribe")), version=version) as c:
                c.publish(topic, "x", qos=1)
                assert version < 5 or [(p.code != 0x87) for p in c.sync()] == [allowed], (grant, topic)
                c.sync()
                assert [p.topic for p in w.sync() if p.kind == PUBLISH] == ([topic] if allowed else []), (grant, topic)
                c.subscribe("#")
                w.publish(topic, "y", qos=1).sync()
                assert [p.topic for p in c.sync() if p.kind == PUBLISH] == ([topic] if allowed else []), (grant, topic)


@V
def test_C12_names_with_wildcard_characters_never_become_patterns(stack, customer, version):
    """We have no %c or %u in grants: they are literal. An id with wildcards is a name like any other: its log is one level, its session its own."""
    token = customer.acl(("dev/%c/#", "publish subscribe"))
    with open_client(stack.port, token, "lamp", version) as c:
        c.subscribe("#")
        c.publish("dev/lamp/x", "x", qos=1)
        c.publish("dev/%c/x", "x", qos=1, pid=2)
        assert [p.topic for p in c.sync() if p.kind == PUBLISH] == ["dev/%c/x"]
    with open_client(stack.port, token, "lamp", version) as lamp, open_client(stack.port, customer.master) as log:
        assert log.subscribe("flespi/log/mqtt/sessions/+/connected") == [0]
        for name, level in (("+", "%2B"), ("#", "%23"), ("a/+/b", "a%2F%2B%2Fb"), ("lamp#", "lamp%23")):
            with open_client(stack.port, token, name, version):
                assert log.expect(PUBLISH).topic == "flespi/log/mqtt/sessions/%s/connected" % level
        assert [p.kind for p in lamp.sync()] == []


@V
@pytest.mark.parametrize("topic", ["Secret", "SECRET", "secret%2F", "secre\u0074\u0301", "s\u0435cret", "secret/", "/secret", "secret//"])
def test_C13_other_spellings_of_a_denied_topic_are_other_topics(stack, customer, version, topic):
    with open_client(stack.port, customer.acl(("open", "publish")), version=version) as c, open_client(stack.port, customer.token()) as w:
        w.subscribe("#")
        c.publish(topic, "x", qos=1)
        assert [p.code for p in c.sync()] == [0x87 if version == 5 else 0]
        assert [p for p in w.sync() if p.kind == PUBLISH] == []


@V
def test_C14_an_empty_acl_denies_everything_and_a_broken_one_is_refused(stack, customer, version):
    with open_client(stack.port, customer.token(access={"type": 2, "acl": []}), version=version) as c, open_client(stack.port, customer.token()) as w:
        w.subscribe("#")
        assert c.subscribe("#", "a") == [0x87 if version == 5 else 0x80] * 2
        c.publish("a", "x", qos=1)
        assert [p.code for p in c.sync()] == [0x87 if version == 5 else 0]
        assert [p for p in w.sync() if p.kind == PUBLISH] == []
    for broken in ({"type": 2, "acl": "all"}, {"type": 2, "acl": [{}]}, {"type": 2, "acl": [{"uri": "mqtt", "topic": "a", "actions": ["destroy"]}]}, {"type": "2"}, {}):
        assert customer.rest("POST", "/platform/tokens", [{"ttl": 10, "access": broken}])[0] == 400, broken


@V
def test_C15_a_denied_publish_is_counted_and_has_no_effect(stack, customer, version):
    with open_client(stack.port, customer.master, "watch", 5) as w, open_client(stack.port, customer.acl(("a", "publish")), "denied", version) as c:
        w.subscribe("#")
        for _ in range(7):
            c.publish("no", "x", qos=1)
        c.sync()
        c.send(disconnect())
        c.closed()
        import json

        def record():
            for p in w.sync():
                if p.kind == PUBLISH:
                    assert p.topic.startswith("flespi/"), p.topic
                    if p.topic.endswith("denied/disconnected"):
                        return json.loads(p.payload)
        assert wait_for(record)["rejected"] == 7


def test_C16_the_right_is_judged_on_the_topic_behind_the_alias(stack, customer):
    with open_client(stack.port, customer.acl(("ok", "publish")), version=5) as c, open_client(stack.port, customer.token()) as w:
        w.subscribe("#")
        c.publish("no", "1", qos=1, pid=1, properties=((0x23, 1),))
        c.publish("", "2", qos=1, pid=2, properties=((0x23, 1),))
        c.publish("ok", "3", qos=1, pid=3, properties=((0x23, 1),))
        c.publish("", "4", qos=1, pid=4, properties=((0x23, 1),))
        assert [p.code == 0x87 for p in sorted(c.sync(), key=lambda p: p.pid)] == [True, True, False, False]
        assert [p.payload for p in w.sync() if p.kind == PUBLISH] == [b"3", b"4"]


@V
def test_C17_a_change_during_a_burst_is_never_half_applied(stack, customer, version):
    """Two ACLs alternate, {a,b} and {c,d}; every burst of four publishes in one segment is judged under one of them, whole."""
    one, two = mqtt(("a", "publish"), ("b", "publish")), mqtt(("c", "publish"), ("d", "publish"))
    token = customer.token(access=one)
    rng = random.Random(17)
    with open_client(stack.port, token, version=version) as c, open_client(stack.port, customer.token()) as w:
        w.subscribe("#")
        seen = set()
        for i in range(12):
            customer.change_token(token, access=(two, one)[i % 2])
            for _ in range(rng.randrange(5, 25)):
                c.send(b"".join(publish(t, "x", qos=1, pid=n + 1, version=version) for n, t in enumerate("abcd")))
                answers = sorted(c.sync(), key=lambda p: p.pid)
                through = {p.topic for p in w.sync() if p.kind == PUBLISH}
                verdict = tuple(t in through for t in "abcd")
                assert version < 5 or verdict == tuple(p.code != 0x87 for p in answers)
                assert verdict in ((True, True, False, False), (False, False, True, True))
                seen.add(verdict)
        assert len(seen) == 2


@V
def test_C18_a_denied_delivery_does_not_disconnect_the_subscriber(stack, customer, version):
    with open_client(stack.port, customer.acl(("a", "subscribe")), version=version) as c, open_client(stack.port, customer.token()) as p:
        c.subscribe(("#", 1))
        for i in range(50):
            p.publish("b/%d" % i, "x", qos=1, pid=i + 1)
        p.publish("a", "x", qos=1, pid=100)
        p.sync()
        assert [m.topic for m in c.sync()] == ["a"]


@V
def test_C19_retain_and_qos_follow_the_publish_grant(stack, customer, version):
    """Grants do not tell QoS or retain apart (flespi's do not either): who may publish may retain. A denied one leaves nothing retained."""
    with open_client(stack.port, customer.acl(("ok", "publish")), version=version) as c:
        c.publish("ok", "x", qos=1, retain=True)
        c.publish("no", "x", qos=2, pid=2, retain=True)
        c.sync()
    with open_client(stack.port, customer.token()) as w:
        w.subscribe("#")
        assert [(p.topic, p.retain) for p in w.settled() if p.kind == PUBLISH] == [("ok", True)]


@V
def test_C20_every_other_packet_has_a_row_too(stack, customer, version):
    """DISCONNECT-with-Will, PUBREL and UNSUBSCRIBE of a token without rights have no effect on others."""
    with open_client(stack.port, customer.token()) as w:
        w.subscribe("#")
        with open_client(stack.port, customer.token(access={"type": 2, "acl": []}), version=version) as c:
            c.send(ack(PUBREL, 1, version=version) + ack(PUBACK, 1, version=version) + subscribe("#", version=version))
            kinds = [p.kind for p in c.sync()]
            assert sorted(kinds) == sorted([PUBCOMP, SUBACK])
            if version == 5:
                c.send(disconnect(0x04))
                assert [p for p in c.closed() if p.kind == DISCONNECT] == []
        assert [p for p in w.sync() if p.kind == PUBLISH] == []
