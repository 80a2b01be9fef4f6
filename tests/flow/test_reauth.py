"""AUTH with the method "token": the key as authentication data of CONNECT, and another token for a live MQTT 5 connection (MQTT5 4.12)."""
import time

import pytest
from rawmqtt import AUTH, CONNACK, DISCONNECT, PUBACK, PUBLISH, Raw, connect, open_client, packet, props, publish
from stack import SLOW, Stopwatch, wait_for

METHOD, DATA = 0x15, 0x16


def with_method(stack, key, client_id="c", method="token", **more):
    """The CONNACK's packet and the connection."""
    c = Raw(stack.port, 5)
    properties = ((METHOD, method),) + (((DATA, key),) if key is not None else ()) + more.pop("properties", ())
    c.send(connect(client_id, version=5, properties=properties, **more))
    return c, c.expect(CONNACK)


def again(c, key, code=0x19, method="token"):
    c.send(packet(AUTH, bytes([code]) + props(*(((METHOD, method),) + (((DATA, key),) if key is not None else ())))))
    return c


def yes(c):
    p = c.expect(AUTH)
    assert p.code == 0 and p.properties == {METHOD: b"token"}, p


def ends(c, code):
    packets = c.closed()
    assert [(p.kind, p.code) for p in packets[-1:]] == [(DISCONNECT, code)], packets


# ---- CONNECT ----

def test_the_key_may_come_as_authentication_data(stack, customer):
    c, answer = with_method(stack, customer.token())
    assert answer.code == 0 and answer.properties[METHOD] == b"token"
    c.subscribe("a")
    c.publish("a", "x")
    assert c.expect(PUBLISH).payload == b"x"


@pytest.mark.parametrize("key", [None, "", "mbus" + "x" * 60, "nonsense", b"\0\xff" * 20])
def test_data_that_is_no_key_is_refused(stack, key):
    assert with_method(stack, key)[1].code == 0x86


def test_with_the_method_a_key_elsewhere_does_not_count(stack, customer):
    good = customer.token()
    for key in (None, "wrong"):
        assert with_method(stack, key, username=good)[1].code == 0x86
        assert with_method(stack, key, password=good)[1].code == 0x86
    c, answer = with_method(stack, good, username="wrong")
    assert answer.code == 0
    c.close()


@pytest.mark.parametrize("method", ["Token", "token ", "", "SCRAM-SHA-1"])
def test_another_method_is_refused(stack, customer, method):
    assert with_method(stack, customer.token(), method=method)[1].code == 0x8C


# ---- AUTH ----

def test_a_live_connection_gets_the_rights_of_another_token(stack, customer):
    old, new = customer.acl(("old/#", "publish subscribe")), customer.acl(("new/#", "publish subscribe"), ("old/kept", "subscribe"))
    c, _ = with_method(stack, old)
    assert c.subscribe("old/#", "new/#") == [0, 0x87]
    assert c.publish("new/x", "x", qos=1).expect(PUBACK).code == 0x87
    yes(again(c, new))
    assert c.publish("new/x", "x", qos=1, pid=2).expect(PUBACK).code < 0x80
    assert c.publish("old/x", "x", qos=1, pid=3).expect(PUBACK).code == 0x87
    assert c.subscribe("new/#") == [0]
    with open_client(stack.port, customer.token(), "p") as p:
        p.publish("old/x", "no").publish("old/kept", "yes").publish("new/x", "yes").sync()
    assert [(m.topic, m.payload) for m in c.sync()] == [("old/kept", b"yes"), ("new/x", b"yes")]
    wait_for(lambda: "ev=reauth token=%d" % new.id in stack.log("proxy"), 3)


def test_it_can_be_done_again_and_again(stack, customer):
    tokens = [customer.token() for _ in range(3)]
    c, _ = with_method(stack, tokens[0])
    for i in range(9):
        yes(again(c, tokens[i % 3]))
    c.subscribe("a")
    c.publish("a", "x")
    assert c.expect(PUBLISH).payload == b"x"


def test_from_then_on_the_new_token_counts_and_the_old_one_does_not(stack, customer):
    old, new = customer.token(), customer.token()
    c, _ = with_method(stack, old)
    yes(again(c, new))
    customer.delete_token(old)
    time.sleep(0.5)
    c.sync()
    watch = Stopwatch(stack)
    customer.delete_token(new)
    ends(c, 0x87)
    assert watch.seconds() < 5 * SLOW


def test_what_it_said_under_the_new_token_lives_when_the_old_one_is_deleted(stack, customer):
    old, new = customer.token(), customer.token()
    c, _ = with_method(stack, old, will=("will", "said", 0, False))
    c.publish("keep/old", "x", retain=True).sync()
    yes(again(c, new))
    c.publish("keep/new", "x", retain=True).sync()
    customer.delete_token(old)
    with open_client(stack.port, customer.token(), "w", 5) as w:
        wait_for(lambda: retained(stack, customer) == {"keep/new"}, 5)
        w.subscribe("will")
        c.close()
        assert w.expect(PUBLISH).payload == b"said"


def retained(stack, customer):
    with open_client(stack.port, customer.token(), "", 5) as r:
        r.subscribe("keep/#")
        return {m.topic for m in r.sync()}


def test_a_will_that_the_new_token_may_not_say_is_dropped(stack, customer):
    with open_client(stack.port, customer.token(), "w", 5) as w:
        w.subscribe("will")
        c, _ = with_method(stack, customer.token(), will=("will", "no", 0, False))
        yes(again(c, customer.acl(("other", "publish"))))
        c.close()
        assert w.quiet(0.5)


def test_a_token_of_another_account_ends_it(stack, customer, other):
    c, _ = with_method(stack, customer.token())
    ends(again(c, other.token()), 0x87)


@pytest.mark.parametrize("key", [None, "", "nonsense", "mbus" + "x" * 60])
def test_what_is_no_key_ends_it_and_the_will_is_sent(stack, customer, key):
    with open_client(stack.port, customer.token(), "w", 5) as w:
        w.subscribe("will")
        c, _ = with_method(stack, customer.token(), will=("will", "sent", 0, False))
        ends(again(c, key), 0x87)
        assert w.expect(PUBLISH).payload == b"sent"


def test_a_token_from_the_wrong_address_or_disabled_ends_it(stack, customer):
    for fields in ({"ips": "10.9.8.7"}, {"enabled": False}):
        c, _ = with_method(stack, customer.token())
        ends(again(c, customer.token(**fields)), 0x87)


def test_the_places_of_tokens_move_with_it(stack, customer):
    one, full = customer.token(limits={"mqtt_sessions": 1}), customer.token(limits={"mqtt_sessions": 1})
    c, _ = with_method(stack, one, "c")
    yes(again(c, full))
    d, answer = with_method(stack, one, "d")
    assert answer.code == 0    # the old place is free
    ends(again(d, full), 0x87)    # the new one is taken
    c.sync()


@pytest.mark.parametrize("code,method,expected", [(0x19, "other", 0x8C), (0x18, "token", 0x82), (0x00, "token", 0x82)])
def test_another_method_or_step_ends_it(stack, customer, code, method, expected):
    token = customer.token()
    c, _ = with_method(stack, token)
    ends(again(c, token, code, method), expected)


def test_a_client_that_named_no_method_may_not_say_auth(stack, customer):
    token = customer.token()
    ends(again(open_client(stack.port, token, "c", 5), token), 0x82)


def test_messages_go_on_while_it_is_being_decided(stack, customer):
    c, _ = with_method(stack, customer.token())
    c.subscribe("a")
    new = customer.token()    # never used before: it has to be asked about
    data = packet(AUTH, b"\x19" + props((METHOD, "token"), (DATA, new)))
    c.send(data + b"".join(publish("a", "%d" % i, version=5) for i in range(50)))
    got = c.sync()
    assert [p.payload for p in got if p.kind == PUBLISH] == [b"%d" % i for i in range(50)]
    if not any(p.kind == AUTH for p in got):
        yes(c)


def test_two_at_once_are_one_too_many(stack, customer):
    c, _ = with_method(stack, customer.token())
    one, two = customer.token(), customer.token()
    c.send(b"".join(packet(AUTH, b"\x19" + props((METHOD, "token"), (DATA, k))) for k in (one, two)))
    ends(c, 0x82)
