"""flespi's filter extensions (docs/filters.md): off for who did not ask, and what they mean for who did."""

import pytest

from clients import MosquittoSub, MqttJs
from rawmqtt import PUBLISH, UNSUBACK, open_client, unsubscribe
from stack import wait_for
from test_ctl import ctl


@pytest.fixture
def extended(customer):
    """A customer that has them switched on."""
    status, answer = customer.rest("PUT", "/platform/customer", {"flespi_extensions": True})
    assert status == 200 and answer["result"][0]["flespi_extensions"] is True
    return customer


def topics(packets):
    return [p.topic for p in packets if p.kind == PUBLISH]


def publish_all(c, *names, payload="x", retain=False):
    for i, name in enumerate(names):
        c.publish(name, payload, qos=1, pid=i + 1, retain=retain)
    c.sync()


# ---- The switch ----

@pytest.mark.parametrize("version", [3, 4, 5])
def test_without_the_switch_a_comma_and_a_dollar_filter_are_plain_mqtt(stack, customer, version):
    with open_client(stack.port, customer.token(), version=version) as c, open_client(stack.port, customer.token()) as p:
        assert c.subscribe("a/1,2/b", "x,", ",") == [0, 0, 0]
        assert c.subscribe("$filter/cid=1/a") == [0x87 if version == 5 else 0x80]
        publish_all(p, "a/1,2/b", "a/1/b", "a/2/b", "x,", ",")
        assert topics(c.sync()) == ["a/1,2/b", "x,", ","]


def test_the_switch_is_seen_set_and_told_to_proxies(stack, customer):
    assert customer.rest("GET", "/platform/customer")[1]["result"][0]["flespi_extensions"] is False
    assert customer.rest("GET", "/auth/info")[1]["result"][0]["flespi_extensions"] is False
    assert customer.rest("PUT", "/platform/customer", {"flespi_extensions": 1})[0] == 400
    out = ctl(stack, customer, "customer", "update", "--flespi-extensions", "on").stdout
    assert "EXTENSIONS" in out and "yes" in out
    assert customer.rest("GET", "/auth/info")[1]["result"][0]["flespi_extensions"] is True
    assert ctl(stack, customer, "customer", "update", "--flespi-extensions", "maybe", fail=True).returncode == 2
    ctl(stack, customer, "customer", "update", "--flespi-extensions", "off")
    assert customer.rest("GET", "/auth/info")[1]["result"][0]["flespi_extensions"] is False


def test_a_parent_switches_it_for_its_subaccounts_one_by_one(stack, customer):
    made = customer.rest("POST", "/platform/subaccounts", [{"name": "a", "flespi_extensions": True}, {"name": "b"}])[1]["result"]
    assert [c["flespi_extensions"] for c in made] == [True, False]
    changed = customer.rest("PUT", "/platform/subaccounts/%d" % made[1]["id"], {"flespi_extensions": True})[1]["result"]
    assert changed[0]["flespi_extensions"] is True
    assert customer.rest("GET", "/platform/customer")[1]["result"][0]["flespi_extensions"] is False
    found = customer.rest("GET", "/platform/subaccounts/flespi_extensions=true")[1]["result"]
    assert sorted(c["id"] for c in found) == sorted(c["id"] for c in made)


def test_the_switch_changes_what_live_subscriptions_mean(stack, customer):
    with open_client(stack.port, customer.token()) as c, open_client(stack.port, customer.token()) as p:
        assert c.subscribe("a/1,2") == [0]

        def hears(*names):
            publish_all(p, "a/1,2", "a/1", "a/2")
            return topics(c.sync()) == list(names)

        assert hears("a/1,2")
        customer.rest("PUT", "/platform/customer", {"flespi_extensions": True})
        wait_for(lambda: hears("a/1", "a/2"), 5, 0.1)
        customer.rest("PUT", "/platform/customer", {"flespi_extensions": False})
        wait_for(lambda: hears("a/1,2"), 5, 0.1)


# ---- Lists ----

@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_list_hears_each_of_its_words_once(stack, extended, version):
    with open_client(stack.port, extended.token(), version=version) as c, open_client(stack.port, extended.token()) as p:
        assert c.subscribe("a/1,2,3,2/b", "x,y/#") == [0, 0]
        publish_all(p, "a/1/b", "a/2/b", "a/3/b", "a/4/b", "a/1,2/b", "x", "y/z/w", "z")
        assert topics(c.sync()) == ["a/1/b", "a/2/b", "a/3/b", "x", "y/z/w"]


@pytest.mark.parametrize("version", [4, 5])
def test_a_list_that_is_none_is_refused_and_the_others_are_judged(stack, extended, version):
    bad, much = (0x8F, 0x97) if version == 5 else (0x80, 0x80)
    many = ",".join(str(i) for i in range(17))
    with open_client(stack.port, extended.token(), version=version) as c, open_client(stack.port, extended.token()) as p:
        codes = c.subscribe("a/1,/b", "ok/1,2", ",", "%s/%s" % (many, many), "a,+", "$x,y")
        assert codes == [bad, 0, bad, much, bad, 0x87 if version == 5 else 0x80]
        publish_all(p, "ok/1", "a/1/b", "1/1")
        assert topics(c.sync()) == ["ok/1"]


def test_a_list_is_cut_to_the_rights(stack, extended):
    token = extended.acl(("a/2/#", "subscribe"), ("+/3", "subscribe"))
    with open_client(stack.port, token, version=5) as c, open_client(stack.port, extended.token()) as p:
        assert c.subscribe("a/1,2,3", "a/1,4", "a,$SYS/3") == [0, 0x87, 0x87]
        publish_all(p, "a/1", "a/2", "a/3")
        assert topics(c.sync()) == ["a/2", "a/3"]


def test_a_list_is_unsubscribed_by_its_text_only(stack, extended):
    with open_client(stack.port, extended.token(), version=5) as c, open_client(stack.port, extended.token()) as p:
        assert c.subscribe("a/1,2") == [0]
        c.send(unsubscribe("a/1", "a/2,1", "a/1,2", version=5))
        assert c.expect(UNSUBACK).codes == [0x11, 0x11, 0]
        publish_all(p, "a/1")
        assert topics(c.sync()) == []


def test_retained_messages_of_a_list_come_once(stack, extended):
    with open_client(stack.port, extended.token()) as p, open_client(stack.port, extended.token()) as c:
        publish_all(p, "a/1", "a/2", "a/3", retain=True)
        assert c.subscribe("a/2,1") == [0]
        assert sorted(topics(c.settled())) == ["a/1", "a/2"]


def test_lists_of_a_shared_group_and_of_a_resumed_session(stack, extended):
    token = extended.token()
    with open_client(stack.port, token, "w", version=5, properties=[(0x11, 60)]) as c:
        assert c.subscribe(("$share/g/a/1,2", 1), ("b/1,2", 1)) == [1, 1]
    with open_client(stack.port, token) as p:
        publish_all(p, "a/1", "a/3", "b/2", "b/3")
    with open_client(stack.port, token, "w", version=5, clean=False, properties=[(0x11, 60)]) as c, open_client(stack.port, token) as p:
        assert c.present == 1
        assert topics(c.sync()) == ["a/1", "b/2"]
        publish_all(p, "a/2", "b/1", "b/1,2")
        assert topics(c.sync()) == ["a/2", "b/1"]


def test_sticky_groups_go_by_the_switch_too(stack, customer, extended):
    with open_client(stack.port, extended.token()) as p, open_client(stack.port, extended.token()) as a, open_client(stack.port, extended.token()) as b:
        a.subscribe("$share/g:2/t/#")
        b.subscribe("$share/g:2/t/#")
        for _ in range(3):
            publish_all(p, *["t/%d" % i for i in range(20)])
        ours, theirs = set(topics(a.sync())), set(topics(b.sync()))
        assert ours and theirs and not ours & theirs


def test_mqttjs_and_mosquitto_use_lists(stack, extended):
    token = extended.token()
    with MqttJs(stack.port, token, "js", version=5) as js, MosquittoSub(stack.port, token, "dev/1,3/temp") as mosquitto, \
            open_client(stack.port, token) as p:
        assert js.subscribe("dev/1,2/temp")["error"] is None
        publish_all(p, "dev/1/temp", "dev/2/temp", "dev/3/temp")
        assert [js.message()["topic"] for _ in range(2)] == ["dev/1/temp", "dev/2/temp"]
        mosquitto.expect("dev/1/temp x")
        mosquitto.expect("dev/3/temp x")
        assert len(mosquitto.lines()) == 2
