"""Which client ids a token is for (`client_ids`): who may come in, who may stay, and how the masks are set and shown."""
import json

import pytest
from clients import Paho
from rawmqtt import AUTH, CONNACK, DISCONNECT, PUBLISH, SUBACK, Raw, connect, open_client, packet, props, subscribe
from stack import SLOW, Stopwatch, wait_for
from test_ctl import ctl

V = pytest.mark.parametrize("version", [3, 4, 5])
REASON, METHOD, DATA, ASSIGNED = 0x1F, 0x15, 0x16, 0x12
LAMPS = {"client_ids": ["lamp-*", "gateway 7"]}


def answer(stack, token, client_id, version, **more):
    """(code, reason string) of CONNACK; it is the last packet of a client that is refused."""
    with Raw(stack.port, version) as c:
        p = c.connect(client_id, token, **more)
        if p.code:
            assert c.closed() == []
        return p.code, p.properties.get(REASON)


def refused(version, say="client id not allowed for this token"):
    return (0x85, say.encode()) if version == 5 else (2, None)


def ends(c, seconds=5):
    watch = Stopwatch()
    packets = c.closed(seconds)
    assert watch.seconds() <= seconds * SLOW
    return [(p.kind, p.code, p.properties.get(REASON)) for p in packets]


# ---- Coming in ----

@V
def test_a_client_comes_in_under_an_id_that_a_mask_covers_and_no_other(stack, customer, version):
    token = customer.token(**LAMPS)
    assert token.object["client_ids"] == LAMPS["client_ids"]
    for good in ("lamp-", "lamp-7", "lamp-7*", "gateway 7"):
        assert answer(stack, token, good, version)[0] == 0
    for bad in ("lamp", "Lamp-7", "xlamp-7", "gateway 77", "gateway", "*"):
        assert answer(stack, token, bad, version) == refused(version)


@V
def test_without_masks_every_id_is_good(stack, customer, version):
    for token in (customer.token(), customer.token(client_ids=[])):
        assert answer(stack, token, "anything", version)[0] == 0


@pytest.mark.parametrize("version", [4, 5])
def test_a_client_without_an_id_gets_one_that_is_judged_like_any_other(stack, customer, version):
    with open_client(stack.port, customer.master, "watch", 5) as watch:
        watch.subscribe("flespi/log/mqtt/sessions/+/blocked")
        assert answer(stack, customer.token(**LAMPS), "", version) == refused(version, "this token needs a client id")
        p = watch.expect(PUBLISH)
        assert p.topic == "flespi/log/mqtt/sessions/%/blocked" and json.loads(p.payload)["client_id"] == ""
    for masks in (["auto-*"], ["lamp-*", "*"]):
        with Raw(stack.port, version) as c:
            p = c.connect("", customer.token(client_ids=masks))
            assert p.code == 0
            if version == 5:
                assert p.properties[ASSIGNED].startswith(b"auto-")
            c.sync()


def test_a_real_client_is_told_and_the_customer_sees_why(stack, customer):
    token = customer.token(**LAMPS)
    with open_client(stack.port, customer.master, "watch", 5) as watch:
        watch.subscribe("flespi/log/mqtt/sessions/intruder/blocked")
        with pytest.raises(AssertionError):
            Paho(stack.port, token, "intruder", 5)
        record = json.loads(watch.expect(PUBLISH).payload)
        assert (record["event_code"], record["close_code"], record["client_id"]) == (501, 0x85, "intruder")
        assert record["error_text"] == "client id not allowed for this token" and record["token_id"] == token.id
    with Paho(stack.port, token, "lamp-7", 5) as c:
        assert c.subscribe("a", 1) == [1]


def test_a_session_is_not_taken_over_and_its_rate_not_used_by_a_token_for_other_ids(stack, customer):
    strong, lamp = customer.token(limits={"mqtt_client_connects": 1}), customer.token(**LAMPS)
    with open_client(stack.port, strong, "boss", 5) as c:
        for _ in range(30):    # three times the burst of an id
            assert answer(stack, lamp, "boss", 5) == refused(5)
        c.sync()
    open_client(stack.port, strong, "boss", 5).close()


# ---- Staying ----

@pytest.mark.parametrize("version", [4, 5])
def test_a_client_whose_id_is_no_longer_covered_is_sent_away(stack, customer, version):
    token = customer.token()
    with open_client(stack.port, customer.token(), "watch", 5) as watch:
        watch.subscribe("wills")
        lamp = open_client(stack.port, token, "lamp-7", version, will=("wills", "lamp", 0, False))
        other = open_client(stack.port, token, "other", version, will=("wills", "other", 0, False))
        customer.change_token(token, client_ids=["lamp-*"])
        assert ends(other) == ([(DISCONNECT, 0x87, b"client id not allowed for this token")] if version == 5 else [])
        lamp.sync()
        assert answer(stack, token, "other", version)[0] in (0x85, 2)
        customer.change_token(token, client_ids=["lamp-*", "other"])
        lamp.sync()
        wait_for(lambda: answer(stack, token, "other", version)[0] == 0, 5, 0.1)
        lamp.sync()
        lamp.close()
        assert [p.payload for p in [watch.expect(PUBLISH)]] == [b"lamp"]    # as of any client that is revoked, the other's is not sent
        assert watch.sync() == []


def test_of_many_clients_just_those_go_that_are_not_covered_and_the_others_have_their_new_rights(stack, customer):
    """More than are judged in one turn, and both at once: who may stay, and what they may receive."""
    def access(topic):
        return {"type": 2, "acl": [{"uri": "mqtt", "topic": t, "actions": ["publish", "subscribe"]} for t in (topic, "both")]}

    token = customer.token(access=access("old"))
    worst = ["*aaaaaaaaab%d" % i for i in range(60)]
    stay, go = ([open_client(stack.port, token, kind + "a" * 100 + str(i)) for i in range(100)] for kind in ("s", "g"))
    for c in stay + go:
        c.send(subscribe("old", "new", "both"))
    for c in stay + go:
        assert c.expect(SUBACK).codes == [0, 0x80, 0]
    customer.change_token(token, client_ids=worst + ["s*"], access=access("new"))
    for c in go:
        assert ends(c) == []
    with open_client(stack.port, customer.token(), "p") as p:
        for topic in ("old", "both"):
            p.publish(topic, "x")
        p.sync()
        for c in stay:
            assert [q.topic for q in c.sync()] == ["both"]
            c.close()


def test_another_token_for_a_live_connection_must_cover_its_id(stack, customer):
    first, fits, wrong = customer.token(), customer.token(client_ids=["lamp-7"]), customer.token(client_ids=["lamp-8"])
    with Raw(stack.port, 5) as c:
        c.send(connect("lamp-7", version=5, properties=((METHOD, "token"), (DATA, first))))
        assert c.expect(CONNACK).code == 0
        c.send(packet(AUTH, bytes([0x19]) + props((METHOD, "token"), (DATA, fits))))
        assert c.expect(AUTH).code == 0
        c.send(packet(AUTH, bytes([0x19]) + props((METHOD, "token"), (DATA, wrong))))
        assert ends(c) == [(DISCONNECT, 0x87, b"client id not allowed for this token")]


# ---- REST and mbusctl ----

def test_masks_are_set_shown_and_selected_by_rest(customer):
    def show():
        return customer.rest("GET", "/platform/tokens/%d" % token.id)[1]["result"][0]["client_ids"]

    token = customer.token()
    assert show() == []
    for good in (["lamp-*"], ["a,b", "c?d", "l\u00e4mp", "+/#", "\"\\"], ["x" * 255] * 16, ["x%d" % i for i in range(64)]):
        customer.change_token(token, client_ids=good)
        assert show() == good
    customer.change_token(token, client_ids=["a b", "c*"], info="of two")
    customer.change_token(token, info="renamed")
    assert show() == ["a b", "c*"]
    for bad in ("lamp", None, 7, {}, [""], [7], ["a\nb"], ["a\u0085"], ["x" * 256], ["x" * 255] * 17, ["x%d" % i for i in range(65)]):
        status, reply = customer.rest("PUT", "/platform/tokens/%d" % token.id, {"client_ids": bad})
        assert status == 400 and "client_ids" in reply["errors"][0]["reason"], (bad, reply)
    assert show() == ["a b", "c*"]
    for selector, status in (("a%20b", 200), ("c*", 200), ("a", 404), ("", 404), ("a%20b%22,%22c*", 404)):
        assert customer.rest("GET", "/platform/tokens/client_ids=%s?fields=id" % selector)[0] == status
    assert customer.rest("PUT", "/platform/tokens/client_ids=c*?fields=id,enabled", {"enabled": False})[1]["result"] == [{"id": token.id, "enabled": False}]


def test_masks_are_set_and_shown_by_the_command(stack, customer):
    key = ctl(stack, customer, "token", "create", "--client-id", "lamp-*", "--client-id", "gateway 7", "--info", "lamps").stdout.strip().split("\n")[-1]
    assert answer(stack, key, "gateway 7", 5)[0] == 0 and answer(stack, key, "other", 5) == refused(5)
    assert "lamp-*,gateway 7" in ctl(stack, customer, "token", "list").stdout
    for wrong in (("",  "a"), ("a", ""), ("", "")):
        done = ctl(stack, customer, "token", "update", "info=lamps", *[w for mask in wrong for w in ("--client-id", mask)], fail=True)
        assert done.returncode == 2 and "--client-id" in done.stderr
    ctl(stack, customer, "token", "update", "info=lamps", "--client-id", "")
    wait_for(lambda: answer(stack, key, "other", 5)[0] == 0, 5, 0.1)


def test_a_token_for_client_ids_is_good_at_the_rest_api(customer):
    token = customer.token(access={"type": 1}, **LAMPS)
    status, reply = customer.rest("GET", "/auth/info", token=token)
    assert status == 200 and reply["result"][0]["client_ids"] == LAMPS["client_ids"]
    assert customer.rest("GET", "/platform/tokens/all", token=token)[0] == 200
