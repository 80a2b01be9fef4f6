"""Chapters 3.1 and 3.2: CONNECT and CONNACK."""
import os
import string

import pytest
from proofs import (ASSIGNED_ID, MAXIMUM_QOS, PACKET_MAXIMUM, REASON, RECEIVE_MAXIMUM, RESPONSE_INFO, RETAIN_AVAILABLE, SESSION_EXPIRY, USER, WANT_RESPONSE_INFO,
                    WILL_DELAY, V, durable, ended, messages, payloads, proves, refused, settled)
from rawmqtt import CONNACK, CONNECT, DISCONNECT, PUBLISH, Closed, Raw, connect, open_client, packet, props, publish, subscribe, text, varint


def malformed(stack, data, version):
    """v5 may say why; 3.1.1 wants no CONNACK."""
    refused(stack.port, data, version, 0x81 if version == 5 else None)


def fields(version, flags, *tail, keepalive=60):
    return packet(CONNECT, text("MQTT") + bytes([version, flags]) + keepalive.to_bytes(2, "big") + (b"\0" if version == 5 else b"") + b"".join(tail))


@V
@proves("MQTT-3.1.0-2", "v3:MQTT-3.1.0-2", "v3:MQTT-4.8.0-1", "MQTT-3.2.0-2")
def test_a_second_connect_ends_the_connection_without_a_second_connack(stack, token, version):
    c = open_client(stack.port, token, "twice", version)
    c.send(connect("twice", token, version=version))
    assert ended(c, 0x82) == []


@pytest.mark.parametrize("name", ["mqtt", "MQTX", "", "MQTT ", "MQTTX"])
@V
@proves("MQTT-3.1.2-1", "v3:MQTT-3.1.2-1")
def test_another_protocol_name_is_closed_and_not_processed(stack, token, version, name):
    with open_client(stack.port, token) as watch:
        watch.subscribe("#")
        refused(stack.port, connect("c", token, version=version, name=name) + publish("a", "x", version=version), version, None, 0x84)
        assert watch.sync() == []


@pytest.mark.parametrize("level", [0, 1, 2])
@proves("v3:MQTT-3.1.2-2", "MQTT-3.1.2-2")
def test_a_level_before_ours_is_refused_in_the_old_form_with_code_1(stack, token, level):
    with Raw(stack.port) as c:
        c.send(connect("c", token, level=level))
        assert [(p.kind, p.body) for p in c.closed()] == [(CONNACK, b"\0\1")]


@pytest.mark.parametrize("level", [6, 7, 0x85, 255])
@proves("v3:MQTT-3.1.2-2", "MQTT-3.1.2-2")
def test_a_level_after_ours_is_refused_with_unsupported_protocol_version(stack, token, level):
    with Raw(stack.port) as c:
        c.send(connect("c", token, level=level))
        assert [(p.kind, p.body) for p in c.closed()] in ([(CONNACK, b"\0\1")], [(CONNACK, b"\0\x84\0")])


@V
@proves("MQTT-3.1.2-3", "v3:MQTT-3.1.2-3", "MQTT-3.1.4-1", "v3:MQTT-3.1.4-1")
def test_the_reserved_connect_flag_must_be_0(stack, token, version):
    malformed(stack, fields(version, 0x83, text("c"), text(token)), version)


@V
@proves("MQTT-3.1.2-11", "v3:MQTT-3.1.2-11", "v3:MQTT-3.1.2-13", "MQTT-3.1.2-13", "v3:MQTT-3.1.2-15", "MQTT-3.1.2-12", "v3:MQTT-3.1.2-14", "v3:MQTT-3.1.4-1")
def test_will_flags_that_contradict_each_other_are_refused(stack, token, version):
    tail = text("c") + text(token)
    will = text("c") + (b"\0" if version == 5 else b"") + text("w") + text("x") + text(token)
    malformed(stack, fields(version, 0x82 | 0x08, tail), version)           # no Will, but QoS 1
    malformed(stack, fields(version, 0x82 | 0x10, tail), version)           # QoS 2
    malformed(stack, fields(version, 0x82 | 0x20, tail), version)           # retain
    malformed(stack, fields(version, 0x82, will), version)                  # no Will Flag, but topic and payload
    malformed(stack, fields(version, 0x82 | 0x04 | 0x18, will), version)    # QoS 3


@V
@proves("MQTT-3.1.2-9", "v3:MQTT-3.1.2-9")
def test_a_will_flag_without_the_fields_of_a_will_is_refused(stack, token, version):
    p = b"\0" if version == 5 else b""
    for tail in (text("c"), text("c") + p, text("c") + p + text("w"), text("c") + p + text("w") + b"\0\5x"):
        malformed(stack, fields(version, 0x06, tail), version)


@V
@proves("MQTT-3.1.2-16", "v3:MQTT-3.1.2-18", "MQTT-3.1.2-17", "v3:MQTT-3.1.2-19", "MQTT-3.1.2-18", "v3:MQTT-3.1.2-20", "MQTT-3.1.2-19", "v3:MQTT-3.1.2-21")
def test_user_name_and_password_are_there_exactly_if_their_flags_say_so(stack, token, version):
    for flags, tail in ((0x02, text("c") + text(token)), (0x82, text("c")), (0x82, text("c") + text(token) + text("p")), (0xC2, text("c") + text(token)),
                        (0xC2, text("c")), (0x82, text("c") + b"\0\x40x")):
        malformed(stack, fields(version, flags, tail), version)
    for data in (fields(version, 0x82, text("c"), text(token)), fields(version, 0xC2, text("c"), text(token), text("any"))):
        with Raw(stack.port, version) as c:
            c.send(data)
            assert c.expect(CONNACK).code == 0


@proves("v3:MQTT-3.1.2-22", "v3:MQTT-3.1.4-1")
def test_a_password_without_a_user_name_is_refused_in_v3_without_connack(stack, token):
    malformed(stack, fields(4, 0x42, text("c"), text(token)), 4)


@V
@proves("MQTT-3.1.3-1", "v3:MQTT-3.1.3-1", "MQTT-3.1.2-7")
def test_all_fields_of_connect_are_read_in_their_order(stack, token, version):
    with open_client(stack.port, token, "watch", version) as watch:
        watch.subscribe("will/#", "id")
        p = props((WILL_DELAY, 0), (USER, "k", "v")) if version == 5 else b""
        c = Raw(stack.port, version)
        c.send(fields(version, 0xC6, text("the-id"), p, text("will/topic"), text("will payload"), text(token), text("password")))
        assert c.expect(CONNACK).code == 0
        other = open_client(stack.port, token, "the-id", version)       # the id was taken from its place
        assert [(m.topic, m.payload) for m in (watch.expect(PUBLISH),)] == [("will/topic", b"will payload")]
        c.closed()
        other.close()


@V
@proves("MQTT-3.1.3-3", "v3:MQTT-3.1.3-3")
def test_a_connect_without_a_client_id_field_is_refused(stack, token, version):
    malformed(stack, fields(version, 0x02), version)
    malformed(stack, fields(version, 0x02, b"\0"), version)
    malformed(stack, fields(version, 0x02, b"\0\5abc"), version)


@V
@proves("MQTT-3.1.3-2", "v3:MQTT-3.1.3-2")
def test_the_client_id_names_the_session(stack, token, version):
    with open_client(stack.port, token, "one", **durable(version)) as c:
        c.subscribe("a")
    with open_client(stack.port, token, "One", **durable(version)) as c:
        assert c.present == 0
    with open_client(stack.port, token, "one", **durable(version)) as c:
        assert c.present == 1
        c.publish("a", "x", qos=1)
        assert payloads(c.sync()) == [b"x"]


@V
@proves("MQTT-3.1.3-5", "v3:MQTT-3.1.3-5", "MQTT-3.1.4-5", "v3:MQTT-3.1.4-4")
def test_client_ids_of_1_to_23_letters_and_digits_are_allowed(stack, token, version):
    letters = string.digits + string.ascii_letters
    for n in range(1, 24):
        with open_client(stack.port, token, (letters * 2)[3 * n:4 * n], version):
            pass
    for i in range(0, 62, 20):
        with open_client(stack.port, token, letters[i:i + 20], version):
            pass


@proves("MQTT-3.1.3-6", "MQTT-3.1.3-7", "MQTT-3.2.2-16")
def test_an_empty_client_id_gets_one_of_its_own_which_names_its_session(stack, token):
    for clean in (True, False):
        a = open_client(stack.port, token, "", 5, clean=clean, properties=((SESSION_EXPIRY, 60),))
        b = open_client(stack.port, token, "", 5, clean=clean, properties=((SESSION_EXPIRY, 60),))
        names = [c.connack.properties[ASSIGNED_ID].decode() for c in (a, b)]
        assert names[0] and names[1] and names[0] != names[1] and a.present == b.present == 0
        a.subscribe(("x", 1))
        a.sync()
        b.sync()
        a.close()
        b.publish("x", "kept", qos=1)
        b.sync()
        b.close()
        with open_client(stack.port, token, names[0], **durable(5)) as c:
            assert c.present == 1 and ASSIGNED_ID not in c.connack.properties
            assert c.expect(PUBLISH).payload == b"kept"


@proves("v3:MQTT-3.1.3-6")
def test_an_empty_client_id_of_v3_is_served_as_one_of_its_own(stack, token):
    with open_client(stack.port, token, "") as a, open_client(stack.port, token, "") as b:
        a.subscribe("x")
        b.publish("x", "1", qos=1)
        b.sync()
        assert payloads(a.sync()) == [b"1"]


@proves("v3:MQTT-3.1.3-7", "v3:MQTT-3.1.3-8", "v3:MQTT-3.2.2-5")
def test_an_empty_client_id_without_clean_session_is_refused_with_2(stack, token):
    assert refused(stack.port, connect("", token, clean=False), 4, 2)


@V
@proves("MQTT-3.1.3-5", "v3:MQTT-3.1.3-5", "MQTT-3.1.3-4", "v3:MQTT-3.1.3-4")
def test_a_client_id_is_any_text_without_control_characters(stack, token, version):
    for client_id in ("a+b", "#", "$SYS/x", " ", "\ufeffx", "\uffff", "\U0001f600", "{\"a\":1}"):
        with open_client(stack.port, token, client_id, version, clean=False) as c:
            c.subscribe("a")
        with open_client(stack.port, token, client_id, version, clean=False) as c:
            assert c.connack.body[0] == (version < 5)


@V
@proves("MQTT-3.1.3-8", "v3:MQTT-3.1.3-9", "MQTT-3.2.2-7", "v3:MQTT-3.2.2-5")
def test_a_refused_client_id_is_told_and_closed(stack, token, version):
    for client_id in ("a\x1bb", "a\x85b", "a" * 200):
        assert refused(stack.port, connect(client_id, token, version=version), version, 0x85 if version == 5 else 2)


@V
@proves("MQTT-3.1.4-1", "v3:MQTT-3.1.4-1", "MQTT-3.14.0-1", "MQTT-4.13.1-1")
def test_a_malformed_connect_closes_and_is_never_answered_with_disconnect(stack, token, version):
    good = connect("c", token, version=version, will=("w", "x", 0, False))
    malformed(stack, good[:1] + bytes([good[1] + 1]) + good[2:] + b"x", version)               # a byte too many
    malformed(stack, good[:1] + bytes([good[1] - 1]) + good[2:-1], version)                     # one too few
    for bad in (packet(CONNECT), packet(CONNECT, b"\0"), packet(CONNECT, text("MQTT")), packet(CONNECT, text("MQTT") + bytes([version])),
                packet(CONNECT, text("MQTT") + bytes([version, 2, 0]))):
        refused(stack.port, bad, version, None, *((0x81, 0x82) if version == 5 else ()))


@pytest.mark.parametrize("properties,code", [(((RECEIVE_MAXIMUM, 0),), 0x82), (((PACKET_MAXIMUM, 0),), 0x82), (((SESSION_EXPIRY, 1), (SESSION_EXPIRY, 1)), 0x82),
                                             (((WANT_RESPONSE_INFO, 2),), 0x82), (((ASSIGNED_ID, "x"),), 0x82), ((b"\x7f",), 0x81), ((b"\x16\0\1x",), 0x82)],
                         ids=["receive-maximum-0", "packet-maximum-0", "twice", "response-information-2", "not-of-connect", "unknown", "data-without-method"])
@proves("MQTT-3.1.4-1")
def test_a_connect_with_properties_that_break_the_rules_is_refused(stack, token, properties, code):
    refused(stack.port, connect("c", token, version=5, properties=properties), 5, code)


@V
@proves("MQTT-3.1.4-2", "MQTT-3.2.2-6", "v3:MQTT-3.2.2-4", "MQTT-3.2.2-7", "v3:MQTT-3.2.2-5", "MQTT-3.2.2-8", "MQTT-4.13.2-1")
def test_failed_authentication_is_told_with_session_present_0_and_closed(stack, token, version):
    with open_client(stack.port, token, "there", **durable(version)):
        pass
    for name in (None, "", "no-token", token[:-1] + ("a" if token[-1] != "a" else "b")):
        p = refused(stack.port, connect("there", name, version=version, clean=False), version, *((0x86, 0x87) if version == 5 else (4, 5)))
        assert p.body[:1] == b"\0" and len(p.body) >= 2


@V
@proves("v3:MQTT-3.2.2-6", "MQTT-3.2.2-8")
def test_what_no_return_code_of_v3_says_is_closed_without_connack(stack, token, version):
    refused(stack.port, connect("c", token, version=version, will=("w/" * 100, "x", 0, False)), version, *((0x90,) if version == 5 else (None,)))


@V
@proves("MQTT-3.1.4-6", "v3:MQTT-3.1.4-5")
def test_nothing_after_a_refused_connect_is_processed(stack, token, version):
    with open_client(stack.port, token) as watch:
        watch.subscribe("#")
        with Raw(stack.port, version) as c:
            c.send(connect("c", "wrong", version=version) + publish("a", "x", qos=1, retain=True, version=version) + subscribe("a", version=version) +
                   connect("c", token, version=version) + publish("a", "x", qos=1, retain=True, version=version))
            assert [p.kind for p in c.closed()] == [CONNACK]
        watch.subscribe("a")
        assert settled(watch) == []


@V
@proves("MQTT-3.1.4-3", "v3:MQTT-3.1.4-2", "MQTT-3.14.4-2", "MQTT-4.13.2-1")
def test_a_client_id_that_is_connected_is_taken_over(stack, token, version):
    a = open_client(stack.port, token, "same", version)
    a.subscribe("x")
    b = open_client(stack.port, token, "same", version)
    ended(a, 0x8E)
    b.publish("x", "1", qos=1)
    assert payloads(b.sync()) == []         # Clean Start: the old one's subscription is gone
    b.close()


@V
@proves("MQTT-3.2.0-1", "v3:MQTT-3.2.0-1", "MQTT-3.2.0-2", "MQTT-3.2.2-1")
def test_connack_comes_first_and_once_whatever_is_waiting(stack, token, version):
    with open_client(stack.port, token, "q", **durable(version)) as c:
        c.subscribe(("a", 1))
    with open_client(stack.port, token) as p:
        for i in range(5):
            p.publish("a", "%d" % i, qos=1, pid=i + 1)
        p.sync()
    more = durable(version)
    with Raw(stack.port, version) as c:
        c.send(connect("q", token, version=version, clean=False, properties=more.get("properties", ())) + subscribe(("b", 1), version=version) +
               publish("b", "own", version=version))
        first = c.read()
        assert first.kind == CONNACK and first.body[0] == 1 and first.body[1] == 0
        rest = c.sync()
        assert CONNACK not in [p.kind for p in rest]
        assert sorted(payloads(rest)) == [b"0", b"1", b"2", b"3", b"4", b"own"]


@V
@proves("MQTT-3.1.2-4", "v3:MQTT-3.1.2-6", "MQTT-3.1.4-4", "v3:MQTT-3.1.4-3", "MQTT-3.2.2-2", "v3:MQTT-3.2.2-1")
def test_clean_start_discards_the_session(stack, token, version):
    with open_client(stack.port, token, "c", **durable(version)) as c:
        c.subscribe(("a", 1))
    with open_client(stack.port, token) as p:
        p.publish("a", "lost", qos=1).sync()
    with open_client(stack.port, token, "c", **dict(durable(version), clean=True)) as c:
        assert c.present == 0
        c.publish("a", "not subscribed", qos=1)
        assert messages(c.sync()) == []


@V
@proves("MQTT-3.1.2-5", "v3:MQTT-3.1.2-4", "MQTT-3.1.4-4", "v3:MQTT-3.1.4-3", "MQTT-3.2.2-3", "v3:MQTT-3.2.2-2", "MQTT-3.1.2-23", "v3:MQTT-3.1.2-5", "v3:MQTT-4.1.0-1")
def test_without_clean_start_the_session_goes_on(stack, token, version):
    with open_client(stack.port, token, "c", **durable(version)) as c:
        c.subscribe(("a", 1), ("b", 2))
    with open_client(stack.port, token) as p:
        p.publish("a", "1", qos=1, pid=1)
        p.publish("b", "2", qos=2, pid=2)
        p.sync()
    with open_client(stack.port, token, "c", **durable(version)) as c:
        assert c.present == 1
        # what waited is sent in slices: the answer to a packet may come between two of them
        assert [(m.topic, m.payload, m.qos) for m in messages(c.settled())] == [("a", b"1", 1), ("b", b"2", 2)]
        c.publish("a", "3", qos=1)
        assert [m.payload for m in messages(c.sync())] == [b"3"]


@V
@proves("MQTT-3.1.2-6", "MQTT-3.2.2-3", "v3:MQTT-3.1.2-4", "v3:MQTT-3.2.2-3")
def test_without_a_session_to_go_on_with_a_new_one_is_made(stack, token, version):
    with open_client(stack.port, token, "c", **durable(version)) as c:
        assert c.present == 0
        c.subscribe("a")
    with open_client(stack.port, token, "c", **durable(version)) as c:
        assert c.present == 1


@proves("MQTT-3.2.2-9", "MQTT-3.2.2-10", "MQTT-3.2.2-12", "MQTT-3.2.2-13")
def test_nothing_is_announced_as_missing_and_everything_is_served(stack, token):
    with open_client(stack.port, token, "all", 5, will=("w", "x", 2, True)) as c:
        assert c.connack.properties.get(MAXIMUM_QOS) is None and c.connack.properties.get(RETAIN_AVAILABLE, 1) == 1
        assert [c.connack.properties.get(i, 1) for i in (0x28, 0x29, 0x2A)] == [1, 1, 1]
        assert c.subscribe(("a", 0), ("b/#", 1), ("$share/g/c", 2), properties=((0x0B, 1),)) == [0, 1, 2]
        c.publish("c", "x", qos=2, retain=True)
        assert [m.qos for m in messages(c.sync())] == [2]


@proves("MQTT-3.1.2-28")
def test_no_response_information_is_returned_to_who_did_not_ask(stack, token):
    for properties in ((), ((WANT_RESPONSE_INFO, 0),)):
        with open_client(stack.port, token, "r", 5, properties=properties) as c:
            assert RESPONSE_INFO not in c.connack.properties


@proves("MQTT-3.1.2-28")
def test_response_information_is_a_prefix_for_the_answers_to_this_client(stack, customer):
    ask = ((WANT_RESPONSE_INFO, 1),)
    with open_client(stack.port, customer.token(), "a/b c%,\u00e9", 5, properties=ask) as c, open_client(stack.port, customer.token(), version=5) as p:
        prefix = c.connack.properties[RESPONSE_INFO].decode()
        assert prefix == "response/a%2Fb%20c%25%2C\u00e9/"
        assert c.subscribe(prefix + "#") == [0]
        p.publish(prefix + "1", "answer", qos=1)
        p.sync()
        assert [m.topic for m in c.sync()] == [prefix + "1"]
    for grants, told in (((("response/x/#", "subscribe"),), True), ((("response/+/#", "subscribe"),), True), ((("response/x/1", "subscribe"),), False),
                         ((("other/#", "subscribe"), ("response/x/#", "publish")), False)):
        with open_client(stack.port, customer.acl(*grants), "x", 5, properties=ask) as c:
            assert c.connack.properties.get(RESPONSE_INFO) == (b"response/x/" if told else None), grants


def size_of(p):
    """Of the whole packet: type, length, body."""
    return 1 + len(varint(len(p.body))) + len(p.body)


@proves("MQTT-3.2.2-20", "MQTT-3.1.2-24")
def test_connack_leaves_out_user_properties_that_would_make_it_too_large(stack, token):
    with open_client(stack.port, token, "big", 5) as c:
        whole = size_of(c.connack)
        assert c.connack.user
    for most in (whole, whole - 1, 40):
        with open_client(stack.port, token, "big", 5, properties=((PACKET_MAXIMUM, most),)) as c:
            assert size_of(c.connack) <= most and bool(c.connack.user) == (most == whole)


@proves("MQTT-3.2.2-20", "MQTT-3.1.2-24")
def test_of_a_small_connack_the_subscriptions_go_first_and_the_token_then(stack, token):
    want = ((SESSION_EXPIRY, 60), (WANT_RESPONSE_INFO, 1))
    with open_client(stack.port, token, "small", 5, properties=want) as c:
        c.subscribe(*["filter/%d" % i for i in range(10)])

    def told(most=None):
        limit = ((PACKET_MAXIMUM, most),) if most else ()
        with open_client(stack.port, token, "small", 5, clean=False, properties=want + limit) as c:
            assert c.present == 1 and (not most or size_of(c.connack) <= most)
            return [k for k, _ in c.connack.user] + (["response"] if RESPONSE_INFO in c.connack.properties else []), size_of(c.connack)

    everything, size = told()
    assert everything == ["token", "subscriptions", "response"]
    assert told(size)[0] == everything
    steps = [everything]
    while steps[-1]:
        now, size = told(size - 1)
        if now != steps[-1]:
            steps.append(now)
    assert steps == [everything, ["token", "response"], ["response"], []]


@proves("MQTT-3.2.2-19", "MQTT-3.1.2-24")
def test_connack_leaves_out_a_reason_string_that_would_make_it_too_large(stack, token):
    long = refused(stack.port, connect(token, token, version=5), 5, 0x85)
    assert long.properties[REASON]
    whole = len(long.body) + 2
    for most in (whole, whole - 1, 5):
        p = refused(stack.port, connect(token, token, version=5, properties=((PACKET_MAXIMUM, most),)), 5, 0x85)
        assert len(p.body) + 2 <= most and (REASON in p.properties) == (most == whole)


@pytest.mark.parametrize("most", [1, 4, 8, 15])
@proves("MQTT-3.1.2-24")
def test_a_connack_that_cannot_be_small_enough_is_not_sent(stack, token, most):
    with Raw(stack.port, 5) as c:
        c.send(connect("tiny", token, version=5, properties=((PACKET_MAXIMUM, most),)))
        try:
            p = c.read()
        except Closed:
            return
        assert len(p.body) + 2 <= most


@pytest.mark.parametrize("version", [3, 4, 5])
@proves("v3:MQTT-7.0.0-2", "v3:MQTT-7.1.1-1", "MQTT-4.2-1")
def test_plain_mqtt_over_tcp_needs_no_extension(stack, token, version):
    with open_client(stack.port, token, "plain", version) as c:
        c.subscribe(("a", 1))
        c.publish("a", "x", qos=1)
        assert payloads(c.sync()) == [b"x"]
        c.send(packet(DISCONNECT))
        assert c.closed() == []


def established(pid):
    """(local port, remote port) of each TCP connection of a process."""
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            inodes.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            pass
    for table in ("tcp", "tcp6"):
        if os.path.exists("/proc/net/" + table):
            with open("/proc/net/" + table) as f:
                for fields in (line.split() for line in f.readlines()[1:]):
                    if fields[3] == "01" and "socket:[%s]" % fields[9] in inodes:
                        yield int(fields[1].rsplit(":", 1)[1], 16), int(fields[2].rsplit(":", 1)[1], 16)


@proves("v3:MQTT-7.0.0-1")
def test_no_program_connects_to_another_server(stack, token):
    """All connections are those of clients, and the questions about tokens; so nothing has to conform as a client."""
    doors = {stack.port, int(stack.ready["api"].rsplit(":", 1)[1])}
    with open_client(stack.port, token, "c") as c:
        c.sync()
        ends = [e for pid in stack.ready["pids"].values() for e in established(pid)]
        assert stack.port in [local for local, _ in ends]
        assert [e for e in ends if not doors & set(e)] == []
