"""Attacks T01 to T18: tenant isolation. One test per id."""
import random

import pytest
from rawmqtt import CONNACK, DISCONNECT, PUBACK, PUBLISH, Raw, ack, connect, open_client, publish, unsubscribe, UNSUBACK
from stack import Stopwatch

V = pytest.mark.parametrize("version", [4, 5])


@V
def test_T01_another_customer_with_the_same_client_id_is_not_noticed(stack, customer, other, version):
    a = open_client(stack.port, customer.token(), "same", version)
    b = open_client(stack.port, other.token(), "same", version)
    a.sync()
    b.sync()
    a.close()
    b.close()


@V
def test_T02_clean_start_of_a_stranger_leaves_a_queued_session_intact(stack, customer, other, version):
    token = customer.token()
    more = {"properties": ((0x11, 300),)} if version == 5 else {}
    a = open_client(stack.port, token, "victim", version, clean=False, **more)
    a.subscribe(("q", 1))
    a.close()
    with open_client(stack.port, token, "p") as p:
        p.publish("q", "kept", qos=1).sync()
    with open_client(stack.port, other.token(), "victim", version, clean=True) as b:
        assert b.present == 0
    a = open_client(stack.port, token, "victim", version, clean=False, **more)
    assert a.present == 1 and a.expect(PUBLISH).payload == b"kept"
    a.close()


@V
def test_T03_two_tokens_of_one_customer_share_its_client_ids_by_take_over(stack, customer, version):
    """Our policy: client ids belong to the customer; a take-over by another of its tokens is allowed and told."""
    a = open_client(stack.port, customer.token(), "same", version)
    b = open_client(stack.port, customer.token(), "same", version)
    assert [(p.kind, p.code) for p in a.closed()] == ([(DISCONNECT, 0x8E)] if version == 5 else [])
    b.sync()
    b.close()


@V
def test_T04_strange_client_ids_are_each_their_own(stack, customer, other, version):
    ids = ["customer/%d/x" % other.cid, "../x", "x", "X", "x/", "/x", "\u00e9", "e\u0301", "7:x", "a" * 128]
    token, theirs = customer.token(), other.token()
    clients = [open_client(stack.port, token, i, version) for i in ids]
    strangers = [open_client(stack.port, theirs, i, version) for i in ids]
    for c in clients + strangers:
        c.sync()
        c.close()
    with Raw(stack.port, version) as c:
        c.send(connect("a" * 65535, token, version=version))
        p = c.closed()
        assert [q.kind for q in p] in ([CONNACK], []) and all(q.code in (0x85, 2, 0x95) for q in p)


@V
def test_T05_filters_that_try_to_climb_reach_only_the_own_tree(stack, customer, other, version):
    with open_client(stack.port, customer.token(), version=version) as a, open_client(stack.port, other.token(), version=version) as b:
        a.subscribe("#", "+/#", "$share/g/#", "//#", "../#", "/#", "../../customer/+/#", "+/+/+/#", "customer/#")
        for topic in ("x", "/x", "//x", "../x", "a/b/c", "customer/%d/x" % customer.cid):
            b.publish(topic, "secret", qos=1)
        b.sync()
        assert [p for p in a.sync() if p.kind == PUBLISH] == []


@V
def test_T06_dollar_words_are_refused_by_default(stack, customer, version):
    filters = ["$SYS/#", "$CONTROL/#", "$queue/a", "$stream/a", "$delayed/1/a", "$local/a", "$x", "$"]
    with open_client(stack.port, customer.master, version=version) as c:
        assert c.subscribe(*filters) == [0x87 if version == 5 else 0x80] * len(filters)


def trusted_publish(stack, topic, payload):
    import subprocess
    r = subprocess.run(["mosquitto_pub", "--unix", stack.ready["core"], "-t", topic, "-m", payload, "-q", "1"], capture_output=True, text=True, timeout=30)
    assert r.returncode == 0, r.stderr


@V
def test_T07_a_wildcard_does_not_match_dollar_names_behind_the_prefix(stack, customer, version):
    with open_client(stack.port, customer.token(), version=version) as c:
        c.subscribe("#", "+/y")
        trusted_publish(stack, "customer/%d/$x/y" % customer.cid, "hidden")
        trusted_publish(stack, "customer/%d/x/y" % customer.cid, "seen")
        assert [p.payload for p in (c.expect(PUBLISH), c.expect(PUBLISH))] == [b"seen", b"seen"]
        assert [p for p in c.sync() if p.kind == PUBLISH] == []


@V
def test_T08_the_bare_prefix_is_nobodys_topic(stack, customer, version):
    with open_client(stack.port, customer.token(), version=version) as c:
        c.subscribe("#")
        trusted_publish(stack, "customer/%d" % customer.cid, "bare")
        trusted_publish(stack, "customer/%d/ok" % customer.cid, "ok")
        assert c.expect(PUBLISH).topic == "ok"
        assert [p for p in c.sync() if p.kind == PUBLISH] == []
        c.publish("", "x", qos=1)
        assert [p.kind for p in c.closed()] == ([DISCONNECT] if version == 5 else [])


@V
def test_T09_a_will_is_mapped_like_a_publish(stack, customer, other, version):
    with open_client(stack.port, customer.token()) as a, open_client(stack.port, other.token()) as b:
        a.subscribe("#")
        b.subscribe("#")
        w = open_client(stack.port, customer.token(), "w", version, will=("customer/%d/w" % other.cid, "bye", 0, False))
        w.close()
        assert a.expect(PUBLISH).topic == "customer/%d/w" % other.cid
        assert b.sync() == []


def test_T10_no_internal_name_appears_in_any_property(stack, customer):
    with open_client(stack.port, customer.token(), "", 5, properties=((0x19, 1), (0x17, 1))) as c:
        seen = c.connack.body
        c.subscribe("#", "a/#/b", "$SYS/#")
        c.publish("a", "x", qos=1, properties=((0x08, "reply/x"), (0x09, "corr"), (0x26, "k", "v")))
        c.publish("flespi/x", "x", qos=1, pid=2)
        packets = c.sync()
        got = [p for p in packets if p.kind == PUBLISH][0]
        assert got.properties[0x08] == b"reply/x"
        c.publish("a", "x", properties=((0x23, 60000),))
        packets += c.closed()
    assert b"customer/" not in seen and all(b"customer/" not in p.body for p in packets)


def test_T11_a_response_topic_into_the_system_tree_cannot_be_used(stack, customer):
    """Whoever answers does so with its own rights: a Response Topic gives none. flespi/ stays closed to the answering client."""
    with open_client(stack.port, customer.token(), "service", 5) as s, open_client(stack.port, customer.token(), "asker", 5) as a:
        s.subscribe("request")
        a.publish("request", "?", qos=1, properties=((0x08, "flespi/state/x"),))
        a.sync()
        asked = s.expect(PUBLISH)
        s.publish(asked.properties[0x08].decode(), "!", qos=1)
        assert [p.code for p in s.sync() if p.kind == PUBACK] == [0x87]


@V
def test_T12_groups_of_two_customers_with_one_name_steal_nothing(stack, customer, other, version):
    with open_client(stack.port, customer.token(), version=version) as a, open_client(stack.port, other.token(), version=version) as b:
        a.subscribe("$share/g/t")
        b.subscribe("$share/g/t")
        for i in range(30):
            a.publish("t", "%d" % i, qos=1, pid=i + 1)
        assert len([p for p in a.sync() if p.kind == PUBLISH]) == 30
        assert b.sync() == []


@V
def test_T13_retained_messages_cannot_be_cleared_or_read_across_customers(stack, customer, other, version):
    rng = random.Random(13)
    names = ["a", "a/b", "b", "customer/%d/a" % customer.cid, "customer/%d/a" % other.cid]
    mine, theirs = {}, {}
    with open_client(stack.port, customer.token(), version=version) as a, open_client(stack.port, other.token(), version=version) as b:
        for i in range(60):
            c, book = rng.choice(((a, mine), (b, theirs)))
            name, value = rng.choice(names), rng.choice(("", "v%d" % i))
            c.publish(name, value, qos=1, pid=i + 1, retain=True)
            book.pop(name, None)
            if value:
                book[name] = value.encode()
        a.sync()
        b.sync()
        for c, book in ((a, mine), (b, theirs)):
            c.subscribe("#")
            assert {p.topic: p.payload for p in c.settled() if p.kind == PUBLISH and p.retain} == book


@V
def test_T14_unsubscribe_removes_only_the_form_it_names(stack, customer, version):
    with open_client(stack.port, customer.token(), version=version) as c:
        c.subscribe("a", "$share/g/a")
        for names, codes, left in ((("$share/h/a", "customer/%d/a" % customer.cid, "a/#", "+"), [0x11] * 4, 2), (("$share/g/a",), [0], 1), (("a",), [0], 0)):
            c.send(unsubscribe(*names, version=version))
            answer = c.expect(UNSUBACK)
            assert version < 5 or answer.codes == codes
            c.publish("a", "x", qos=1)
            assert len([p for p in c.sync() if p.kind == PUBLISH]) == left


@V
def test_T15_a_customer_made_anew_under_an_old_name_finds_nothing_of_the_old_one(stack, version):
    kept = dict(clean=False, properties=((0x11, 600),) if version == 5 else ())
    a = stack.new_customer()
    status, answer = stack.rest("GET", "/platform/subaccounts/%d" % a.cid)
    name = answer["result"][0]["name"]
    token = a.token()
    with open_client(stack.port, token, "old", version, **kept) as c:
        c.subscribe(("#", 1))
        c.publish("kept", "secret", qos=1, retain=True).sync()
    assert stack.rest("DELETE", "/platform/subaccounts/%d" % a.cid)[0] == 200
    status, answer = stack.rest("POST", "/platform/subaccounts", [{"name": name}])
    assert status == 200
    from stack import Customer
    b = Customer(stack, answer["result"][0]["id"])
    assert b.cid != a.cid
    b.master = b.token(access={"type": 1})
    with open_client(stack.port, b.master, "old", version, **kept) as c:
        assert c.present == 0
        c.subscribe("#")
        assert [p for p in c.settled() if p.kind == PUBLISH and p.topic == "kept"] == []
    with Raw(stack.port, version) as c:
        c.send(connect("old", token, version=version))
        assert c.expect(CONNACK).code in ((0x86, 0x87) if version == 5 else (4, 5))


@V
def test_T16_packet_ids_do_not_tell_of_other_customers(stack, customer, other, version):
    with open_client(stack.port, customer.token(), version=version) as a, open_client(stack.port, other.token(), version=version) as b:
        a.subscribe(("x", 1))
        b.subscribe(("x", 1))
        for i in range(20):
            b.publish("x", "", qos=1, pid=i + 1)
        b.sync()
        a.publish("x", "", qos=1, pid=1)
        assert [p.pid for p in a.sync() if p.kind == PUBLISH] == [1]


def test_T17_acknowledgements_of_one_client_never_count_for_another(stack, customer):
    """Two clients of one worker's link with equal packet ids: each one's window moves by its own PUBACK only. (MQTT 3 cannot ask for a window.)"""
    token = customer.token()
    a = open_client(stack.port, token, "a", 5, properties=((0x21, 1),))
    b = open_client(stack.port, token, "b", 5, properties=((0x21, 1),))
    a.subscribe(("x", 1))
    b.subscribe(("x", 1))
    with open_client(stack.port, token, "p") as p:
        for i in range(2):
            p.publish("x", str(i), qos=1, pid=i + 1)
        p.sync()
    first = a.expect(PUBLISH)
    assert b.expect(PUBLISH).pid == first.pid
    a.send(ack(PUBACK, first.pid, version=5))
    assert a.expect(PUBLISH).payload == b"1"
    assert b.sync() == []
    a.close()
    b.close()


@V
def test_T17_a_client_that_does_not_read_does_not_stall_the_others_of_its_link(stack, customer, other, version):
    slow = open_client(stack.port, other.token(), "slow", version)
    slow.subscribe("f")
    flood = open_client(stack.port, other.token(), "flood")
    with open_client(stack.port, customer.token(), version=version) as c:
        c.subscribe("p")
        for i in range(1500):
            flood.send(publish("f", b"x" * 2000))
            if i % 100 == 0:
                watch = Stopwatch(stack)
                c.publish("p", "ping")
                c.expect(PUBLISH)
                assert watch.seconds() < 2
        flood.sync(20)
    slow.close()
    flood.close()


def test_T18_a_hostile_message_does_not_kill_its_subscribers(stack, customer):
    with open_client(stack.port, customer.token(), "s4", 4) as s4, open_client(stack.port, customer.token(), "s5", 5, properties=((0x27, 200),)) as s5, \
            open_client(stack.port, customer.token(), "p", 5) as p:
        s4.subscribe("x")
        s5.subscribe("x")
        p.publish("x", b"\xff\x00" * 50, qos=1, pid=1, properties=((0x26, "k", "v"),))
        p.publish("x", b"too large for s5 " * 50, qos=1, pid=2)
        p.publish("x", "after", qos=1, pid=3)
        p.sync()
        assert len([m for m in s4.sync() if m.kind == PUBLISH]) == 3
        assert [m.payload for m in s5.sync() if m.kind == PUBLISH] == [b"\xff\x00" * 50, b"after"]


