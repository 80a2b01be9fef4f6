"""Two customers with the same client ids and the same topics never meet."""
import queue

import pytest
from clients import MosquittoSub, MqttJs, Paho, mosquitto_pub
from rawmqtt import PUBLISH, open_client


@pytest.mark.parametrize("version", [3, 4, 5])
def test_mosquitto_clients_of_two_customers_with_the_same_topics_never_meet(stack, customer, other, version):
    mine, theirs = customer.token(), other.token()
    with MosquittoSub(stack.port, mine, "#", version=version, extra=("-i", "same")) as a, MosquittoSub(stack.port, theirs, "#", version=version, extra=("-i", "same")) as b:
        assert mosquitto_pub(stack.port, mine, "a/b", "for A", version=version, qos=1) == (0, "")
        assert mosquitto_pub(stack.port, theirs, "a/b", "for B", version=version, qos=1) == (0, "")
        a.expect("a/b for A")
        b.expect("a/b for B")
        assert a.lines() == ["a/b for A"]
        assert b.lines() == ["a/b for B"]


@pytest.mark.parametrize("version", [4, 5])
def test_paho_clients_of_two_customers_with_the_same_client_id_stay_connected(stack, customer, other, version):
    with Paho(stack.port, customer.token(), "lamp", version) as a, Paho(stack.port, other.token(), "lamp", version) as b:
        a.subscribe("+/#", 1)
        b.subscribe("+/#", 1)
        a.publish("x/y", "1", qos=1)
        b.publish("x/y", "2", qos=1)
        assert a.get()[:2] == ("x/y", b"1")
        assert b.get()[:2] == ("x/y", b"2")
        with pytest.raises(queue.Empty):
            a.messages.get(timeout=0.3)
        assert not a.disconnected.is_set() and not b.disconnected.is_set()


@pytest.mark.parametrize("version", [3, 4, 5])
def test_mqttjs_clients_of_two_customers_never_meet(stack, customer, other, version):
    with MqttJs(stack.port, customer.token(), "same", version) as a, MqttJs(stack.port, other.token(), "same", version) as b:
        assert a.first["event"] == "connect" and b.first["event"] == "connect"
        a.subscribe("#", 1)
        b.subscribe("#", 1)
        a.publish("t", "A", qos=1)
        b.publish("t", "B", qos=1)
        assert a.message()["payload"] == "A"
        assert b.message()["payload"] == "B"
        assert not [e for e in a.held + b.held if e["event"] == "message"]


def test_retained_messages_of_one_customer_are_not_seen_by_another(stack, customer, other):
    assert mosquitto_pub(stack.port, customer.token(), "state", "mine", retain=True, qos=1)[0] == 0
    with open_client(stack.port, other.token()) as b:
        b.subscribe("#")
        assert b.settled() == []
    with open_client(stack.port, customer.token()) as a:
        a.subscribe("#")
        p = a.expect(PUBLISH)
        assert (p.topic, p.payload, p.retain) == ("state", b"mine", True)


def test_shared_groups_of_the_same_name_are_apart(stack, customer, other):
    mine = customer.token()
    with open_client(stack.port, mine) as a, open_client(stack.port, other.token()) as b:
        assert a.subscribe("$share/g/#") == [0]
        assert b.subscribe("$share/g/#") == [0]
        with open_client(stack.port, mine) as p:
            for i in range(10):
                p.publish("t/%d" % i, str(i), qos=1, pid=i + 1)
            p.sync()
        assert [m.topic for m in [a.expect(PUBLISH) for _ in range(10)]] == ["t/%d" % i for i in range(10)]
        assert b.sync() == []


def test_the_trusted_door_sees_the_inner_names(stack, customer):
    with MosquittoSub(0, "", "customer/%d/#" % customer.cid, unix=stack.ready["core"]) as sub:
        assert mosquitto_pub(stack.port, customer.token(), "a/b", "x", qos=1)[0] == 0
        sub.expect("customer/%d/a/b x" % customer.cid)


def test_the_prefix_never_appears_on_the_public_wire(stack, customer):
    """Everything a client gets, from CONNACK to DISCONNECT, says nothing of customer/<id>/."""
    c = open_client(stack.port, customer.token(), version=5)
    seen = c.connack.body
    c.publish("a", "x", qos=1, properties=((0x08, "reply/to"),))
    for p in c.sync():
        seen += p.body
    c.subscribe("#", "$share/g/+", "a/#/b", "customer/%d/#" % customer.cid)
    c.publish("a", "x", qos=1, pid=2, properties=((0x08, "reply/to"),))
    packets = c.sync()
    assert [p.properties.get(0x08) for p in packets if p.kind == PUBLISH][:1] == [b"reply/to"]
    for p in packets:
        seen += p.body
    assert b"customer/" not in seen
    c.close()


def test_a_client_cannot_reach_another_customer_by_naming_the_inner_topic(stack, customer, other):
    with open_client(stack.port, other.token()) as b, open_client(stack.port, customer.token()) as a:
        b.subscribe("#")
        a.publish("customer/%d/x" % other.cid, "hello", qos=1)
        a.sync()
        assert b.sync() == []
        a.subscribe("customer/%d/#" % other.cid)
        b.publish("x", "secret", qos=1)
        b.sync()
        assert a.sync() == []


def test_many_customers_at_once_each_get_exactly_their_own(stack):
    customers = [stack.new_customer() for _ in range(8)]
    clients = [open_client(stack.port, c.token(), "same") for c in customers]
    for c in clients:
        c.subscribe("n/#")
    for round_ in range(20):
        for i, c in enumerate(clients):
            c.publish("n/%d" % round_, "%d" % i)
    for i, c in enumerate(clients):
        got = [c.expect(PUBLISH) for _ in range(20)]
        assert [(p.topic, p.payload) for p in got] == [("n/%d" % r, b"%d" % i) for r in range(20)]
        c.close()
