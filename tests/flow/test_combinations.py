"""What two features of MQTT make of each other: take-over within a QoS 2 exchange, Will delay against session expiry, aliases of refused messages,
windows and the second half of QoS 2, overlapping filters after a resumed session. Each alone is proved in tests/conformance."""
import time

import pytest
from rawmqtt import (CONNACK, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK, Raw, ack, connect, disconnect, open_client, publish,
                     subscribe, unsubscribe)
from stack import wait_for

V = pytest.mark.parametrize("version", [4, 5])
KEPT = ((0x11, 600),)


def kept(port, token, name, version=5, properties=(), **more):
    """A client whose session outlives its connection."""
    return open_client(port, token, name, version, clean=False, properties=KEPT + tuple(properties) if version == 5 else (), **more)


@pytest.fixture
def token(stack):
    return stack.new_customer().token()


def names(packets):
    return [(p.topic, p.payload) for p in packets if p.kind == PUBLISH]


# ---- Take-over ----

@V
def test_a_take_over_between_pubrec_and_pubcomp_goes_on_where_it_was(stack, token, version):
    with kept(stack.port, token, "x", version) as old, open_client(stack.port, token, "", version) as p:
        old.subscribe(("t", 2))
        p.publish("t", "1", qos=2, pid=1).expect(PUBREC)
        p.publish("t", "2", qos=1, pid=2).expect(PUBACK)
        p.publish("t", "3", qos=2, pid=3).expect(PUBREC)
        first, second, third = (old.expect(PUBLISH) for _ in range(3))
        old.send(ack(PUBREC, first.pid, version=version)).expect(PUBREL)
        with kept(stack.port, token, "x", version) as new:
            assert new.present
            said = [(new.read()) for _ in range(3)]
            assert [(s.kind, s.pid) for s in said] == [(PUBREL, first.pid), (PUBLISH, second.pid), (PUBLISH, third.pid)]
            assert said[1].dup and said[2].dup and said[2].payload == b"3"
            new.send(ack(PUBCOMP, first.pid, version=version) + ack(PUBACK, second.pid, version=version) + ack(PUBREC, third.pid, version=version))
            assert new.expect(PUBREL).pid == third.pid
            new.send(ack(PUBCOMP, third.pid, version=version))
            assert new.settled() == []


@V
def test_what_a_publisher_began_with_qos_2_the_one_who_takes_over_ends(stack, token, version):
    with open_client(stack.port, token, "", version) as w, kept(stack.port, token, "x", version) as old:
        w.subscribe("t")
        old.publish("t", "1", qos=2, pid=7).expect(PUBREC)
        with kept(stack.port, token, "x", version) as new:
            new.publish("t", "1", qos=2, pid=7, dup=True).expect(PUBREC)
            assert new.send(ack(PUBREL, 7, version=version)).expect(PUBCOMP).code == 0
            assert new.send(ack(PUBREL, 7, version=version)).expect(PUBCOMP).code == (0x92 if version == 5 else 0)
            new.publish("t", "2", qos=2, pid=7).expect(PUBREC)
        with open_client(stack.port, token, "x", version) as clean:
            assert not clean.present
            assert clean.send(ack(PUBREL, 7, version=version)).expect(PUBCOMP).code == (0x92 if version == 5 else 0)
            clean.publish("t", "3", qos=2, pid=7).expect(PUBREC)
        w.expect(PUBLISH)
        w.expect(PUBLISH)
        assert w.expect(PUBLISH).payload == b"3"
        assert w.settled() == []


def test_a_take_over_in_another_version_keeps_what_is_under_way(stack, token):
    with kept(stack.port, token, "x", 5) as old, open_client(stack.port, token, "", 5) as p:
        old.subscribe(("t/#", 2), properties=((0x0B, 9),))
        p.publish("t/1", "1", qos=2, pid=1, properties=((0x26, "k", "v"), (0x08, "re/ply"), (0x02, 600), (0x01, 1))).expect(PUBREC)
        first = old.expect(PUBLISH)
        assert first.properties[0x0B] == [9] and first.user[-1:] == [("k", "v")]
        with kept(stack.port, token, "x", 4) as new:
            again = new.expect(PUBLISH)
            assert (again.pid, again.dup, again.qos, again.topic, again.payload) == (first.pid, True, 2, "t/1", b"1")
            assert new.send(ack(PUBREC, again.pid)).expect(PUBREL).pid == again.pid
        with kept(stack.port, token, "x", 5) as back:
            assert back.expect(PUBREL).pid == first.pid
            back.send(ack(PUBCOMP, first.pid, version=5))
            assert back.settled() == []


# ---- Wills ----

def willed(stack, token, name, expiry, delay, clean=False, more=()):
    return open_client(stack.port, token, name, 5, clean=clean, properties=((0x11, expiry),),
                       will=("w/" + name, "gone", 1, False, ((0x18, delay),) + tuple(more)))


def test_disconnect_0x04_with_another_expiry_sends_the_will_when_that_one_ends(stack, token):
    with open_client(stack.port, token, "", 5) as w:
        w.subscribe("w/#")
        with willed(stack, token, "now", 600, 600) as c:
            c.send(disconnect(4, ((0x11, 0),)))
            assert w.expect(PUBLISH).topic == "w/now"
        began = time.monotonic()
        with willed(stack, token, "soon", 600, 600) as c:
            c.send(disconnect(4, ((0x11, 1),)))
            assert w.expect(PUBLISH, 10).topic == "w/soon"
            assert time.monotonic() - began >= 0.9
        with willed(stack, token, "never", 1, 600) as c:
            c.send(disconnect(0, ((0x11, 1),)))
        for name in ("now", "soon"):
            with open_client(stack.port, token, name, 5, clean=False) as c:
                assert not c.present
        w.sync()
        assert w.quiet(1.3)


def test_who_starts_anew_before_the_delay_ends_the_session_and_the_will_is_sent(stack, token):
    with open_client(stack.port, token, "", 5) as w:
        w.subscribe("w/#")
        willed(stack, token, "x", 600, 600).close()
        with willed(stack, token, "x", 600, 600, clean=True) as c:
            assert not c.present
            assert w.expect(PUBLISH).topic == "w/x"
            c.send(disconnect())
        willed(stack, token, "y", 600, 600).close()
        with kept(stack.port, token, "y") as c:
            assert c.present
        assert w.settled() == []


def test_a_retained_will_expires_from_the_moment_it_is_sent(stack, token):
    with open_client(stack.port, token, "", 5) as w:
        w.subscribe("w/#")
        c = open_client(stack.port, token, "x", 5, will=("w/x", "gone", 1, True, ((0x02, 2),)))
        time.sleep(1.2)
        c.close()
        assert w.expect(PUBLISH).properties[0x02] == 2
        with open_client(stack.port, token, "", 5) as late:
            late.subscribe("w/#")
            got = late.expect(PUBLISH)
            assert got.retain and got.payload == b"gone" and got.properties[0x02] in (1, 2)
        time.sleep(2.3)
        with open_client(stack.port, token, "", 5) as later:
            later.subscribe("w/#")
            assert later.settled() == []


# ---- Windows ----

def test_the_second_half_of_qos_2_keeps_its_place_in_a_window_of_one(stack, token):
    with kept(stack.port, token, "x", properties=((0x21, 1),)) as c, open_client(stack.port, token, "", 5) as p:
        c.subscribe(("t", 2))
        for i in (1, 2, 3):
            p.publish("t", str(i), qos=2, pid=i).expect(PUBREC)
        first = c.expect(PUBLISH)
        c.send(ack(PUBREC, first.pid, version=5)).expect(PUBREL)
        assert c.settled() == []
        c.send(ack(PUBCOMP, first.pid, version=5))
        second = c.expect(PUBLISH)
        assert second.payload == b"2"
        c.send(ack(PUBREC, second.pid, 0x80, version=5))
        assert c.expect(PUBLISH).payload == b"3"
    with kept(stack.port, token, "x", properties=((0x21, 1),)) as c:
        third = c.expect(PUBLISH)
        assert third.payload == b"3" and third.dup
        c.send(unsubscribe("t", version=5)).expect(UNSUBACK)
        c.send(ack(PUBREC, third.pid, version=5)).expect(PUBREL)
        c.send(ack(PUBCOMP, third.pid, version=5))
        assert c.settled() == []


# ---- Aliases ----

def test_an_alias_is_set_by_a_message_that_is_refused_too(stack):
    token = stack.new_customer().acl(("ok/#", "publish"), ("#", "subscribe"))
    with open_client(stack.port, token, "", 5) as w, open_client(stack.port, token, "", 5) as c:
        w.subscribe("#")
        assert c.publish("no", "1", qos=1, pid=1, properties=((0x23, 1),)).expect(PUBACK).code == 0x87
        assert c.publish("", "2", qos=1, pid=2, properties=((0x23, 1),)).expect(PUBACK).code == 0x87
        assert c.publish("", "2", qos=2, pid=2, properties=((0x23, 1),)).expect(PUBREC).code == 0x87
        c.publish("no", "0", properties=((0x23, 2),)).publish("", "0", properties=((0x23, 2),))
        assert c.publish("ok/1", "3", qos=1, pid=3, properties=((0x23, 1),)).expect(PUBACK).code == 0
        assert c.publish("", "4", qos=2, pid=4, properties=((0x23, 1),)).expect(PUBREC).code == 0
        # the same again: a second PUBLISH of QoS 2 sets an alias as well
        assert c.publish("ok/2", "4", qos=2, pid=4, dup=True, properties=((0x23, 3),)).expect(PUBREC).code == 0
        assert c.publish("", "5", qos=1, pid=5, properties=((0x23, 3),)).expect(PUBACK).code == 0
        assert [w.expect(PUBLISH).topic for _ in range(3)] == ["ok/1", "ok/1", "ok/2"]
        assert w.settled() == []


# ---- Filters ----

def test_retain_handling_1_asks_whether_this_filter_is_new_and_not_whether_the_topic_is(stack, token):
    with open_client(stack.port, token, "", 5) as p:
        p.publish("a/b", "r", qos=1, pid=1, retain=True).expect(PUBACK)
    with kept(stack.port, token, "x") as c:
        assert c.subscribe(("a/+", 0x10)) == [0]
        assert names(c.settled()) == [("a/b", b"r")]
        assert c.subscribe(("a/#", 0x11), ("a/+", 0x12)) == [1, 2]
        assert names(c.settled()) == [("a/b", b"r")]
        assert c.subscribe(("$share/g/a/+", 0x10)) == [0]
        assert c.settled() == []
    with kept(stack.port, token, "x") as c:
        c.settled()
        assert c.subscribe(("a/+", 0x11), ("a/#", 0x11)) == [1, 1]
        assert names(c.settled()) == []
        c.send(unsubscribe("a/+", version=5)).expect(UNSUBACK)
        assert c.subscribe(("a/+", 0x10)) == [0]
        assert names(c.settled()) == [("a/b", b"r")]


def test_overlapping_filters_keep_their_identifiers_and_flags_over_a_session(stack, token):
    with kept(stack.port, token, "x") as c:
        c.subscribe(("a/+", 1), properties=((0x0B, 1),))
        c.subscribe(("a/#", 2 | 8), properties=((0x0B, 268435455),))
        c.subscribe(("+/b", 1 | 4))
    with open_client(stack.port, token, "", 5) as p:
        p.publish("a/b", "1", qos=2, pid=1, retain=True).expect(PUBREC)
    with kept(stack.port, token, "x") as c:
        got = [c.expect(PUBLISH) for _ in range(3)]
        assert sorted((g.properties.get(0x0B), g.qos, g.retain) for g in got if 0x0B in g.properties) == [([1], 1, False), ([268435455], 2, True)]
        assert [g.qos for g in got if 0x0B not in g.properties] == [1]
        for g in got:
            c.send(ack(PUBREC if g.qos == 2 else PUBACK, g.pid, version=5))
        c.send(ack(PUBCOMP, c.expect(PUBREL).pid, version=5))
        # its own message: not to the filter with No Local; without an identifier now
        c.subscribe(("a/+", 1 | 0x20))
        c.publish("a/b", "2")
        own = names(c.settled())
        assert own == [("a/b", b"2")] * 2


@V
def test_shares_of_dollar_names_are_refused_and_do_not_open_them(stack, token, version):
    over = 0x87 if version == 5 else 0x80
    with open_client(stack.port, token, "", version) as c:
        assert c.subscribe("$share/g/$SYS/#", "$share/g/$share/h/a", "$share/$g/a", "$share/g/+/x", "$share/g//x") == [over, over, 0, 0, 0]
        with open_client(stack.port, token, "", version) as p:
            p.publish("$x/x", "1", qos=1, pid=1).expect(PUBACK)
            p.publish("/x", "2", qos=1, pid=2).expect(PUBACK)
        assert names(c.settled()) == [("/x", b"2")] * 2


@V
def test_a_share_and_a_plain_filter_of_one_client_are_two_subscriptions(stack, token, version):
    with open_client(stack.port, token, "", version) as c:
        assert c.subscribe(("$share/g/t", 1), ("t", 1), ("$share/h/t", 1)) == [1, 1, 1]
        c.publish("t", "1")
        assert len(names(c.settled())) == (3 if version == 5 else 3)
        c.send(unsubscribe("t", version=version)).expect(UNSUBACK)
        c.publish("t", "2")
        assert len(names(c.settled())) == 2


# ---- Sizes ----

@V
def test_the_longest_strings_that_mqtt_can_say(stack, token, version):
    long = "x" * 65535
    with Raw(stack.port, version) as c:
        assert c.connect(long, token).code == (0x85 if version == 5 else 2)
    with Raw(stack.port, version) as c:
        c.send(connect("", long, version=version))
        assert all(p.kind == CONNACK and p.code in (4, 5, 0x86, 0x87) for p in c.closed())
    with Raw(stack.port, version) as c:
        c.send(connect("", token, version=version, will=(long, "x", 0, False)))
        assert [p.code for p in c.closed()] == ([0x90] if version == 5 else [])
    with open_client(stack.port, token, "", version) as c:
        assert c.subscribe(long, "/" * 65535, "a") == [0x8F, 0x8F, 0] if version == 5 else [0x80, 0x80, 0]
        c.send(unsubscribe(long, version=version)).expect(UNSUBACK)
        c.publish(long, "x", qos=1)
        assert [p.code for p in c.closed() if p.kind == DISCONNECT] == ([0x90] if version == 5 else [])


def test_a_v3_client_gets_exactly_the_bytes_of_a_message_with_every_property(stack, token):
    with open_client(stack.port, token, "", 4) as c, open_client(stack.port, token, "", 5) as p:
        c.subscribe(("t", 1))
        p.publish("t", b"\0payload", qos=1, pid=1, properties=((0x01, 0), (0x02, 9), (0x03, "text"), (0x08, "a/b"), (0x09, "c"), (0x23, 1),
                                                              (0x26, "k", "v"), (0x26, "k", "v"))).expect(PUBACK)
        got = c.expect(PUBLISH)
        assert (got.topic, got.payload, got.qos, got.retain, got.dup) == ("t", b"\0payload", 1, False, False)


def test_a_session_that_ends_with_its_take_over_sends_its_delayed_will(stack, token):
    """MQTT5 3.1.4, comment: with a Session Expiry of 0 the take-over ends the session, whatever the newcomer wants."""
    with open_client(stack.port, token, "", 5) as w:
        w.subscribe("w/#")
        with willed(stack, token, "x", 0, 600) as old, open_client(stack.port, token, "x", 5, clean=False) as new:
            assert not new.present
            assert old.expect(DISCONNECT).code == 0x8E
            assert w.expect(PUBLISH).topic == "w/x"


def test_our_receive_maximum_counts_the_second_half_of_qos_2_and_begins_anew(stack):
    token = stack.new_customer().token(limits={"mqtt_receive_maximum": 3})
    with kept(stack.port, token, "x") as c:
        assert c.connack.properties[0x21] == 3
        for i in (1, 2, 3):
            c.publish("t", "x", qos=2, pid=i).expect(PUBREC)
        c.publish("t", "x", qos=2, pid=3, dup=True).expect(PUBREC)
        c.send(ack(PUBREL, 1, version=5)).expect(PUBCOMP)
        c.publish("t", "x", qos=1, pid=4).expect(PUBACK)
        c.publish("t", "x", qos=2, pid=5).expect(PUBREC)
    with kept(stack.port, token, "x") as c:
        for i in (2, 3, 5):
            assert c.send(ack(PUBREL, i, version=5)).expect(PUBCOMP).code == 0
        for i in (2, 3, 5):
            c.publish("t", "x", qos=2, pid=i).expect(PUBREC)
        c.publish("t", "x", qos=2, pid=6)
        assert [p.code for p in c.closed()] == [0x93]


def test_an_expiry_of_0_is_for_those_who_are_here(stack, token):
    with open_client(stack.port, token, "", 5) as here, open_client(stack.port, token, "", 5) as p:
        kept(stack.port, token, "away").subscribe(("t", 1))
        with kept(stack.port, token, "away") as c:
            c.send(disconnect())
        here.subscribe(("t", 1))
        p.publish("t", "0", qos=1, pid=1, retain=True, properties=((0x02, 0),)).expect(PUBACK)
        assert here.expect(PUBLISH).properties[0x02] == 0
        with kept(stack.port, token, "away") as away:
            assert away.present and away.settled() == []
        with open_client(stack.port, token, "", 5) as late:
            late.subscribe("t")
            assert late.settled() == []


def test_an_identifier_that_changes_while_messages_wait(stack, token):
    with kept(stack.port, token, "x", properties=((0x21, 1),)) as c, open_client(stack.port, token, "", 5) as p:
        c.subscribe(("t", 1), properties=((0x0B, 1),))
        for i in (1, 2):
            p.publish("t", str(i), qos=1, pid=i).expect(PUBACK)
        first = c.expect(PUBLISH)
        c.subscribe(("t", 1), properties=((0x0B, 2),))
        p.publish("t", "3", qos=1, pid=3).expect(PUBACK)
        assert first.properties[0x0B] == [1]
        c.send(ack(PUBACK, first.pid, version=5))
        second = c.expect(PUBLISH)
        c.send(ack(PUBACK, second.pid, version=5))
        third = c.expect(PUBLISH)
        assert [second.payload, third.payload, third.properties[0x0B]] == [b"2", b"3", [2]]
        assert second.properties[0x0B] in ([1], [2])


@V
def test_a_request_and_its_answer_pass_both_ways_between_versions(stack, token, version):
    """Response Topic and Correlation Data reach a v5 responder as they were said, and the answer any requester; a v3 responder just sees the message."""
    with open_client(stack.port, token, "", 5, properties=((0x19, 1),)) as asks, open_client(stack.port, token, "", version) as answers:
        mine = asks.connack.properties[0x1A].decode() + "1"
        asks.subscribe((mine, 2))
        answers.subscribe(("ask/+", 2))
        asks.publish("ask/1", "?", qos=2, pid=9, properties=((0x08, mine), (0x09, b"\0\xff"))).expect(PUBREC)
        got = answers.expect(PUBLISH)
        if version == 5:
            assert got.properties[0x08].decode() == mine and got.properties[0x09] == b"\0\xff"
        answers.publish(mine, "!", qos=1, pid=3, properties=((0x09, b"\0\xff"),))
        back = asks.expect(PUBLISH)
        assert (back.topic, back.qos) == (mine, 1) and back.properties.get(0x09) == (b"\0\xff" if version == 5 else None)


@V
def test_connect_and_all_that_follows_in_one_segment_with_a_kept_session(stack, token, version):
    """CONNECT, SUBSCRIBE, a QoS 2 exchange and DISCONNECT before any answer was read."""
    p = dict(version=version)
    more = dict(properties=KEPT) if version == 5 else {}
    whole = (connect("x", token, clean=False, **p, **more) + subscribe(("t", 2), pid=3, **p) + publish("t", "1", qos=2, pid=4, **p) +
             ack(PUBREL, 4, **p) + publish("t", "2", qos=1, pid=5, **p) + disconnect())
    with Raw(stack.port, version) as c:
        c.send(whole)
        assert c.closed()[0].kind == CONNACK
    with kept(stack.port, token, "x", version) as c:
        assert c.present and [(q.payload, q.qos) for q in (c.expect(PUBLISH), c.expect(PUBLISH))] == [(b"1", 2), (b"2", 1)]


@V
def test_a_qos_2_message_that_is_refused_when_it_comes_again_does_not_keep_its_id(stack, version):
    """It was accepted; then its connection broke, its token lost the right, and it came again. With 0x87 the id is free for another message."""
    customer = stack.new_customer()
    acl = [{"uri": "mqtt", "topic": "#", "actions": ["publish", "subscribe"]}]
    token = customer.token(access={"type": 2, "acl": acl})
    with open_client(stack.port, customer.token(), "", version) as w:
        w.subscribe("#")
        with kept(stack.port, token, "x", version) as c:
            c.publish("a/1", "1", qos=2, pid=7).expect(PUBREC)
        acl[0]["topic"] = "b/#"
        assert customer.rest("PUT", "/platform/tokens/%d" % token.id, {"access": {"type": 2, "acl": acl}})[0] == 200
        with kept(stack.port, token, "x", version) as c:
            wait_for(lambda: c.subscribe("a/1") != [0], 5)
            answer = c.publish("a/1", "1", qos=2, pid=7, dup=True).expect(PUBREC)
            if version == 5:
                assert answer.code == 0x87
            else:
                c.send(ack(PUBREL, 7)).expect(PUBCOMP)
            assert c.publish("b/1", "2", qos=2, pid=7).expect(PUBREC).code == 0
            assert c.send(ack(PUBREL, 7, version=version)).expect(PUBCOMP).code == 0
            assert c.settled() == []
        assert names(w.settled()) == [("a/1", b"1"), ("b/1", b"2")]


@V
@pytest.mark.parametrize("away", [False, True])
def test_a_qos_2_delivery_whose_right_is_lost_in_the_middle_is_ended_with_pubrel(stack, version, away):
    """The client has the message, or may have it: without a PUBREL it would wait for one for ever, and take the next message under that id for it."""
    customer = stack.new_customer()
    acl = [{"uri": "mqtt", "topic": "#", "actions": ["publish", "subscribe"]}]
    token = customer.token(access={"type": 2, "acl": acl})
    c = kept(stack.port, token, "x", version)
    c.subscribe(("a/#", 2), ("b/#", 2))
    with open_client(stack.port, customer.token(), "", version) as p:
        p.publish("a/1", "1", qos=2, pid=1).expect(PUBREC)
        first = c.expect(PUBLISH)
        if away:
            c.close()
        acl[0]["topic"] = "b/#"
        assert customer.rest("PUT", "/platform/tokens/%d" % token.id, {"access": {"type": 2, "acl": acl}})[0] == 200
        if away:
            wait_for(lambda: refused(stack, token, version), 5)
            c = kept(stack.port, token, "x", version)
            assert c.present
        else:
            wait_for(lambda: c.subscribe("a/1") != [0], 5)
            c.send(ack(PUBREC, first.pid, version=version))
        assert c.expect(PUBREL).pid == first.pid
        c.send(ack(PUBCOMP, first.pid, version=version))
        p.publish("a/1", "2", qos=2, pid=2).expect(PUBREC)
        p.publish("b/1", "3", qos=2, pid=3).expect(PUBREC)
        assert names(c.settled()) == [("b/1", b"3")]
    c.close()


def refused(stack, token, version):
    with open_client(stack.port, token, "", version) as c:
        return c.subscribe("a/1") != [0]


def test_a_qos_2_delivery_that_comes_again_and_is_too_large_now_is_ended_with_pubrel(stack, token):
    with kept(stack.port, token, "x") as c:
        c.subscribe(("t", 2))
        with open_client(stack.port, token, "", 5) as p:
            p.publish("t", "x" * 200, qos=2, pid=1).expect(PUBREC)
        first = c.expect(PUBLISH)
    with kept(stack.port, token, "x", properties=((0x27, 100),)) as c:
        assert c.present and c.expect(PUBREL).pid == first.pid
        c.send(ack(PUBCOMP, first.pid, 0x92, version=5))
        assert c.settled() == []


@V
def test_what_a_member_of_a_group_may_not_have_any_more_goes_to_another(stack, version):
    customer = stack.new_customer()
    acl = [{"uri": "mqtt", "topic": "#", "actions": ["publish", "subscribe"]}]
    token = customer.token(access={"type": 2, "acl": acl})
    with kept(stack.port, token, "a", version) as a, kept(stack.port, customer.token(), "b", version) as b, \
            open_client(stack.port, customer.token(), "", version) as p:
        for c in (a, b):
            c.subscribe(("$share/g/t/#", 1))
        for i in range(1, 21):
            p.publish("t/%d" % i, "x", qos=1, pid=i).expect(PUBACK)
        first, lost = names(b.settled()), names(a.settled())
        assert lost and len(first) + len(lost) == 20
        acl[0]["topic"] = "other/#"
        assert customer.rest("PUT", "/platform/tokens/%d" % token.id, {"access": {"type": 2, "acl": acl}})[0] == 200
        moved = [(q.topic, q.payload) for q in (b.expect(PUBLISH) for _ in lost)]
        assert sorted(first + moved) == sorted(("t/%d" % i, b"x") for i in range(1, 21))


# ---- Retained messages ----

@V
def test_retained_messages_that_had_no_room_yet_come_on_the_next_connection(stack, version):
    customer = stack.new_customer()
    token = customer.token(limits={"mqtt_session_messages": 20})
    with open_client(stack.port, customer.token(), "", version) as p:
        for i in range(300):
            p.publish("r/%03d" % i, "x", qos=1, pid=i + 1, retain=True).expect(PUBACK)
    window = ((0x21, 10),) if version == 5 else ()
    with kept(stack.port, token, "x", version, properties=window) as c:
        c.send(subscribe(("r/#", 1), version=version))
        c.expect(SUBACK)
        c.expect(PUBLISH)
    got, breaks = set(), 0
    while len(got) < 300:
        with kept(stack.port, token, "x", version, properties=window) as c:
            assert c.present
            for _ in range(120):
                if len(got) == 300:
                    break
                p = c.expect(PUBLISH)
                got.add(p.topic)
                c.send(ack(PUBACK, p.pid, version=version))
        breaks += 1
    assert breaks >= 3
