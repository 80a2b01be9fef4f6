"""QoS 2 across a reconnect: the connection is lost together with the packet that matters (tests/kit/relay.py), with clients that nobody here
wrote, in both versions."""
import pytest
from interop import Made, Other, can, each
from rawmqtt import PUBCOMP, PUBREC, PUBREL
from relay import DOWN, UP, Relay
from stack import wait_for


@pytest.fixture
def made(customer):
    with Made(customer) as m:
        yield m


@each
def test_what_it_sends_with_qos_2_arrives_once_although_the_connection_breaks(stack, customer, made, name, version):
    can(name, "qos2 out")
    other = Other(stack, made.token, "out")
    with Relay(stack.port) as wire:
        c = made(name, wire.port, version, "sender").open(clean=False, expiry=300, again=True)
        wire.cut(DOWN, PUBREC)
        c.publish("out", "its PUBREC was lost", qos=2)
        wire.cut(DOWN, PUBCOMP)
        c.publish("out", "its PUBCOMP was lost", qos=2)
        c.publish("out", "whole", qos=2)
        assert [other.message().payload for _ in range(3)] == [b"its PUBREC was lost", b"its PUBCOMP was lost", b"whole"]
        assert other.rest() == [] and wire.cuts == 2


@each
def test_what_it_gets_with_qos_2_comes_once_although_the_connection_breaks(stack, customer, made, name, version):
    can(name, "qos2 in")
    other = Other(stack, made.token)
    with Relay(stack.port) as wire:
        c = made(name, wire.port, version, "receiver").open(clean=False, expiry=300, topic="in", qos=2, again=True)
        losses = ((PUBREC, UP, "its PUBREC was lost"), (PUBREL, DOWN, "its PUBREL was lost"), (PUBCOMP, UP, "its PUBCOMP was lost"))
        for n, (kind, direction, text) in enumerate(losses):
            wire.cut(direction, kind)
            other.publish("in", text, qos=2)
            assert c.message(20) == ("in", text)
            wait_for(lambda: wire.cuts == n + 1, 20)    # some hand a message on before the flow is over
        other.publish("in", "whole", qos=2)
        assert c.message(20) == ("in", "whole")
