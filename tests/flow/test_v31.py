"""MQTT 3.1 (MQIsdp), which has no numbered statements: what it does otherwise than 3.1.1, and what real devices do."""
import pytest

from clients import MosquittoSub, Paho, mosquitto_pub
from rawmqtt import CONNACK, PUBCOMP, PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, Raw, ack, connect, open_client, packet, publish, subscribe, \
    unsubscribe


def with_dup(data):
    return bytes([data[0] | 8]) + data[1:]


@pytest.mark.parametrize("length", [1, 23, 24, 128])
def test_client_ids_over_23_characters_are_served_as_everybody_does(stack, customer, length):
    with open_client(stack.port, customer.token(), "c" * length, version=3) as c:
        assert c.subscribe("a") == [0]


def test_an_empty_client_id_is_refused_with_2(stack, customer):
    with Raw(stack.port, 3) as c:
        c.send(connect("", customer.token(), version=3))
        assert c.expect(CONNACK).code == 2
        assert c.closed() == []


def test_requests_that_are_said_again_carry_dup(stack, customer):
    with open_client(stack.port, customer.token(), "c", version=3) as c:
        c.send(with_dup(subscribe(("a", 2), pid=5)))
        assert c.expect(SUBACK).codes == [2]
        c.publish("b", "x", qos=2, pid=9)
        assert c.expect(PUBREC).pid == 9
        c.send(publish("b", "x", qos=2, pid=9, dup=True))
        assert c.expect(PUBREC).pid == 9
        for _ in range(2):
            c.send(with_dup(ack(PUBREL, 9)))
            assert c.expect(PUBCOMP).pid == 9
        c.send(with_dup(unsubscribe("a", pid=6)))
        assert c.expect(UNSUBACK).pid == 6


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("kind", [SUBSCRIBE, UNSUBSCRIBE, PUBREL])
def test_later_versions_have_reserved_the_bit(stack, customer, version, kind):
    with open_client(stack.port, customer.token(), "c", version=version) as c:
        c.send({SUBSCRIBE: with_dup(subscribe("a", version=version)), UNSUBSCRIBE: with_dup(unsubscribe("a", version=version)),
                PUBREL: with_dup(ack(PUBREL, 1))}[kind])
        assert [p.code for p in c.closed()] == ([0x81] if version == 5 else [])


@pytest.mark.parametrize("first", [SUBSCRIBE << 4 | 8, SUBSCRIBE << 4 | 9, SUBSCRIBE << 4 | 12, 0xC8, 0xE8])
def test_other_flags_end_the_connection(stack, customer, first):
    with open_client(stack.port, customer.token(), "c", version=3) as c:
        c.send(bytes([first]) + (subscribe("a")[1:] if first >> 4 == SUBSCRIBE else b"\0"))
        assert c.closed() == []


def test_the_name_and_the_level_belong_together(stack, customer):
    for name, level in (("MQIsdp", 4), ("MQIsdp", 5), ("MQTT", 3)):
        with Raw(stack.port, 3) as c:
            c.send(connect("c", customer.token(), version=3, name=name, level=level))
            answer = c.closed()
            assert [p.code for p in answer if p.kind == CONNACK] in ([1], []), (name, level)


def test_a_refused_filter_gets_0x80_like_in_3_1_1(stack, customer):
    """MQTT 3.1 has no word for it; 0 to 2 would promise what will not come."""
    with open_client(stack.port, customer.acl(("a", "subscribe")), "c", version=3) as c:
        assert c.subscribe(("a", 1), ("b", 1)) == [1, 0x80]


def test_a_session_waits_and_qos_2_goes_both_ways(stack, customer):
    token = customer.token()
    with open_client(stack.port, token, "sleeper", version=3, clean=False) as c:
        assert c.subscribe(("a", 2)) == [2]
    with open_client(stack.port, token, "p", version=3) as p:
        p.publish("a", "x", qos=2, pid=1)
        assert p.expect(PUBREC).pid == 1
        p.send(ack(PUBREL, 1))
        assert p.expect(PUBCOMP).pid == 1
    with open_client(stack.port, token, "sleeper", version=3, clean=False) as c:
        m = c.read()
        assert (m.topic, m.qos, m.payload) == ("a", 2, b"x")
        c.send(ack(PUBREC, m.pid))
        assert c.expect(PUBREL).pid == m.pid
        c.send(ack(PUBCOMP, m.pid))


def test_paho_and_mosquitto_speak_it(stack, customer):
    token = customer.token()
    with MosquittoSub(stack.port, token, "a/#", version=3, qos=2) as sub, Paho(stack.port, token, "p", version=3) as p:
        p.subscribe("a/+", 1)
        p.publish("a/1", "x", qos=2)
        assert p.get()[:2] == ("a/1", b"x")
        sub.expect("a/1 x")
        assert mosquitto_pub(stack.port, token, "a/2", "y", version=3, qos=1)[0] == 0
        sub.expect("a/2 y")


def test_an_unknown_packet_type_ends_the_connection(stack, customer):
    with open_client(stack.port, customer.token(), "c", version=3) as c:
        c.send(packet(15, b""))
        assert c.closed() == []
