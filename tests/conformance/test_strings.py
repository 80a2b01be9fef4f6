"""Chapters 1 and 2: strings, integers, flags, packet ids, property lengths."""
import pytest
from proofs import CONTENT_TYPE, PROBLEM_INFO, RESPONSE_TOPIC, SUBSCRIPTION_ID, USER, V, ended, messages, proves, refused
from rawmqtt import (CONNECT, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, ack, connect,
                     open_client, packet, props, publish, subscribe, text, unsubscribe, varint)

ILL_FORMED = {"alone": b"\xff", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80", "surrogate-pair": b"\xed\xa0\xbd\xed\xb8\x80", "above": b"\xf4\x90\x80\x80", "cut": b"\xe2\x82",
              "continuation": b"\x80"}


@V
@pytest.mark.parametrize("bad", ILL_FORMED)
@proves("MQTT-1.5.4-1", "v3:MQTT-1.5.3-1", "MQTT-3.1.3-4", "v3:MQTT-3.1.3-4", "MQTT-3.1.3-11", "v3:MQTT-3.1.3-10", "MQTT-3.1.3-12", "v3:MQTT-3.1.3-11")
def test_ill_formed_utf8_in_connect_is_refused(stack, token, version, bad):
    bad = ILL_FORMED[bad]
    for data in (connect(b"c" + bad, token, version=version), connect("c", token.encode() + bad, version=version),
                 connect("c", token, version=version, will=(b"w" + bad, "x", 0, False))):
        refused(stack.port, data, version, *((0x81,) if version == 5 else (None,)))


@V
@pytest.mark.parametrize("bad", ILL_FORMED)
@proves("MQTT-1.5.4-1", "v3:MQTT-1.5.3-1", "MQTT-3.3.2-1", "v3:MQTT-3.3.2-1", "MQTT-3.8.3-1", "v3:MQTT-3.8.3-1", "MQTT-3.10.3-1", "v3:MQTT-3.10.3-1")
def test_ill_formed_utf8_in_a_name_closes_and_is_not_passed_on(stack, token, version, bad):
    bad = ILL_FORMED[bad]
    with open_client(stack.port, token, "watch", version) as watch:
        watch.subscribe("#")
        for data in (publish(b"a" + bad, "x", version=version), subscribe(b"a" + bad, version=version), unsubscribe(b"a" + bad, version=version)):
            c = open_client(stack.port, token, version=version)
            c.send(data)
            assert ended(c, 0x81) == []
        assert watch.sync() == []


@proves("MQTT-1.5.4-1", "MQTT-1.5.7-1", "MQTT-3.3.2-13", "MQTT-3.3.2-19")
def test_ill_formed_utf8_in_a_property_closes_and_is_not_passed_on(stack, token):
    with open_client(stack.port, token, "watch", 5) as watch:
        watch.subscribe("#")
        for prop in ((USER, "k", b"\xff"), (USER, b"\xff", "v"), (USER, "k\0", "v"), (USER, "k", "\0"), (RESPONSE_TOPIC, b"r\xff"), (RESPONSE_TOPIC, "r\0"),
                     (CONTENT_TYPE, b"\xed\xa0\x80"), (CONTENT_TYPE, "a\0")):
            c = open_client(stack.port, token, version=5)
            c.publish("a", "x", properties=(prop,))
            ended(c, 0x81)
        assert watch.sync() == []


@V
@proves("MQTT-1.5.4-2", "v3:MQTT-1.5.3-2", "MQTT-4.7.3-2", "v3:MQTT-4.7.3-2")
def test_a_nul_in_a_string_closes(stack, token, version):
    for data in (connect("a\0", token, version=version), connect("c", token, version=version, will=("\0w", "x", 0, False)), connect("c", token + "\0", version=version)):
        refused(stack.port, data, version, *((0x81,) if version == 5 else (None,)))
    for data in (publish("a\0b", "x", version=version), subscribe("a\0b", version=version), unsubscribe("\0", version=version)):
        c = open_client(stack.port, token, version=version)
        c.send(data)
        ended(c, 0x81)


@V
@proves("MQTT-1.5.4-3", "v3:MQTT-1.5.3-3")
def test_ef_bb_bf_is_a_character_and_never_stripped(stack, token, version):
    """Also in a name: it arrives as it was sent, and is another one than the name without it."""
    with open_client(stack.port, token, "watch", version) as watch:
        watch.subscribe("#")
        with open_client(stack.port, token, "\ufeffc\ufeff", version, will=("\ufeffw", "x", 0, False)) as c:
            assert c.subscribe("ab", "\ufeff/a") == [0, 0]
            for name in ("\ufeffab", "a\ufeffb", "\ufeff/a"):
                c.publish(name, "x", qos=1)
                assert watch.expect(PUBLISH).topic == name
            assert [m.topic for m in messages(c.sync())] == ["\ufeff/a"]
            properties = ((CONTENT_TYPE, "\ufefft"), (USER, "\ufeffk\ufeff", "v\ufeff")) if version == 5 else ()
            c.publish("b", "\ufeffpay", qos=1, properties=properties)
            c.sync()
        m = watch.expect(PUBLISH)
        assert m.payload == b"\xef\xbb\xbfpay"
        if version == 5:
            assert m.properties[CONTENT_TYPE] == b"\xef\xbb\xbft" and m.user == [("\ufeffk\ufeff", "v\ufeff")]
        assert watch.expect(PUBLISH).topic == "\ufeffw"      # when the proxy has seen the end of that connection, which is no matter of this one's order
        assert messages(watch.sync()) == []


def raw_packet(c):
    """The next packet as bytes."""
    while True:
        for n in range(2, 6):
            if len(c.data) >= n and not c.data[n - 1] & 128:
                length = sum((b & 127) << 7 * i for i, b in enumerate(c.data[1:n]))
                if len(c.data) >= n + length:
                    data, c.data = c.data[:n + length], c.data[n + length:]
                    return data, n + length, n - 1
                break
        c._fill(5)


@pytest.mark.parametrize("size", [127, 128, 16383, 16384])
@proves("MQTT-1.5.5-1")
def test_lengths_are_encoded_in_the_fewest_bytes(stack, token, size):
    with open_client(stack.port, token, version=5) as c:
        c.subscribe("a", properties=((SUBSCRIPTION_ID, size),))
        c.publish("a", b"x" * (size - 3 - 1 - 1 - len(varint(size))))
        data, _, length_bytes = raw_packet(c)
        assert length_bytes == len(varint(size)) and data[1:1 + length_bytes] == varint(size)
        assert data[1 + length_bytes + 3:][:2 + length_bytes] == bytes([1 + length_bytes, SUBSCRIPTION_ID]) + varint(size)


@V
@proves("MQTT-1.5.5-1")
def test_a_length_in_more_bytes_than_needed_is_malformed(stack, token, version):
    for data in (bytes([PUBLISH << 4, 0x84, 0x00]) + text("a") + b"x", bytes([PINGREQ << 4, 0x80, 0x00])):
        c = open_client(stack.port, token, version=version)
        c.send(data)
        ended(c, 0x81)
    if version == 5:
        c = open_client(stack.port, token, version=5)
        c.send(packet(PUBLISH, text("a") + b"\x80\x00" + b"x"))
        ended(c, 0x81)
        c = open_client(stack.port, token, version=5)
        c.send(packet(SUBSCRIBE, b"\0\1" + b"\x03\x0b\x81\x00" + text("a") + b"\0", 2))
        ended(c, 0x81)


@V
@proves("MQTT-2.1.3-1", "v3:MQTT-2.2.2-1")
def test_the_reserved_flags_of_what_the_server_sends_have_their_value(stack, token, version):
    with open_client(stack.port, token, "f", version) as c:
        assert c.connack.flags == 0
        c.send(subscribe(("a", 2), version=version) + packet(PINGREQ))
        got = {p.kind: p.flags for p in (c.read(), c.read())}
        c.publish("a", "1", qos=1, pid=1)
        c.publish("a", "2", qos=2, pid=2)
        c.send(ack(PUBREL, 2, version=version))
        packets = c.sync()
        two = [p for p in messages(packets) if p.qos == 2][0]
        c.send(ack(PUBREC, two.pid, version=version) + unsubscribe("a", version=version))
        packets += c.sync()
        got.update({p.kind: p.flags for p in packets if p.kind != PUBLISH})
        assert got == {SUBACK: 0, PINGRESP: 0, PUBACK: 0, PUBREC: 0, PUBCOMP: 0, PUBREL: 2, UNSUBACK: 0}
        if version == 5:
            c.send(packet(15, b""))
            assert [p.flags for p in c.closed() if p.kind == DISCONNECT] == [0]


@V
@pytest.mark.parametrize("data", [packet(SUBSCRIBE, b"\0\1\0" + text("a") + b"\0", 0), packet(UNSUBSCRIBE, b"\0\1\0" + text("a"), 3), packet(PUBREL, b"\0\1", 0),
                                  packet(PUBACK, b"\0\1", 2), packet(PUBREC, b"\0\1", 1), packet(PUBCOMP, b"\0\1", 8), packet(PINGREQ, b"", 1), packet(DISCONNECT, b"", 1)],
                         ids=["subscribe", "unsubscribe", "pubrel", "puback", "pubrec", "pubcomp", "pingreq", "disconnect"])
@proves("MQTT-2.1.3-1", "v3:MQTT-2.2.2-2", "MQTT-3.6.1-1", "v3:MQTT-3.6.1-1", "MQTT-3.8.1-1", "v3:MQTT-3.8.1-1", "MQTT-3.10.1-1", "v3:MQTT-3.10.1-1", "MQTT-3.14.1-1",
        "v3:MQTT-3.14.1-1")
def test_invalid_flags_are_malformed(stack, token, version, data):
    c = open_client(stack.port, token, version=version)
    c.send(data)
    ended(c, 0x81)


@V
@proves("MQTT-2.2.1-2", "v3:MQTT-2.3.1-5", "MQTT-4.3.1-1", "v3:MQTT-4.3.1-1", "MQTT-3.3.1-2", "v3:MQTT-3.3.1-2")
def test_a_qos_0_delivery_has_no_packet_id_and_no_dup(stack, token, version):
    with open_client(stack.port, token, version=version) as c:
        c.subscribe("a", "b")
        c.publish("a", "zero")
        c.publish("b", "one", qos=1, pid=77)
        for topic, payload in (("a", b"zero"), ("b", b"one")):
            m = c.read()
            while m.kind != PUBLISH:
                m = c.read()
            assert m.flags == 0
            assert m.body == text(topic) + (b"\0" if version == 5 else b"") + payload


@V
@proves("MQTT-2.2.1-3", "v3:MQTT-2.3.1-1")
def test_a_packet_id_of_zero_ends_the_connection(stack, token, version):
    for data in (publish("a", "x", qos=1, pid=0, version=version), publish("a", "x", qos=2, pid=0, version=version), subscribe("a", pid=0, version=version),
                 unsubscribe("a", pid=0, version=version)):
        c = open_client(stack.port, token, version=version)
        c.send(data)
        assert ended(c, 0x82) == []


@V
@proves("MQTT-2.2.1-4", "v3:MQTT-2.3.1-4", "MQTT-4.3.2-1", "MQTT-4.3.3-1")
def test_ids_of_deliveries_are_not_zero_and_not_in_use(stack, token, version):
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe(("a", 2))
        in_use = set()
        for turn in range(6):
            for i in range(20):
                p.publish("a", "%d" % i, qos=1 + i % 2, pid=turn * 20 + i + 1)
            p.sync()
            for m in messages(s.sync()):
                assert m.pid and m.pid not in in_use
                in_use.add(m.pid)
                if m.qos == 1 and turn % 2:     # half of them stay in flight, and so do all of QoS 2
                    s.send(ack(PUBACK, m.pid, version=version))
                    in_use.remove(m.pid)
        assert len(in_use) >= 60


@proves("MQTT-2.2.1-4", "MQTT-4.3.2-1", "v3:MQTT-2.3.1-4")
def test_ids_of_deliveries_go_round_without_meeting_one_in_use(stack, token):
    """More than 65,535 deliveries: an id is given again only after its PUBACK."""
    with open_client(stack.port, token, "s") as s, open_client(stack.port, token, "p") as p:
        s.subscribe(("a", 1))
        seen, last = 0, 0
        wire = publish("a", "", qos=1, pid=1)
        while seen < 66000:
            p.send(wire * 90)
            got = []
            while len(got) < 90:
                got.append(s.expect(PUBLISH).pid)
            assert 0 not in got and len(set(got)) == 90
            s.send(b"".join(ack(PUBACK, i) for i in got))
            for _ in range(90):
                p.expect(PUBACK)
            seen, last = seen + 90, got[-1]
        assert last < 65535 < seen


@V
@proves("MQTT-2.2.1-5", "v3:MQTT-2.3.1-6", "MQTT-4.3.2-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11", "MQTT-4.3.3-4", "MQTT-3.3.4-1", "v3:MQTT-3.3.4-1")
def test_acknowledgements_have_the_id_of_their_publish(stack, token, version):
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe(("a", 2))
        for pid in (1, 255, 256, 65535):
            p.publish("a", "0")
            p.publish("a", "1", qos=1, pid=pid)
            assert p.expect(PUBACK).pid == pid
            p.publish("a", "2", qos=2, pid=pid)
            assert p.expect(PUBREC).pid == pid
            p.send(ack(PUBREL, pid, version=version))
            assert p.expect(PUBCOMP).pid == pid
            m = [s.expect(PUBLISH) for _ in range(3)]
            assert [x.qos for x in m] == [0, 1, 2]
            s.send(ack(PUBACK, m[1].pid, version=version) + ack(PUBREC, m[2].pid, version=version))
            assert s.expect(PUBREL).pid == m[2].pid
            s.send(ack(PUBCOMP, m[2].pid, version=version))
        assert p.sync() == [] and s.sync() == []


@V
@proves("MQTT-2.2.1-6", "v3:MQTT-2.3.1-7", "MQTT-3.8.4-1", "MQTT-3.8.4-2", "v3:MQTT-3.8.4-1", "v3:MQTT-3.8.4-2", "MQTT-3.10.4-4", "MQTT-3.10.4-5", "v3:MQTT-3.10.4-4",
        "v3:MQTT-3.10.4-5")
def test_suback_and_unsuback_have_the_id_of_their_request(stack, token, version):
    with open_client(stack.port, token, version=version) as c:
        for pid in (1, 255, 256, 65535):
            c.send(subscribe("a", pid=pid, version=version))
            assert c.expect(SUBACK).pid == pid
            for _ in range(2):              # the second one deletes nothing
                c.send(unsubscribe("a", pid=pid, version=version))
                assert c.expect(UNSUBACK).pid == pid


@proves("MQTT-2.2.2-1")
def test_a_packet_without_properties_has_a_property_length_of_zero(stack, token):
    with open_client(stack.port, token, version=5, properties=((PROBLEM_INFO, 0),)) as c:
        c.send(subscribe("a", pid=3, version=5))
        assert c.expect(SUBACK).body == b"\0\3\0\0"
        c.send(unsubscribe("b", pid=4, version=5))
        assert c.expect(UNSUBACK).body == b"\0\4\0\x11"
        c.publish("a", "x")
        assert c.expect(PUBLISH).body == text("a") + b"\0" + b"x"


@pytest.mark.parametrize("data", [packet(PUBLISH, text("a")), packet(PUBLISH, text("a") + b"\0\1", 2), packet(SUBSCRIBE, b"\0\1", 2), packet(UNSUBSCRIBE, b"\0\1", 2)],
                         ids=["publish", "publish-qos-1", "subscribe", "unsubscribe"])
@proves("MQTT-2.2.2-1")
def test_a_packet_without_a_property_length_is_malformed(stack, token, data):
    c = open_client(stack.port, token, version=5)
    c.send(data)
    ended(c, 0x81)


@proves("MQTT-2.2.2-1", "MQTT-3.1.4-1")
def test_a_connect_without_a_property_length_is_malformed(stack):
    refused(stack.port, packet(CONNECT, text("MQTT") + b"\x05\x02\0\x3c"), 5, 0x81)
    refused(stack.port, packet(CONNECT, text("MQTT") + b"\x05\x06\0\x3c" + props() + text("c")), 5, 0x81)
