"""Chapters 3.15 and 4.12: AUTH and enhanced authentication. Any method but `token` (tests/flow/test_reauth.py) is refused with its code."""
import pytest
from proofs import AUTH_DATA, AUTH_METHOD, ended, proves, refused
from rawmqtt import AUTH, CONNACK, PUBLISH, Raw, connect, open_client, packet, props, publish


@pytest.mark.parametrize("properties", [((AUTH_METHOD, "SCRAM-SHA-256"),), ((AUTH_METHOD, "x"), (AUTH_DATA, "y")), ((AUTH_METHOD, ""),)])
@proves("MQTT-4.12.0-1", "MQTT-4.12.0-2", "MQTT-4.12.0-4", "MQTT-4.12.0-5", "MQTT-3.15.2-1", "MQTT-3.15.2-2", "MQTT-3.15.2-3")
def test_a_connect_with_a_method_is_refused_and_never_answered_with_auth(stack, token, properties):
    refused(stack.port, connect("c", token, version=5, properties=properties), 5, 0x8C)


@proves("MQTT-4.12.0-1", "MQTT-3.1.4-6")
def test_what_follows_a_connect_with_a_method_has_no_effect(stack, token):
    with open_client(stack.port, token) as watch:
        watch.subscribe("#")
        refused(stack.port, connect("c", token, version=5, properties=((AUTH_METHOD, "m"),)) + packet(AUTH, b"\x18" + props((AUTH_METHOD, "m"))) +
                publish("a", "x", version=5), 5, 0x8C)
        assert watch.sync() == []


@proves("MQTT-4.12.0-6")
def test_without_a_method_nothing_of_a_method_is_sent(stack, token):
    with Raw(stack.port, 5) as c:
        c.send(connect("c", token, version=5))
        answer = c.read()
        assert answer.kind == CONNACK and answer.code == 0
        assert AUTH_METHOD not in answer.properties and AUTH_DATA not in answer.properties
        assert c.sync() == []


@pytest.mark.parametrize("body", [b"", b"\x19\0", b"\x18" + props((AUTH_METHOD, "m")), b"\x19" + props((AUTH_METHOD, "m"), (AUTH_DATA, "d"))], ids=["empty", "again", "continue", "data"])
@proves("MQTT-4.12.0-7", "MQTT-4.12.1-1", "MQTT-4.12.1-2", "MQTT-4.12.0-6", "MQTT-4.13.1-1")
def test_auth_on_a_connection_without_a_method_ends_it(stack, token, body):
    with open_client(stack.port, token) as watch:
        watch.subscribe("will")
        c = open_client(stack.port, token, "c", 5, will=("will", "x", 0, False))
        c.send(packet(AUTH, body))
        assert ended(c, 0x82) == []
        assert watch.expect(PUBLISH).payload == b"x"


@pytest.mark.parametrize("flags", [1, 2, 4, 8])
@proves("MQTT-3.15.1-1", "MQTT-2.1.3-1")
def test_auth_with_flags_is_malformed(stack, token, flags):
    c = open_client(stack.port, token, version=5)
    c.send(packet(AUTH, b"\x18\0", flags))
    ended(c, 0x81)
