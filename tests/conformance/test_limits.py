"""Maximum Packet Size towards a client, in its own terms, and other limits that deliveries meet."""
import pytest
from proofs import PACKET_MAXIMUM, RECEIVE_MAXIMUM, durable, messages, payloads, proves, settled
from rawmqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Closed, ack, open_client

MOST = 100


def filling(size, qos):
    """A payload that makes the PUBLISH of topic "a" to a v5 client `size` bytes long."""
    return b"x" * (size - 2 - 3 - (2 if qos else 0) - 1)


@pytest.mark.parametrize("qos", [0, 1, 2])
@proves("MQTT-3.1.2-24", "MQTT-3.1.2-25")
def test_a_message_as_large_as_the_maximum_is_sent_and_a_larger_one_is_not(stack, token, qos):
    """In the client's terms: the prefix of its name space, which only we see, does not count."""
    with open_client(stack.port, token, "s", 5, properties=((PACKET_MAXIMUM, MOST),)) as s, open_client(stack.port, token, "p", 5) as p:
        s.subscribe(("a", 2))
        for i, size in enumerate((MOST + 1, MOST, 5000, MOST - 1)):
            p.publish("a", filling(size, qos), qos=qos, pid=i + 1)
        p.sync()
        got = messages(s.sync())
        assert [len(m.body) + 2 for m in got] == [MOST, MOST - 1]


@pytest.mark.parametrize("qos", [1, 2])
@proves("MQTT-3.1.2-25", "MQTT-3.3.4-9")
def test_a_message_that_is_too_large_counts_as_sent_and_takes_no_place(stack, token, qos):
    properties = ((PACKET_MAXIMUM, MOST), (RECEIVE_MAXIMUM, 1))
    s = open_client(stack.port, token, "s", **durable(5, properties=properties))
    s.subscribe(("a", 2))
    with open_client(stack.port, token, "p", 5) as p:
        for i in range(8):
            p.publish("a", filling(MOST + 50, qos) if i % 2 == 0 else b"%d" % i, qos=qos, pid=i + 1)
        p.sync()
    for i in (1, 3, 5, 7):
        m = s.expect(PUBLISH)
        assert m.payload == b"%d" % i
        if qos == 1:
            s.send(ack(PUBACK, m.pid, version=5))
        else:
            s.send(ack(PUBREC, m.pid, version=5))
            assert s.expect(PUBREL).pid == m.pid
            s.send(ack(PUBCOMP, m.pid, version=5))
    assert s.sync() == []
    s.close()
    with open_client(stack.port, token, "s", **durable(5)) as s:    # without the maximum: it is not sent later either
        assert s.sync() == []


@proves("MQTT-3.1.2-24", "MQTT-3.1.2-25")
def test_retained_and_waiting_messages_keep_to_the_maximum(stack, token):
    with open_client(stack.port, token, "s", **durable(5)) as s:
        s.subscribe(("a", 1))
    with open_client(stack.port, token, "p", 5) as p:
        p.publish("a", filling(MOST + 1, 1), qos=1, pid=1, retain=True)
        p.publish("a", "small", qos=1, pid=2)
        p.publish("b", "small", qos=1, pid=3, retain=True)
        p.sync()
    with open_client(stack.port, token, "s", **durable(5, properties=((PACKET_MAXIMUM, MOST),))) as s:
        assert payloads(s.sync()) == [b"small"]
        s.subscribe(("a", 1), ("b", 1))
        assert [m.topic for m in messages(settled(s))] == ["b"]


@proves("MQTT-3.1.2-25")
def test_a_message_that_is_too_large_for_one_reaches_the_others(stack, token):
    with open_client(stack.port, token, "small", 5, properties=((PACKET_MAXIMUM, MOST),)) as small, open_client(stack.port, token, "large", 5) as large:
        for c in (small, large):
            c.subscribe(("a", 1))
        large.publish("a", filling(MOST + 1, 1), qos=1)
        assert len(messages(large.sync())) == 1 and messages(small.sync()) == []


@proves("v3:MQTT-4.8.0-2")
def test_a_client_of_v3_that_asks_for_more_than_there_is_room_for_is_closed_and_nobody_else(stack, token):
    """What v3 has no word for: more QoS 2 messages unfinished than are kept."""
    with open_client(stack.port, token, "other") as other:
        other.subscribe("a")
        c = open_client(stack.port, token, "greedy")
        taken = 0
        with pytest.raises((Closed, ConnectionError)):
            for i in range(3000):
                c.publish("b", "", qos=2, pid=i + 1)
                if i % 100 == 99:
                    taken += len([p for p in c.sync() if p.kind == PUBREC])
        c.close()
        assert 100 <= taken <= 1000
        other.publish("a", "x", qos=1)
        assert payloads(other.sync()) == [b"x"]
