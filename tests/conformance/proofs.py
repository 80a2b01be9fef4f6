"""What the conformance tests share: @proves, which says what a test is the proof of, and short words for what many of them do.

Statements of MQTT 5.0 are named as in the standard ("MQTT-3.1.0-2"), those of 3.1.1 with "v3:" before it. scripts/conformance reads the
decorators and compares them with statements.txt."""
import pytest
from rawmqtt import CONNACK, DISCONNECT, PUBLISH, Raw

V = pytest.mark.parametrize("version", [4, 5])
PAYLOAD_FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, SUBSCRIPTION_ID, SESSION_EXPIRY = 0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x11
ASSIGNED_ID, SERVER_KEEP_ALIVE, AUTH_METHOD, AUTH_DATA, PROBLEM_INFO, WILL_DELAY, WANT_RESPONSE_INFO = 0x12, 0x13, 0x15, 0x16, 0x17, 0x18, 0x19
RESPONSE_INFO, REASON, RECEIVE_MAXIMUM, ALIAS_MAXIMUM, ALIAS, MAXIMUM_QOS, RETAIN_AVAILABLE, USER, PACKET_MAXIMUM = 0x1A, 0x1F, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27

# What CONNACK may say: MQTT 3.1.1, table 3.1; MQTT 5, table 3-1
CONNACK_CODES = {4: set(range(6)), 5: {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F}}


def proves(*ids):
    def mark(test):
        test.proves = ids
        return test
    return mark


def messages(packets):
    return [p for p in packets if p.kind == PUBLISH]


def payloads(packets):
    return [p.payload for p in messages(packets)]


def settled(c):
    """What has come when the retained messages of a SUBSCRIBE before have, too: they begin in the turn after SUBACK, so one round trip may overtake them."""
    return c.sync() + c.sync()


def durable(version, expiry=300, **more):
    """Arguments of open_client for a session that outlives its connection."""
    if version == 5:
        more["properties"] = ((SESSION_EXPIRY, expiry),) + tuple(more.get("properties", ()))
    return dict({"clean": False, "version": version}, **more)


def refused(port, data, version, *codes):
    """The connection is closed, and before that comes CONNACK with one of the codes or, if None is among them, nothing at all."""
    with Raw(port, version) as c:
        c.send(data)
        packets = c.closed()
    if not packets:
        assert None in codes, "closed without CONNACK"
        return None
    assert [p.kind for p in packets] == [CONNACK] and packets[0].code in codes, packets
    assert packets[0].present == 0 and packets[0].code in CONNACK_CODES[version]
    return packets[0]


def ended(c, *codes):
    """The server ends the connection: v5 with DISCONNECT of one of the codes, v3 without a word. Returns what came before."""
    packets = c.closed()
    c.close()
    if c.version == 5:
        assert packets and packets[-1].kind == DISCONNECT, packets
        assert packets[-1].code in codes, "0x%02X" % packets[-1].code
        packets.pop()
    assert [p for p in packets if p.kind in (DISCONNECT, CONNACK)] == []
    return packets

