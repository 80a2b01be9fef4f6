"""Wills: chapters 3.1.2.5 to 3.1.2.7, 3.1.3.2 and what DISCONNECT does to them."""
import time

import pytest
from proofs import (CONTENT_TYPE, CORRELATION, EXPIRY, PAYLOAD_FORMAT, RESPONSE_TOPIC, USER, WILL_DELAY, V, durable, ended, messages, proves, refused, settled)
from rawmqtt import PUBLISH, SUBSCRIBE, connect, disconnect, open_client, packet, publish
from stack import SLOW, Stopwatch


@pytest.fixture
def watch(stack, token):
    with open_client(stack.port, token, "watch", 5) as w:
        w.subscribe(("w/#", 2 | 0x08))
        yield w


def gone(c):
    """Cuts the connection and gives the server time to notice, so that the next one with the id is no take-over."""
    c.close()
    time.sleep(0.15 * SLOW)


ENDS = {"cut": None, "malformed": b"\xf0\x01\0", "protocol-error": packet(SUBSCRIBE, b"\0\0\0", 2), "wildcard-topic": publish("#", "x"), "second-connect": connect("c")}


@V
@pytest.mark.parametrize("how", ENDS)
@proves("MQTT-3.1.2-7", "MQTT-3.1.2-8", "v3:MQTT-3.1.2-8")
def test_the_will_is_published_however_the_connection_ends_without_disconnect(stack, token, watch, version, how):
    c = open_client(stack.port, token, "c", version, will=("w/1", "last words", 1, False))
    if ENDS[how]:
        c.send(ENDS[how])
        c.closed()
    c.close()
    m = watch.expect(PUBLISH)
    assert (m.topic, m.payload, m.qos) == ("w/1", b"last words", 1)
    assert watch.sync() == []


@V
@pytest.mark.parametrize("qos", [0, 1, 2])
@proves("MQTT-3.1.2-12", "v3:MQTT-3.1.2-14", "v3:MQTT-3.1.2-9", "MQTT-3.1.2-14", "v3:MQTT-3.1.2-16")
def test_the_will_has_its_qos_and_is_not_kept_without_will_retain(stack, token, watch, version, qos):
    open_client(stack.port, token, "c", version, will=("w/1", "x", qos, False)).close()
    m = watch.expect(PUBLISH)
    assert (m.qos, m.retain, m.dup) == (qos, False, False)
    with open_client(stack.port, token, "late") as late:
        late.subscribe("w/#")
        assert settled(late) == []


@V
@proves("MQTT-3.1.2-15", "v3:MQTT-3.1.2-17")
def test_the_will_is_kept_with_will_retain_and_an_empty_one_clears(stack, token, watch, version):
    open_client(stack.port, token, "c", version, will=("w/1", "kept", 1, True)).close()
    assert watch.expect(PUBLISH).retain
    with open_client(stack.port, token, "late") as late:
        late.subscribe(("w/1", 1))
        assert [(m.payload, m.retain, m.qos) for m in messages(settled(late))] == [(b"kept", True, 1)]
    open_client(stack.port, token, "c", version, will=("w/1", "", 0, True)).close()
    assert watch.expect(PUBLISH).payload == b""
    with open_client(stack.port, token, "late") as late:
        late.subscribe("w/1")
        assert settled(late) == []


@V
@proves("MQTT-3.14.4-3", "v3:MQTT-3.14.4-3", "MQTT-3.1.2-10", "v3:MQTT-3.1.2-10", "MQTT-3.1.2-8")
def test_disconnect_discards_the_will(stack, token, watch, version):
    for data in (disconnect(),) + ((disconnect(0), disconnect(0, ())) if version == 5 else ()):
        c = open_client(stack.port, token, "c", version, will=("w/1", "x", 0, False))
        c.send(data)
        assert c.closed() == []
        c.close()
    open_client(stack.port, token, "c", version).close()        # nothing is left of it for the next one
    gone(c)
    assert watch.sync() == []


@pytest.mark.parametrize("code", [0x04, 0x80, 0x81, 0x93, 0x99])
@proves("MQTT-3.1.2-8", "MQTT-3.14.4-3")
def test_disconnect_with_another_code_publishes_it(stack, token, watch, code):
    c = open_client(stack.port, token, "c", 5, will=("w/1", "x", 0, False))
    c.send(disconnect(code))
    assert c.closed() == []
    assert watch.expect(PUBLISH).payload == b"x"


@V
@proves("MQTT-3.1.2-10", "v3:MQTT-3.1.2-10", "v3:MQTT-3.1.2-12")
def test_a_will_is_published_once_and_a_connection_without_one_publishes_none(stack, token, watch, version):
    open_client(stack.port, token, "c", **durable(version, will=("w/1", "once", 0, False))).close()
    assert watch.expect(PUBLISH).payload == b"once"
    for _ in range(2):
        c = open_client(stack.port, token, "c", **durable(version))
        assert c.present == 1
        gone(c)
    assert watch.sync() == []


@V
@proves("MQTT-3.1.2-8", "v3:MQTT-3.1.2-8")
def test_a_take_over_publishes_a_will_without_delay(stack, token, watch, version):
    a = open_client(stack.port, token, "c", **durable(version, will=("w/1", "old", 0, False)))
    b = open_client(stack.port, token, "c", **durable(version, will=("w/1", "new", 0, False)))
    ended(a, 0x8E)
    assert watch.expect(PUBLISH).payload == b"old"
    assert watch.sync() == []
    b.close()
    assert watch.expect(PUBLISH).payload == b"new"


@proves("MQTT-3.1.3-9", "MQTT-3.1.2-8")
def test_a_delayed_will_waits_and_is_not_sent_if_the_client_comes_back(stack, token, watch):
    will = ("w/1", "late", 0, False, ((WILL_DELAY, 1),))
    start = time.monotonic()
    open_client(stack.port, token, "stays-away", **durable(5, will=("w/2",) + will[1:])).close()
    c = open_client(stack.port, token, "comes-back", **durable(5, will=will))
    gone(c)
    c = open_client(stack.port, token, "comes-back", **durable(5, will=will))
    assert c.present == 1
    m = watch.expect(PUBLISH)
    assert m.topic == "w/2" and 0.9 <= time.monotonic() - start
    time.sleep(0.5)
    assert watch.sync() == []
    c.send(disconnect())
    c.closed()
    c.close()


@proves("MQTT-3.1.3-9", "MQTT-3.1.2-8")
def test_a_take_over_within_the_delay_does_not_send_the_will(stack, token, watch):
    will = ("w/1", "late", 0, False, ((WILL_DELAY, 1),))
    a = open_client(stack.port, token, "c", **durable(5, will=will))
    b = open_client(stack.port, token, "c", **durable(5))
    ended(a, 0x8E)
    time.sleep(1.5)
    assert watch.sync() == []
    b.close()


@pytest.mark.parametrize("how", ["expiry-0", "expiry-1", "clean-start", "disconnect-expiry-0"])
@proves("MQTT-3.1.2-8")
def test_a_delayed_will_is_sent_when_the_session_ends_before_the_delay(stack, token, watch, how):
    will = ("w/1", "late", 0, False, ((WILL_DELAY, 300),))
    clock = Stopwatch(stack)
    c = open_client(stack.port, token, "c", **durable(5, {"expiry-0": 0, "expiry-1": 1}.get(how, 300), will=will))
    if how == "disconnect-expiry-0":
        c.send(disconnect(0x04, ((0x11, 0),)))
        c.closed()
    gone(c)
    if how == "clean-start":
        assert watch.sync() == []
        open_client(stack.port, token, "c", 5).close()
    assert watch.expect(PUBLISH).payload == b"late"
    assert clock.seconds() < 3 * SLOW


@proves("MQTT-3.1.3-10", "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-20")
def test_the_properties_of_a_will_reach_subscribers_unaltered_and_in_order(stack, token, watch):
    sent = ((USER, "b", "1"), (PAYLOAD_FORMAT, 1), (USER, "a", "2"), (CONTENT_TYPE, "t"), (RESPONSE_TOPIC, "re"), (CORRELATION, b"\0\xff"), (EXPIRY, 100), (USER, "b", "0"),
            (WILL_DELAY, 0))
    open_client(stack.port, token, "c", 5, will=("w/1", "x", 1, False, sent)).close()
    m = watch.expect(PUBLISH)
    assert m.user == [("b", "1"), ("a", "2"), ("b", "0")]
    assert m.properties.pop(EXPIRY) in (99, 100)
    assert m.properties == {PAYLOAD_FORMAT: 1, CONTENT_TYPE: b"t", RESPONSE_TOPIC: b"re", CORRELATION: b"\0\xff"}


@proves("MQTT-3.3.2-6")
def test_the_expiry_of_a_will_counts_from_its_publication(stack, token, watch):
    open_client(stack.port, token, "c", **durable(5, will=("w/1", "x", 1, False, ((EXPIRY, 100), (WILL_DELAY, 2))))).close()
    assert watch.expect(PUBLISH).properties[EXPIRY] in (99, 100)


@V
@proves("MQTT-3.1.3-11", "v3:MQTT-3.1.3-10", "MQTT-4.7.0-1", "v3:MQTT-4.7.1-1", "MQTT-4.7.3-1", "v3:MQTT-4.7.3-1")
def test_a_will_topic_that_is_no_topic_name_is_refused(stack, token, version):
    for topic in ("w/#", "+", ""):
        refused(stack.port, connect("c", token, version=version, will=(topic, "x", 0, False)), version, *((0x90, 0x81) if version == 5 else (None,)))
