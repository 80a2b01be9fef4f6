"""QoS 0, 1 and 2, retained messages, Wills, sessions that outlive the connection, take-over: with three client libraries and raw packets."""
import json
import time

import pytest
from clients import MosquittoSub, MqttJs, Paho, mosquitto_pub
from rawmqtt import DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, ack, disconnect, open_client, publish
from stack import SLOW, Stopwatch, wait_for


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_messages_arrive_once_in_order_with_their_qos(stack, customer, version, qos):
    token = customer.token()
    with Paho(stack.port, token, "sub", version) as s, Paho(stack.port, token, "pub", version) as p:
        s.subscribe("n/#", qos)
        for i in range(200):
            p.publish("n/%d" % (i % 7), str(i), qos=qos, wait=False)
        got = s.take(200)
        assert [m[1] for m in got] == [b"%d" % i for i in range(200)]
        assert {m[2] for m in got} == {qos}
        assert s.messages.empty()


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqttjs_messages_arrive_with_their_qos(stack, customer, version, qos):
    token = customer.token()
    with MqttJs(stack.port, token, "js-sub", version) as s, MqttJs(stack.port, token, "js-pub", version) as p:
        s.subscribe("js/#", qos)
        for i in range(20):
            assert p.publish("js/x", str(i), qos=qos)["error"] is None
        assert [s.message()["payload"] for _ in range(20)] == [str(i) for i in range(20)]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_lower_of_both_qos_counts(stack, customer, qos):
    token = customer.token()
    with Paho(stack.port, token, "s") as s, Paho(stack.port, token, "p") as p:
        s.subscribe("x", 1)
        p.publish("x", "m", qos=qos)
        assert s.get()[2] == min(qos, 1)


@pytest.mark.parametrize("version", [3, 4, 5])
def test_who_says_goodbye_and_comes_back_at_once_loses_nothing_and_has_no_will(stack, customer, version):
    """Whichever worker the new connection comes to, what was said on the old one comes first."""
    token = customer.token()
    with open_client(stack.port, token, "watch", version) as w:
        w.subscribe("#")
        for i in range(90):
            c = open_client(stack.port, token, "c%d" % (i // 30), version, will=("will", "gone", 0, False))
            c.send(publish("x", "%d" % i, version=version) + disconnect())
            c.close()
        got = [w.expect(PUBLISH) for _ in range(90)]
        assert [(m.topic, m.payload) for m in got] == [("x", b"%d" % i) for i in range(90)]
        assert [p for p in w.sync() if p.kind == PUBLISH] == []


@pytest.mark.parametrize("version", [3, 4, 5])
def test_what_was_sent_before_a_take_over_arrives(stack, customer, version):
    """Without DISCONNECT: the second connection takes the session over, after all that has arrived on the first one. 50 KB is less than the window of a fresh
    connection, so that none of it waits in the client's kernel."""
    token = customer.token()
    with open_client(stack.port, token, "watch", version) as w:
        w.subscribe("#")
        for i in range(16):
            old = open_client(stack.port, token, "same%d" % (i % 4), version)
            old.send(publish("x", b"y" * 500, version=version) * 96)
            with open_client(stack.port, token, "same%d" % (i % 4), version):
                assert [w.expect(PUBLISH).topic for _ in range(96)] == ["x"] * 96
                old.closed()


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_session_that_outlives_its_connection_gets_what_came_meanwhile(stack, customer, version):
    token = customer.token()
    s = Paho(stack.port, token, "durable", version, clean=False, expiry=300)
    s.subscribe("q/#", 2)
    s.close()
    for i in range(10):
        assert mosquitto_pub(stack.port, token, "q/%d" % i, str(i), qos=i % 3 or 1)[0] == 0
    s = Paho(stack.port, token, "durable", version, clean=False, expiry=300)
    # paho hands a QoS 2 message on when PUBREL comes, so the order is kept within a QoS
    got = s.take(10)
    for qos in (1, 2):
        assert [m[1] for m in got if m[2] == qos] == [b"%d" % i for i in range(10) if (i % 3 or 1) == qos]
    if version > 3:
        assert s.present == 1
    s.close()
    with Paho(stack.port, token, "durable", version, clean=True) as s:
        assert not s.present


def test_a_clean_session_forgets(stack, customer):
    token = customer.token()
    with open_client(stack.port, token, "c") as c:
        c.subscribe(("x", 1))
    with open_client(stack.port, token, "p") as p:
        p.publish("x", "lost", qos=1).sync()
    with open_client(stack.port, token, "c", clean=False) as c:
        assert c.present == 0
        assert c.sync() == []


def test_a_session_expires_after_its_interval(stack, customer):
    token = customer.token()
    with open_client(stack.port, token, "e", 5, clean=False, properties=((0x11, 1),)) as c:
        c.subscribe(("x", 1))
    time.sleep(2.2)
    with open_client(stack.port, token, "e", 5, clean=False, properties=((0x11, 1),)) as c:
        assert c.present == 0


def test_unacknowledged_messages_are_sent_again_in_order_with_dup(stack, customer):
    token = customer.token()
    c = open_client(stack.port, token, "r", clean=False)
    c.subscribe(("x/#", 2))
    with open_client(stack.port, token, "p") as p:
        for i in range(3):
            p.publish("x/%d" % i, str(i), qos=1 + i % 2, pid=i + 1)
        p.sync()
    first = [c.expect(PUBLISH) for _ in range(3)]
    assert [(m.payload, m.dup) for m in first] == [(b"0", False), (b"1", False), (b"2", False)]
    c.send(ack(PUBREC, first[1].pid))
    assert c.expect(PUBREL).pid == first[1].pid
    c.close()
    c = open_client(stack.port, token, "r", clean=False)
    again = [c.read() for _ in range(3)]
    assert [(m.kind, m.pid) for m in again] == [(PUBLISH, first[0].pid), (PUBREL, first[1].pid), (PUBLISH, first[2].pid)]
    assert again[0].dup and again[2].dup
    c.send(ack(PUBACK, first[0].pid) + ack(PUBCOMP, first[1].pid) + ack(PUBACK, first[2].pid))
    c.sync()
    c.close()
    c = open_client(stack.port, token, "r", clean=False)
    assert c.sync() == []
    c.close()


def test_a_qos_2_message_published_twice_with_one_id_is_delivered_once(stack, customer):
    token = customer.token()
    with open_client(stack.port, token, "s") as s, open_client(stack.port, token, "p", clean=False) as p:
        s.subscribe("x")
        p.publish("x", "once", qos=2, pid=5)
        assert p.expect(PUBREC).pid == 5
        p.publish("x", "once", qos=2, pid=5, dup=True)
        assert p.expect(PUBREC).pid == 5
        p.send(ack(PUBREL, 5))
        assert p.expect(PUBCOMP).pid == 5
        assert [m.payload for m in s.sync()] == [b"once"]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_retained_messages_are_replayed_replaced_and_cleared(stack, customer, version):
    token = customer.token()
    with open_client(stack.port, token, "p", version) as p:
        p.publish("r/1", "old", qos=1, retain=True)
        p.publish("r/1", "new", qos=1, pid=2, retain=True)
        p.publish("r/2", "gone", qos=1, pid=3, retain=True)
        p.publish("r/2", "", qos=1, pid=4, retain=True)
        p.sync()
        with open_client(stack.port, token, "s", version) as s:
            s.subscribe("r/+")
            m = s.expect(PUBLISH)
            assert (m.topic, m.payload, m.retain) == ("r/1", b"new", True)
            assert s.sync() == []
            p.publish("r/1", "live", qos=1, pid=5, retain=True).sync()
            assert [(m.payload, m.retain) for m in s.sync()] == [(b"live", False)]


def test_the_will_is_sent_when_the_connection_is_cut_and_not_after_disconnect(stack, customer):
    token = customer.token()
    with MosquittoSub(stack.port, token, "will/#") as watcher:
        c = open_client(stack.port, token, "w1", will=("will/1", "dead", 1, False))
        c.close()
        watcher.expect("will/1 dead")
        c = open_client(stack.port, token, "w2", will=("will/2", "dead", 1, False))
        c.send(disconnect())
        c.closed()
        c = open_client(stack.port, token, "w3", 5, will=("will/3", "asked for", 1, False))
        c.send(disconnect(0x04))
        watcher.expect("will/3 asked for")
        assert watcher.lines() == ["will/1 dead", "will/3 asked for"]


def test_a_delayed_will_waits_and_is_called_off_by_the_same_session(stack, customer):
    token = customer.token()
    with MosquittoSub(stack.port, token, "will/#") as watcher:
        will = ("will/d", "late", 0, False, ((0x18, 2),))
        c = open_client(stack.port, token, "d", 5, clean=False, properties=((0x11, 60),), will=will)
        c.close()
        time.sleep(0.5)
        assert watcher.lines() == []
        c = open_client(stack.port, token, "d", 5, clean=False, properties=((0x11, 60),), will=will)
        time.sleep(2.5)
        assert watcher.lines() == []
        c.close()
        watcher.expect("will/d late", 6)


def test_the_second_client_with_an_id_takes_the_session_over(stack, customer):
    token = customer.token()
    a = open_client(stack.port, token, "same", 5)
    b = open_client(stack.port, token, "same", 5)
    assert [(p.kind, p.code) for p in a.closed()] == [(DISCONNECT, 0x8E)]
    b.sync()
    b.close()


def test_a_take_over_keeps_what_was_queued(stack, customer):
    token = customer.token()
    a = open_client(stack.port, token, "same", clean=False)
    a.subscribe(("x", 1))
    with open_client(stack.port, token, "p") as p:
        p.publish("x", "1", qos=1).sync()
    assert a.expect(PUBLISH).payload == b"1"
    b = open_client(stack.port, token, "same", clean=False)
    assert b.present == 1
    m = b.expect(PUBLISH)
    assert (m.payload, m.dup) == (b"1", True)
    b.close()


def test_the_queue_of_an_absent_session_is_bounded(stack, customer):
    token = customer.token(limits={"mqtt_session_messages": 50})
    c = open_client(stack.port, token, "full", clean=False)
    c.subscribe(("x", 1))
    c.close()
    with open_client(stack.port, customer.token(), "p") as p:
        for i in range(200):
            p.publish("x", "%d" % i, qos=1, pid=i + 1)
        p.sync()
    c = open_client(stack.port, token, "full", clean=False)
    got = []
    while True:
        packets = [m for m in c.sync() if m.kind == PUBLISH]
        if not packets:
            break
        got += [m.payload for m in packets]
        c.send(b"".join(ack(PUBACK, m.pid) for m in packets))
    assert got == [b"%d" % i for i in range(50)]
    c.close()


def test_a_message_expires_in_the_queue(stack, customer):
    token = customer.token()
    c = open_client(stack.port, token, "x", 5, clean=False, properties=((0x11, 60),))
    c.subscribe(("x", 1))
    c.close()
    with open_client(stack.port, token, "p", 5) as p:
        p.publish("x", "short", qos=1, properties=((0x02, 1),))
        p.publish("x", "long", qos=1, pid=2, properties=((0x02, 100),))
        p.sync()
    time.sleep(2)
    c = open_client(stack.port, token, "x", 5, clean=False, properties=((0x11, 60),))
    m = c.expect(PUBLISH)
    assert m.payload == b"long" and 90 <= m.properties[0x02] <= 98
    assert c.sync() == []
    c.close()


def test_the_receive_maximum_of_a_client_is_its_window(stack, customer):
    token = customer.token()
    with open_client(stack.port, token, "w", 5, properties=((0x21, 2),)) as c, open_client(stack.port, token, "p") as p:
        c.subscribe(("x", 1))
        for i in range(5):
            p.publish("x", str(i), qos=1, pid=i + 1)
        p.sync()
        first = [m for m in c.sync() if m.kind == PUBLISH]
        assert [m.payload for m in first] == [b"0", b"1"]
        c.send(ack(PUBACK, first[0].pid))
        assert c.expect(PUBLISH).payload == b"2"


def test_subscription_identifiers_come_back_one_copy_each(stack, customer):
    with open_client(stack.port, customer.token(), "s", 5) as c:
        c.subscribe("a/+", properties=((0x0B, 7),))
        c.subscribe("a/#", pid=2, properties=((0x0B, 300),))
        c.publish("a/b", "x", qos=1, pid=9)
        got = [m for m in c.sync() if m.kind == PUBLISH]
        assert sorted(m.properties[0x0B][0] for m in got) == [7, 300]


def test_no_local_and_retain_as_published_and_retain_handling(stack, customer):
    with open_client(stack.port, customer.token(), "s", 5) as c, open_client(stack.port, customer.token(), "p", 5) as p:
        p.publish("r", "kept", qos=1, retain=True).sync()
        c.subscribe(("r", 0x20))
        assert [m for m in c.settled() if m.kind == PUBLISH] == []
        c.subscribe(("r", 0x08 | 0x04), pid=2)
        assert [m.retain for m in c.settled() if m.kind == PUBLISH] == [True]
        p.publish("r", "again", qos=1, pid=2, retain=True).sync()
        assert [(m.payload, m.retain) for m in c.sync()] == [(b"again", True)]
        c.publish("r", "own", qos=1, pid=3)
        assert [m for m in c.sync() if m.kind == PUBLISH] == []


def test_properties_travel_with_the_message_in_order(stack, customer):
    with open_client(stack.port, customer.token(), "s", 5) as c:
        c.subscribe("a")
        c.publish("a", "{}", qos=1, properties=((0x01, 1), (0x26, "k", "1"), (0x03, "application/json"), (0x26, "k", "2"), (0x09, "corr"), (0x08, "re/ply"), (0x26, "z", "3")))
        m = [q for q in c.sync() if q.kind == PUBLISH][0]
        assert m.user == [("k", "1"), ("k", "2"), ("z", "3")]
        assert m.properties == {0x01: 1, 0x03: b"application/json", 0x09: b"corr", 0x08: b"re/ply"}


def test_topic_aliases_of_a_client_are_understood(stack, customer):
    with open_client(stack.port, customer.token(), "s", 5) as c:
        assert c.connack.properties[0x22] > 0
        c.subscribe("long/topic")
        c.publish("long/topic", "1", properties=((0x23, 1),))
        c.publish("", "2", properties=((0x23, 1),))
        assert [(m.topic, m.payload) for m in c.sync()] == [("long/topic", b"1"), ("long/topic", b"2")]


def test_a_large_payload_arrives_whole(stack, customer):
    token = customer.token()
    payload = bytes(range(256)) * 800
    with open_client(stack.port, token, "s") as s, open_client(stack.port, token, "p") as p:
        s.subscribe("big")
        p.publish("big", payload, qos=1)
        assert s.expect(PUBLISH, 10).payload == payload


def test_a_client_that_does_not_read_is_not_a_burden_to_the_others(stack, customer):
    token = customer.token()
    slow = open_client(stack.port, token, "slow")
    slow.subscribe("flood")
    with open_client(stack.port, token, "quick") as quick, open_client(stack.port, token, "p") as p:
        quick.subscribe("flood")
        for i in range(2000):
            p.publish("flood", b"x" * 1000)
            if i % 50 == 49:
                p.sync()
                assert len([m for m in quick.sync() if m.kind == PUBLISH]) == 50
    slow.close()


def test_the_connack_announces_the_limits_in_force(stack, customer):
    with open_client(stack.port, customer.token(), "", 5, keepalive=65535) as c:
        p = c.connack.properties
        assert p[0x12]          # assigned client identifier
        assert p[0x13] <= 300   # server keep alive
        assert p[0x21] >= 1 and p[0x27] >= 1024
        tokens = [v for k, v in c.connack.user if k == "token"]
        assert len(tokens) == 1
        me = json.loads(tokens[0])
        assert me["cid"] == customer.cid and me["access"]["acl"][0]["topic"] == "#"


def test_the_keep_alive_is_enforced(stack, customer):
    c = open_client(stack.port, customer.token(), "k", 5, keepalive=1)
    start, watch = time.monotonic(), Stopwatch(stack)
    assert [(p.kind, p.code) for p in c.closed(6)] == [(DISCONNECT, 0x8D)]
    assert 1.4 <= time.monotonic() - start and watch.seconds() < 4 * SLOW


def test_mosquitto_sub_with_a_durable_session_and_qos_2(stack, customer):
    token = customer.token()
    extra = ("-i", "mosq", "-c")
    with MosquittoSub(stack.port, token, "d/#", qos=2, extra=extra):
        pass
    assert mosquitto_pub(stack.port, token, "d/1", "kept", qos=2)[0] == 0
    sub = MosquittoSub(stack.port, token, "d/#", qos=2, extra=extra)
    try:
        wait_for(lambda: "d/1 kept" in sub.lines())
    finally:
        sub.close()
