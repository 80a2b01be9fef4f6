"""Attacks P01 to P37 of the attack table: protocol parsing. One test per id, over TCP, v3.1.1 and v5 where both can say it.

`DISC 0xNN` = DISCONNECT with that code, then the end (v5); for v3 the connection just ends. Whatever happens, the stack lives on and other
clients notice nothing: tests/conftest.py checks the first after every test, `bystander` the second."""
import random

import time

import pytest
from rawmqtt import (AUTH, CONNACK, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE,
                     Closed, Raw, ack, connect, disconnect, open_client, packet, publish, subscribe, text, unsubscribe, varint)

V = pytest.mark.parametrize("version", [4, 5])


@pytest.fixture(autouse=True)
def bystander(stack, customer):
    """Another client of the same customer lives through every attack."""
    with open_client(stack.port, customer.token(), "bystander") as c:
        c.subscribe("alive")
        yield c
        with open_client(stack.port, customer.token(), "prober") as p:
            p.publish("alive", "yes", qos=1).sync()
        assert {m.payload for m in c.sync() if m.kind == PUBLISH and m.topic == "alive"} == {b"yes"}


@pytest.fixture
def token(customer):
    return customer.token()


def ends(c, code=None, timeout=5.0):
    """The connection ends: v5 with DISCONNECT of that code (None: with nothing), v3 with nothing."""
    packets = c.closed(timeout)
    told = [(p.kind, p.code) for p in packets if p.kind in (DISCONNECT, CONNACK)]
    if c.version == 5 and code is not None:
        codes = code if isinstance(code, tuple) else (code,)
        assert len(told) == 1 and told[0][0] == DISCONNECT and told[0][1] in codes, packets
    else:
        assert told == [], packets


def refuses(port, data, version, *codes):
    """The answer to CONNECT is CONNACK with one of the codes, or (0 among them) no packet at all; then the end."""
    with Raw(port, version) as c:
        c.send(data)
        packets = c.closed()
        if not packets:
            assert 0 in codes, "closed without CONNACK"
        else:
            assert [p.kind for p in packets] == [CONNACK] and packets[0].code in codes, packets


FIRST = {"PUBLISH": publish("a", "x"), "SUBSCRIBE": subscribe("#"), "PUBACK": ack(PUBACK, 1), "PINGREQ": packet(PINGREQ), "AUTH": packet(AUTH, b"\x18\x00"),
         "DISCONNECT": packet(DISCONNECT), "CONNACK": packet(CONNACK, b"\0\0"), "zero": b"\0\0"}


@pytest.mark.parametrize("what", FIRST)
def test_P01_a_first_packet_that_is_not_connect_closes_and_nothing_else(stack, what):
    with Raw(stack.port) as c:
        c.send(FIRST[what])
        assert c.closed() == []


def test_P02_a_first_packet_with_a_huge_length_closes_after_its_first_byte(stack):
    with Raw(stack.port) as c:
        c.send(b"\x30")
        assert c.closed(3) == []
    with Raw(stack.port) as c:
        c.send(b"\x10\xff\xff\xff\x7f")
        assert [p.kind for p in c.closed(3)] in ([], [CONNACK])


@V
def test_P03_a_second_connect_ends_the_connection_and_fires_the_will(stack, token, customer, version):
    with open_client(stack.port, token, "watch") as w:
        w.subscribe("will")
        c = open_client(stack.port, token, "twice", version, will=("will", "fired", 0, False))
        c.send(connect("twice", token, version=version))
        ends(c, 0x82)
        assert w.expect(PUBLISH).payload == b"fired"


@V
@pytest.mark.parametrize("kind", [CONNACK, SUBACK, UNSUBACK, PINGRESP])
def test_P04_a_packet_only_servers_send_ends_the_connection(stack, token, version, kind):
    c = open_client(stack.port, token, version=version)
    c.send(packet(kind, {CONNACK: b"\0\0", SUBACK: b"\0\1\0", UNSUBACK: b"\0\1", PINGRESP: b""}[kind]))
    ends(c, 0x82)


@V
@pytest.mark.parametrize("data", [b"\x00\x00", b"\x80\x05\0\1\0\1a\0"[:7], b"\xc1\x00", b"\xe1\x00", b"\x41\x02\0\1", b"\x60\x02\0\1", b"\xa0\x05\0\1\0\1a"],
                         ids=["type0", "subscribe-flags", "pingreq-flags", "disconnect-flags", "puback-flags", "pubrel-flags", "unsubscribe-flags"])
def test_P05_a_reserved_type_or_wrong_header_flags_end_the_connection(stack, token, version, data):
    c = open_client(stack.port, token, version=version)
    c.send(data)
    ends(c, 0x81)


def test_P05_type_15_on_v3_ends_the_connection(stack, token):
    c = open_client(stack.port, token, version=4)
    c.send(b"\xf0\x00")
    ends(c)


@V
def test_P06_a_length_of_five_bytes_is_malformed(stack, token, version):
    with Raw(stack.port, version) as c:
        c.send(b"\x10\xff\xff\xff\xff\x01")
        assert all(p.kind == CONNACK and p.code == 0x81 for p in c.closed())
    c = open_client(stack.port, token, version=version)
    c.send(b"\x30\x80\x80\x80\x80\x01")
    ends(c, 0x81)


def test_P06_a_property_length_of_five_bytes_is_malformed(stack, token):
    c = open_client(stack.port, token, version=5)
    c.send(packet(PUBLISH, text("a") + b"\x80\x80\x80\x80\x01" + b"x" * 20))
    ends(c, 0x81)


@V
def test_P07_a_padded_length_is_malformed(stack, token, version):
    c = open_client(stack.port, token, version=version)
    c.send(b"\xc0\x80\x00")
    ends(c, 0x81)


@V
@pytest.mark.parametrize("data", [b"\x30\x00", b"\x30\x01\0", b"\x82\x00", b"\x82\x01\0", b"\xa2\x00", b"\x40\x00", b"\x40\x01\0", b"\x62\x00"],
                         ids=["publish0", "publish1", "subscribe0", "subscribe1", "unsubscribe0", "puback0", "puback1", "pubrel0"])
def test_P08_a_body_shorter_than_its_variable_header_is_malformed(stack, token, version, data):
    c = open_client(stack.port, token, version=version)
    c.send(data)
    ends(c, (0x81, 0x82))


@V
def test_P09_a_subscribe_without_the_options_byte_is_malformed(stack, token, version):
    c = open_client(stack.port, token, version=version)
    c.send(packet(SUBSCRIBE, b"\0\1" + (b"\0" if version == 5 else b"") + text("a/b"), 2))
    ends(c, 0x81)


@V
def test_P10_a_publish_cut_before_its_packet_id_is_malformed(stack, token, version):
    c = open_client(stack.port, token, version=version)
    c.send(packet(PUBLISH, text("a") + b"\0", 2))
    ends(c, 0x81)


@pytest.mark.parametrize("body", [text("a") + b"\x7f\x01", text("a") + b"\x05\x26\0\x01k\0\x09", text("a") + b"\x04\x26\xff\xff\0", text("a") + b"\x02\x23\0" + b"\x01x"],
                         ids=["longer-than-packet", "string-over-block", "key-over-block", "cut-inside"])
def test_P11_properties_that_run_over_their_length_are_malformed(stack, token, body):
    c = open_client(stack.port, token, version=5)
    c.send(packet(PUBLISH, body))
    ends(c, 0x81)


@pytest.mark.parametrize("prop", [(0x11, 5), (0x21, 5), (0x1F, "why"), (0x12, "me"), (0x27, 100), (0x15, "m")])
def test_P12_a_property_of_another_packet_is_a_protocol_error_and_not_forwarded(stack, token, bystander, prop):
    bystander.subscribe("x")
    c = open_client(stack.port, token, version=5)
    c.publish("x", "m", properties=(prop,))
    ends(c, 0x82)
    assert [p for p in bystander.sync() if p.kind == PUBLISH] == []


@pytest.mark.parametrize("properties", [((0x21, 5), (0x21, 5)), ((0x17, 2),), ((0x19, 2),), ((0x21, 0),), ((0x27, 0),), ((0x11, 1), (0x11, 1))])
def test_P13_doubled_properties_and_values_out_of_range_are_protocol_errors_in_connect(stack, token, properties):
    refuses(stack.port, connect("c", token, version=5, properties=properties), 5, 0x82)


def test_P13_a_doubled_property_in_publish_is_a_protocol_error(stack, token):
    c = open_client(stack.port, token, version=5)
    c.publish("a", "x", properties=((0x02, 1), (0x02, 1)))
    ends(c, 0x82)


def test_P14_will_properties_of_an_invalid_type_are_refused(stack, token):
    for bad in ((0x23, 1), (0x11, 1), (0x01, 2), b"\x7e\x01", b"\x18\0"):
        refuses(stack.port, connect("c", token, version=5, will=("w", "x", 0, False, (bad,))), 5, 0x81, 0x82)


@V
def test_P16_a_publish_without_topic_and_without_alias_ends_the_connection(stack, token, version):
    c = open_client(stack.port, token, version=version)
    c.publish("", "x")
    ends(c, 0x82)


@pytest.mark.parametrize("alias,topic", [(0, "a"), (65535, "a"), (3, "")], ids=["zero", "above-maximum", "unknown"])
def test_P17_topic_aliases_out_of_range_are_refused(stack, token, alias, topic):
    c = open_client(stack.port, token, version=5)
    c.publish(topic, "x", properties=((0x23, alias),))
    ends(c, 0x94)


def test_P18_an_alias_dies_with_its_connection(stack, token):
    a = open_client(stack.port, token, "same", 5, clean=False, properties=((0x11, 60),))
    a.publish("t", "x", properties=((0x23, 1),))
    a.sync()
    a.close()
    b = open_client(stack.port, token, "same", 5, clean=False, properties=((0x11, 60),))
    b.publish("", "x", properties=((0x23, 1),))
    ends(b, 0x94)


@V
def test_P19_sixty_five_thousand_slashes_are_refused_without_recursion(stack, token, version):
    with open_client(stack.port, token, version=version) as c:
        assert c.subscribe("/" * 65000, pid=3) == [0x8F if version == 5 else 0x80]
    c = open_client(stack.port, token, version=version)
    c.publish("/" * 65000, "x")
    ends(c, 0x90)


@V
@pytest.mark.parametrize("topic", ["a/+", "#", "a/#/b", "a+b"])
def test_P20_wildcards_in_a_publish_topic_end_the_connection(stack, token, version, topic):
    c = open_client(stack.port, token, version=version)
    c.publish(topic, "x")
    ends(c, 0x90)


@V
def test_P20_a_wildcard_in_a_will_topic_is_refused(stack, token, version):
    refuses(stack.port, connect("c", token, version=version, will=("a/#", "x", 0, False)), version, *((0x90,) if version == 5 else (0, 5)))


def test_P20_a_wildcard_in_a_response_topic_ends_the_connection(stack, token):
    c = open_client(stack.port, token, version=5)
    c.publish("a", "x", properties=((0x08, "re/#"),))
    ends(c, 0x90)


@V
def test_P21_each_invalid_filter_is_refused_and_the_others_are_judged_on_their_own(stack, token, version):
    bad = ["a/#/b", "a+", "#a", "", "$share//x", "$share/g", "$share/g/", "$share/a+b/x", "$share/g#/x", "a/b#"]
    with open_client(stack.port, token, version=version) as c:
        assert c.subscribe("good", *bad, pid=2)[0] == 0
        codes = c.subscribe(*bad, "good/2", pid=3)
        assert codes == [0x8F if version == 5 else 0x80] * len(bad) + [0]


def test_P22_no_local_on_a_shared_subscription_is_a_protocol_error(stack, token):
    c = open_client(stack.port, token, version=5)
    c.send(subscribe(("$share/g/a", 4), version=5))
    ends(c, 0x82)


@V
@pytest.mark.parametrize("what", ["no-filter", "id-0", "qos-3", "reserved", "unsubscribe-none", "unsubscribe-id-0"])
def test_P23_subscribes_that_break_the_rules_end_the_connection(stack, token, version, what):
    p = b"\0" if version == 5 else b""
    data = {"no-filter": packet(SUBSCRIBE, b"\0\1" + p, 2), "id-0": packet(SUBSCRIBE, b"\0\0" + p + text("a") + b"\0", 2), "qos-3": packet(SUBSCRIBE, b"\0\1" + p + text("a") + b"\3", 2),
            "reserved": packet(SUBSCRIBE, b"\0\1" + p + text("a") + b"\xc0", 2), "unsubscribe-none": packet(UNSUBSCRIBE, b"\0\1" + p, 2),
            "unsubscribe-id-0": packet(UNSUBSCRIBE, b"\0\0" + p + text("a"), 2)}[what]
    c = open_client(stack.port, token, version=version)
    c.send(data)
    ends(c, 0x81 if what == "reserved" else 0x82)


def test_P23_retain_handling_3_is_a_protocol_error(stack, token):
    c = open_client(stack.port, token, version=5)
    c.send(subscribe(("a", 0x30), version=5))
    ends(c, 0x82)


@V
@pytest.mark.parametrize("what", ["qos-3", "dup-qos-0", "id-0"])
def test_P24_publishes_that_break_the_rules_end_the_connection(stack, token, version, what):
    p = b"\0" if version == 5 else b""
    data = {"qos-3": packet(PUBLISH, text("a") + b"\0\1" + p, 6), "dup-qos-0": packet(PUBLISH, text("a") + p, 8), "id-0": packet(PUBLISH, text("a") + b"\0\0" + p, 2)}[what]
    c = open_client(stack.port, token, version=version)
    c.send(data)
    ends(c, 0x82 if what == "id-0" else 0x81)


BAD_UTF8 = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80", b"\xc1\xbf", b"\xf4\x90\x80\x80"]


@V
def test_P25_invalid_utf8_is_refused_everywhere_and_never_passed_on(stack, token, bystander, version):
    bystander.subscribe("#")
    for bad in BAD_UTF8:
        refuses(stack.port, connect(b"c" + bad, token, version=version), version, 0, 0x81, 0x85, 2)
        refuses(stack.port, connect("c", b"x" + bad, version=version), version, 0, 0x81, 0x86, 4)
        c = open_client(stack.port, token, version=version)
        c.publish(b"t/" + bad, "x")
        ends(c, 0x81)
        c = open_client(stack.port, token, version=version)
        c.send(subscribe(b"t/" + bad, version=version))
        ends(c, 0x81)
        for properties in (((0x26, b"k", bad),), ((0x26, bad, b"v"),), ((0x03, bad),), ((0x08, bad),)) if version == 5 else ():
            c = open_client(stack.port, token, version=5)
            c.publish("t", "x", properties=properties)
            ends(c, 0x81)
    assert [p for p in bystander.sync() if p.kind == PUBLISH and not p.topic.startswith("flespi/")] == []


@V
def test_P26_a_nul_in_any_string_is_refused(stack, token, version):
    refuses(stack.port, connect("a\0b", token, version=version), version, 0, 0x81, 0x85, 2)
    refuses(stack.port, connect("c", token, version=version, will=("w\0", "x", 0, False)), version, 0, 0x81, 0x90, 5)
    c = open_client(stack.port, token, version=version)
    c.publish("a\0b", "x")
    ends(c, 0x81)
    c = open_client(stack.port, token, version=version)
    c.send(subscribe("a\0b", version=version))
    ends(c, 0x81)
    c = open_client(stack.port, token, version=version)
    c.send(unsubscribe("a\0b", version=version))
    ends(c, 0x81)
    for properties in (((0x26, "k\0", "v"),), ((0x26, "k", "\0"),), ((0x03, "text\0/plain"),), ((0x08, "re\0ply"),)) if version == 5 else ():
        c = open_client(stack.port, token, version=5)
        c.publish("a", "x", properties=properties)
        ends(c, 0x81)


@V
def test_P27_control_characters_in_names_are_refused_and_allowed_in_payloads(stack, token, version):
    for ch in ("\x01", "\x1f", "\x7f", "\x9f", "\uffff", "\ufdd0"):
        if ch < "\u00a0":    # a client id is told apart by its bytes, and shown escaped: it may hold a non-character
            refuses(stack.port, connect("c" + ch, token, version=version), version, 0x85 if version == 5 else 2)
        refuses(stack.port, connect("c", "user" + ch, version=version), version, 0x86 if version == 5 else 4)
        refuses(stack.port, connect("c", token, version=version, will=("w" + ch, "x", 0, False)), version, 0x90 if version == 5 else 0)
        c = open_client(stack.port, token, version=version)
        c.publish("t" + ch, "x")
        ends(c, 0x90)
        with open_client(stack.port, token, version=version) as c:
            assert c.subscribe("t" + ch) == [0x8F if version == 5 else 0x80]
    with open_client(stack.port, token, version=version) as c:
        c.subscribe("t")
        c.publish("t", b"\x00\x01\xff")
        assert c.expect(PUBLISH).payload == b"\x00\x01\xff"


@V
def test_P28_acknowledgements_of_nothing_are_ignored_or_answered_and_the_window_does_not_grow(stack, token, version):
    more = {"properties": ((0x21, 1),)} if version == 5 else {}
    with open_client(stack.port, token, version=version, **more) as c:
        for kind in (PUBACK, PUBREC, PUBCOMP):
            c.send(ack(kind, 7, version=version))
        c.send(ack(PUBREL, 9, version=version))
        answers = c.sync()
        comp = [p for p in answers if p.kind == PUBCOMP]
        assert [p.pid for p in comp] == [9]
        if version == 5:
            assert comp[0].code == 0x92
            c.subscribe(("w", 1))
            with open_client(stack.port, token) as p:
                for i in range(3):
                    p.publish("w", str(i), qos=1, pid=i + 1)
                p.sync()
            assert len([m for m in c.sync() if m.kind == PUBLISH]) == 1


@V
def test_P28_the_acknowledgement_of_another_qos_ends_nothing(stack, token, version):
    with open_client(stack.port, token, version=version) as c, open_client(stack.port, token, "p") as p:
        c.subscribe(("q2", 2), ("q1", 1))
        p.publish("q2", "two", qos=2)
        p.publish("q1", "one", qos=1, pid=2).sync()
        two, one = sorted((c.expect(PUBLISH), c.expect(PUBLISH)), key=lambda m: -m.qos)
        c.send(ack(PUBACK, two.pid, version=version) + ack(PUBREC, one.pid, version=version) + ack(PUBCOMP, two.pid, version=version))
        assert [m for m in c.sync() if m.kind == PUBLISH] == []
        c.send(ack(PUBREC, two.pid, version=version))    # both are where they were
        assert PUBREL in [m.kind for m in c.sync() if m.pid == two.pid]
        c.send(ack(PUBCOMP, two.pid, version=version) + ack(PUBACK, one.pid, version=version))
        p.publish("q2", "next", qos=2, pid=3).sync()
        assert [m.payload for m in c.sync() if m.kind == PUBLISH] == [b"next"]


@V
def test_P29_an_id_of_qos_2_used_for_qos_1_meanwhile_harms_nobody(stack, token, version):
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe("x")
        p.publish("x", "two", qos=2, pid=1)
        assert p.expect(PUBREC).pid == 1
        p.publish("x", "one", qos=1, pid=1)
        answers = p.sync()
        assert [(m.kind, m.pid) for m in answers] in ([(PUBACK, 1)], [(PUBREC, 1)])
        p.send(ack(PUBREL, 1, version=version))
        assert p.expect(PUBCOMP).pid == 1
        got = [m.payload for m in s.sync() if m.kind == PUBLISH]
        assert got.count(b"two") == 1 and len(got) <= 2
        p.publish("x", "new", qos=2, pid=1)
        p.sync()
        assert [m.payload for m in s.sync()] == [b"new"]


@V
def test_P29_a_packet_id_used_again_while_in_flight_delivers_once(stack, token, version):
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe("x")
        for _ in range(5):
            p.publish("x", "m", qos=2, pid=1)
        assert all(m.kind == PUBREC for m in p.sync())
        assert len([m for m in s.sync() if m.kind == PUBLISH]) == 1
        p.send(ack(PUBREL, 1, version=version))
        p.expect(PUBCOMP)
        p.publish("x", "m2", qos=2, pid=1)
        p.sync()
        assert [m.payload for m in s.sync()] == [b"m2"]


def test_P30_unknown_names_and_levels_are_refused_in_the_right_form(stack, token):
    for name, level in (("MQTT", 0), ("MQTT", 6), ("MQTT", 0x83), ("MQTT", 0x86), ("MQIsdp", 4), ("MQIsdp", 0x84)):
        refuses(stack.port, connect("c", token, version=4, name=name, level=level), 4, 0x84, 1)
    for name in ("mqtt", "MQTX", "", "MQTTMQTT"):
        refuses(stack.port, connect("c", token, version=4, name=name), 4, 0)


@V
def test_P31_connect_flags_that_break_the_rules_are_refused(stack, token, version):
    for flags in (0x83, 0x9E, 0xA2, 0x8A) + ((0x42,) if version == 4 else ()):
        refuses(stack.port, connect("c", token, version=version, flags=flags), version, 0x81 if version == 5 else 0)


@pytest.mark.parametrize("version", [3, 4])
def test_P32_an_empty_client_id_without_clean_session_is_refused(stack, token, version):
    refuses(stack.port, connect("", token, version=version, clean=False), version, 2)


@V
def test_P33_pingreq_and_disconnect_with_a_body_end_the_connection(stack, token, version):
    c = open_client(stack.port, token, version=version)
    c.send(packet(PINGREQ, b"x"))
    ends(c, (0x81, 0x82))
    c = open_client(stack.port, token, version=version)
    c.send(packet(DISCONNECT, b"\0\0x" if version == 5 else b"\0"))
    ends(c, (0x81, 0x82))


def test_P33_a_disconnect_that_raises_the_session_expiry_from_zero_is_a_protocol_error(stack, token):
    c = open_client(stack.port, token, version=5)
    c.send(disconnect(0, ((0x11, 100),)))
    ends(c, 0x82)


@V
@pytest.mark.parametrize("topic", ["$SYS/x", "$x", "$CONTROL/dynamic-security/v1", "$share/g/x", "$queue/x"])
def test_P34_topics_that_begin_with_a_dollar_are_dropped_and_the_broker_lives(stack, token, bystander, version, topic):
    bystander.subscribe("#", "+/#")
    with open_client(stack.port, token, version=version) as c:
        c.publish(topic, "x")
        c.publish(topic, "x", qos=1, pid=1)
        c.publish(topic, "x", qos=2, pid=2)
        answers = [(p.kind, getattr(p, "code", 0)) for p in sorted(c.sync(), key=lambda p: p.pid)]
        assert answers == ([(PUBACK, 0x87), (PUBREC, 0x87)] if version == 5 else [(PUBACK, 0), (PUBREC, 0)])
    assert [p for p in bystander.sync() if p.kind == PUBLISH and not p.topic.startswith("flespi/")] == []


@V
def test_P35_the_result_is_the_same_however_the_bytes_are_cut(stack, token, bystander, version):
    bystander.subscribe("cut/#")
    stream = connect("cutter", token, version=version) + subscribe("own", version=version) + publish("own", "1", version=version) + \
        publish("cut/1", "x" * 300, qos=1, version=version) + packet(PINGREQ) + publish("cut/2", "last", version=version) + disconnect()
    for sizes in ([1], [2], [7], [random.Random(5).randrange(1, 40) for _ in range(60)], [len(stream)]):
        with Raw(stack.port, version) as c:
            at, i = 0, 0
            while at < len(stream):
                c.send(stream[at:at + sizes[i % len(sizes)]])
                at += sizes[i % len(sizes)]
                i += 1
            # what the core would still have said after DISCONNECT is nobody's
            assert c.closed()[0].kind == CONNACK
        assert [p.topic for p in (bystander.expect(PUBLISH), bystander.expect(PUBLISH))] == ["cut/1", "cut/2"]


@V
def test_P35_a_thousand_packets_in_one_segment_and_disconnect_right_after(stack, token, bystander, version):
    bystander.subscribe("many")
    c = open_client(stack.port, token, version=version)
    c.send(b"".join(publish("many", "%d" % i, version=version) for i in range(1000)) + disconnect())
    assert [bystander.expect(PUBLISH).payload for _ in range(1000)] == [b"%d" % i for i in range(1000)]


@V
@pytest.mark.parametrize("name", ["__proto__", "constructor", "'; DROP TABLE tokens;--", "%n%s%x", "{jndi:ldap://x}", "../../etc/passwd", "{{7*7}}", "a\\b\"c"])
def test_P36_magic_words_are_plain_bytes(stack, token, version, name):
    with open_client(stack.port, token, name, version) as c:
        c.subscribe(name)
        c.publish(name, name, qos=1)
        assert [(p.topic, p.payload) for p in c.sync() if p.kind == PUBLISH] == [(name, name.encode())]
    refuses(stack.port, connect("c", name, version=version), version, 0x86 if version == 5 else 4)


@V
def test_P37_random_packets_never_reach_anyone_as_something_else(stack, token, bystander, version):
    """What comes out at a subscriber parses, and is something the test sent as a valid packet; the fuzz targets look deeper."""
    bystander.subscribe("#")
    rng = random.Random(20260301)
    for round_ in range(100):
        c = open_client(stack.port, token, version=version)
        good = publish("ok", "%d" % round_, version=c.version)
        raw = bytearray(publish("a/b", "payload", qos=1, version=c.version, properties=((0x26, "k", "v"),) if c.version == 5 else ()))
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            c.send(good + bytes(raw))
            c.send(packet(PINGREQ))
            c.read(0.3)    # a packet that says it is longer waits for the rest
        except (Closed, TimeoutError, OSError):
            pass
        c.close()
    seen = [p for p in bystander.sync() if p.kind == PUBLISH]
    assert len([p for p in seen if p.topic == "ok"]) == 100
    for p in seen:
        p.topic.encode("utf-8")


@V
def test_P_a_client_that_talks_before_connack_is_served_in_order(stack, token, version):
    with Raw(stack.port, version) as c:
        c.send(connect("early", token, version=version) + subscribe("e", version=version) + publish("e", "1", version=version))
        assert [c.read().kind for _ in range(3)] == [CONNACK, SUBACK, PUBLISH]


def test_P_unsubscribing_is_answered_with_codes(stack, token):
    with open_client(stack.port, token, version=5) as c:
        c.subscribe("a")
        c.send(unsubscribe("a", "never", version=5))
        assert c.expect(UNSUBACK).codes == [0, 0x11]


def test_P_the_deadline_for_connect_is_kept(tmp_path):
    from stack import Stack
    s = Stack(tmp_path / "s", config="[proxy]\nconnect_deadline = 1s\n")
    s.start()
    try:
        with Raw(s.port) as c:
            start = time.monotonic()
            assert c.closed(10) == []
            assert time.monotonic() - start >= 0.4    # half of it for the first byte
        with Raw(s.port) as c:
            data = connect("slow", s.master)
            start = time.monotonic()
            with pytest.raises((Closed, OSError, AssertionError)):
                for byte in data:
                    c.send(bytes([byte]))
                    time.sleep(0.1)
                c.expect(CONNACK)
    finally:
        s.stop()


