"""Chapters 3.14, 4.8 (3.1.1) and 4.13: DISCONNECT both ways and how errors end a connection."""
import pytest
from proofs import PACKET_MAXIMUM, SESSION_EXPIRY, V, ended, proves
from rawmqtt import AUTH, CONNACK, DISCONNECT, PINGREQ, PUBLISH, SUBACK, SUBSCRIBE, Raw, connect, disconnect, open_client, packet, publish, text

CODES = {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2}
# what a client may do wrong, and the code of the standard for it
WRONGS = {"flags": (b"\xc1\0", 0x81), "type-0": (b"\0\0", 0x81), "cut-body": (b"\x30\x01\0", 0x81), "connack": (packet(CONNACK, b"\0\0\0"), 0x82),
          "suback": (packet(SUBACK, b"\0\1\0\0"), 0x82), "auth": (packet(AUTH), 0x82), "connect": (connect("c", version=5), 0x82), "wildcard": (publish("#", "x", version=5), 0x90),
          "alias": (publish("a", "x", version=5, properties=((0x23, 9999),)), 0x94), "utf8": (publish(b"\xff", "x", version=5), 0x81),
          "unknown-property": (packet(PUBLISH, text("a") + b"\x02\x7f\0"), 0x81), "no-filter": (packet(SUBSCRIBE, b"\0\1\0", 2), 0x82),
          "too-large": (b"\x30\xff\xff\xff\x7f", 0x95), "length": (b"\x30\xff\xff\xff\xff\x01", 0x81)}


@V
@proves("v3:MQTT-3.14.4-1", "v3:MQTT-3.14.4-2", "MQTT-3.14.4-2")
def test_the_server_closes_after_disconnect_and_does_nothing_that_follows(stack, token, version):
    with open_client(stack.port, token, "watch") as watch:
        watch.subscribe("a")
        c = open_client(stack.port, token, "c", version)
        c.send(disconnect() + publish("a", "late", qos=1, version=version) + packet(PINGREQ))
        assert c.closed() == []
        assert watch.sync() == []


@V
@pytest.mark.parametrize("flags", [1, 2, 4, 8])
@proves("MQTT-3.14.1-1", "v3:MQTT-3.14.1-1")
def test_disconnect_with_flags_is_malformed_and_publishes_the_will(stack, token, version, flags):
    with open_client(stack.port, token, "watch") as watch:
        watch.subscribe("w")
        c = open_client(stack.port, token, "c", version, will=("w", "x", 0, False))
        c.send(packet(DISCONNECT, b"", flags))
        ended(c, 0x81)
        assert watch.expect(PUBLISH).payload == b"x"


@pytest.mark.parametrize("body,code", [(b"\x8e", 0x82), (b"\x01", 0x82), (b"\x00\x05\x11\0\0\0\1x", 0x81), (b"\x00\x02\x13\0", 0x82),
                                       (b"\x00\x0a\x11\0\0\0\1\x11\0\0\0\1", 0x82), (b"\0\1", 0x81)],
                         ids=["server-only-code", "no-code", "longer", "foreign-property", "twice", "cut"])
@proves("MQTT-3.14.2-1", "MQTT-4.13.1-1")
def test_a_disconnect_that_breaks_the_rules_is_answered_with_an_error(stack, token, body, code):
    c = open_client(stack.port, token, "c", 5, properties=((SESSION_EXPIRY, 60),), clean=False)
    c.send(packet(DISCONNECT, body))
    ended(c, code)


@pytest.mark.parametrize("what", WRONGS)
@proves("MQTT-4.13.1-1", "MQTT-4.13.2-1", "MQTT-3.14.2-1", "MQTT-3.14.2-2", "MQTT-3.14.4-1", "MQTT-3.14.4-2", "v3:MQTT-4.8.0-1")
def test_an_error_is_told_with_its_code_once_and_the_connection_closed(stack, token, what):
    data, code = WRONGS[what]
    c = open_client(stack.port, token, version=5)
    c.send(data + packet(PINGREQ))
    packets = c.closed()
    assert [(p.kind, p.code) for p in packets] == [(DISCONNECT, code)]
    assert packets[0].code in CODES and SESSION_EXPIRY not in packets[0].properties
    c.close()


@pytest.mark.parametrize("what", [w for w in WRONGS if w not in ("alias", "unknown-property")])
@proves("v3:MQTT-4.8.0-1")
def test_an_error_of_v3_closes_the_connection_without_a_word_and_only_that_one(stack, token, what):
    data = {"wildcard": publish("#", "x"), "utf8": publish(b"\xff", "x"), "no-filter": packet(SUBSCRIBE, b"\0\1", 2)}.get(what, WRONGS[what][0])
    with open_client(stack.port, token, "other") as other:
        c = open_client(stack.port, token)
        c.send(data + packet(PINGREQ))
        assert c.closed() == []
        c.close()
        other.sync()


@pytest.mark.parametrize("before", [b"", connect("c", "wrong", version=5), connect("c", version=5, properties=((0x21, 0),)), packet(PINGREQ), publish("a", "x", version=5), b"\x10\xff\xff\xff\xff"],
                         ids=["nothing", "refused", "malformed", "ping", "publish", "length"])
@proves("MQTT-3.14.0-1", "MQTT-4.13.1-1")
def test_no_disconnect_is_sent_before_a_connack_that_accepts(stack, before):
    with Raw(stack.port, 5) as c:
        c.send(before + b"\xf0\x00\xc1\x00")
        assert DISCONNECT not in [p.kind for p in c.closed()]


@pytest.mark.parametrize("most", [16, 17, 20, 30])
@proves("MQTT-3.14.2-3", "MQTT-3.14.2-4", "MQTT-3.1.2-24")
def test_no_reason_string_makes_disconnect_larger_than_the_client_takes(stack, token, most):
    for what in ("alias", "connect", "too-large", "wildcard"):
        c = open_client(stack.port, token, version=5, client_id="c", properties=((PACKET_MAXIMUM, most),))
        c.send(WRONGS[what][0])
        packets = c.closed()
        assert [(p.kind, p.code) for p in packets] == [(DISCONNECT, WRONGS[what][1])]
        assert len(packets[0].body) + 2 <= most
        c.close()


@proves("MQTT-3.2.2-15", "MQTT-4.13.2-1")
def test_a_packet_larger_than_announced_is_refused_and_one_as_large_is_taken(stack, token):
    with open_client(stack.port, token, "c", 5) as c:
        most = c.connack.properties[PACKET_MAXIMUM]
        whole = publish("a", b"x" * (most - 4 - 3 - 1), version=5)
        assert len(whole) == most
        c.subscribe("a")
        c.send(whole)
        assert len(c.expect(PUBLISH, 10).payload) == most - 8
        c.send(publish("a", b"x" * (most - 4 - 3), version=5))
        ended(c, 0x95)
