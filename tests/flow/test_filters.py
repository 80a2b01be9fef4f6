"""flespi's filter extensions (docs/filters.md): off for who did not ask, and what they mean for who did."""

import json
import time

import pytest

from clients import MosquittoSub, MqttJs
from rawmqtt import PUBLISH, UNSUBACK, open_client, unsubscribe
from stack import SLOW, Stopwatch, wait_for
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


@pytest.mark.one_door("REST")
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


@pytest.mark.one_door("REST")
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


# ---- Conditions ----

HOT = "$filter/payload=t%3E30/s/#"


@pytest.mark.parametrize("version", [3, 4, 5])
def test_only_messages_whose_payload_passes_are_delivered(stack, extended, version):
    with open_client(stack.port, extended.token(), version=version) as c, open_client(stack.port, extended.token()) as p:
        assert c.subscribe(HOT) == [0]
        for name, payload in (("s/1", '{"t":31}'), ("s/2", '{"t":30}'), ("s/3", "hot"), ("s/4", '{"t":1e9,"x":[1,2]}'), ("u/1", '{"t":99}')):
            publish_all(p, name, payload=payload)
        assert topics(c.sync()) == ["s/1", "s/4"]


def test_what_clients_of_flespi_send_is_understood(stack, extended):
    """The prefixes that flespi's own clients and its documentation write."""
    cid = extended.cid
    texts = ["$filter/payload=position.speed%3E60/dev/+",
             f"$filter/payload=origin_type%3D%3D14%26%26event_code%3E%3D500&cid={cid}/log/#",
             f"$filter/cid={cid}/dev/+",
             "$filter/modified_since>1700000000/dev/+",
             f"$filter/message=cid%3D%3D{cid}%26%26tonumber(payload)%3E10/some/topic",
             f"$share/workers/$filter/cid={cid}/dev/+"]
    with open_client(stack.port, extended.token(), version=5) as c, open_client(stack.port, extended.token()) as p:
        assert c.subscribe(*texts) == [0] * 6
        publish_all(p, "dev/1", payload='{"position.speed":61}')
        assert len(topics(c.sync())) == 4
        publish_all(p, "dev/1", payload='{"position.speed":59}')
        assert len(topics(c.sync())) == 3
        publish_all(p, "log/x", payload='{"origin_type":14,"event_code":500}')
        publish_all(p, "log/x", payload='{"origin_type":1,"event_code":500}')
        publish_all(p, "some/topic", payload="11")
        publish_all(p, "some/topic", payload="9")
        assert topics(c.sync()) == ["log/x", "some/topic"]
        c.send(unsubscribe(*texts, version=5))
        assert c.expect(UNSUBACK).codes == [0] * 6
        publish_all(p, "dev/1", payload='{"position.speed":61}')
        assert topics(c.sync()) == []


@pytest.mark.parametrize("version", [4, 5])
def test_a_malformed_condition_is_refused_and_the_others_are_judged(stack, extended, version):
    bad, much, no = (0x8F, 0x97, 0x87) if version == 5 else (0x80, 0x80, 0x80)
    rows = [("$filter", bad), ("$filter/x", bad), ("$filter//a", bad), ("$filter/payload=(/a", bad), ("ok", 0), ("$filter/payload=a&&b/a", bad),
            ("$filter/payload=%zz/a", bad), ("$filter/nope=1/a", bad), ("$filter/cid=x/a", bad), ("$filter/message=nope/a", bad),
            ("$share/g/$filter/payload=/a", bad), ("$filter/cid=1/#/a", bad), ("$filter/payload=" + "(" * 40 + "1/a", much),
            ("$filter/payload=" + "1" * 1100 + "/a", much), ("$filter/" + "&".join(["modified_since>1"] * 9) + "/a", much),
            ("$filter/cid=999999999/a", no), ("$filter/modified_since>1/$SYS/a", no)]
    with open_client(stack.port, extended.token(), version=version) as c, open_client(stack.port, extended.token()) as p:
        assert c.subscribe(*[text for text, _ in rows]) == [code for _, code in rows]
        publish_all(p, "a", "ok")
        assert topics(c.sync()) == ["ok"]


def test_so_many_conditions_a_session_may_have(stack, extended):
    with open_client(stack.port, extended.token(), version=5) as c:
        codes = []
        for i in range(0, 120, 20):
            codes += c.subscribe(*["$filter/payload=x%%3D%%3D%d/a" % k for k in range(i, i + 20)])
        assert codes == [0] * 100 + [0x97] * 20
        assert c.subscribe("a/plain", "$filter/payload=x%3D%3D0/a") == [0, 0]     # a plain one, and one that is there
        c.send(unsubscribe("$filter/payload=x%3D%3D0/a", version=5))
        assert c.expect(UNSUBACK).codes == [0]
        assert c.subscribe("$filter/payload=x%3D%3D100/a") == [0]


def test_conditions_never_give_more_than_the_rights(stack, extended):
    with open_client(stack.port, extended.acl(("a/#", "subscribe")), version=5) as c, open_client(stack.port, extended.token()) as p:
        assert c.subscribe("$filter/payload=x/b/#", "$filter/payload=x/#", "$share/g/$filter/payload=x/+/1") == [0x87, 0, 0]
        publish_all(p, "a/1", "b/1", "c", payload='{"x":1}')
        assert topics(c.sync()) == ["a/1", "a/1"]


def test_accounts_stay_apart_whatever_the_condition_says(stack, customer, other):
    for one in (customer, other):
        one.rest("PUT", "/platform/customer", {"flespi_extensions": True})
    with open_client(stack.port, customer.token(), version=5) as c, open_client(stack.port, other.token()) as p:
        assert c.subscribe("$filter/cid=%d/#" % other.cid, "$filter/message=cid%%3D%%3D%d/#" % other.cid, "#") == [0x87, 0, 0]
        publish_all(p, "a/1")
        assert topics(c.sync()) == []


def test_the_cid_property_of_subscribe_restricts_to_an_account(stack, customer, extended):
    with open_client(stack.port, extended.token(), version=5) as c, open_client(stack.port, extended.token()) as p:
        for value, code in ((str(extended.cid), 0), ("999999999", 0x87), ("x", 0x8F), ("", 0x8F), ("0", 0x8F)):
            assert c.subscribe("a", "b", properties=[(0x26, "cid", value), (0x26, "other", "x")]) == [code, code], value
        publish_all(p, "a")
        assert topics(c.sync()) == ["a"]


def test_without_the_switch_a_cid_property_says_nothing(stack, customer):
    with open_client(stack.port, customer.token(), version=5) as c:
        assert c.subscribe("a", properties=[(0x26, "cid", "999999999")]) == [0]


def test_retained_messages_since_a_time_and_by_payload(stack, extended):
    with open_client(stack.port, extended.token(), version=5) as c, open_client(stack.port, extended.token()) as p:
        publish_all(p, "s/a", payload='{"t":31}', retain=True)
        before = time.time() + 1
        time.sleep(1.2)
        publish_all(p, "s/b", payload='{"t":30}', retain=True)
        assert c.subscribe("$filter/modified_since>%.3f/s/#" % before) == [0]
        assert topics(c.settled()) == ["s/b"]
        assert c.subscribe(HOT) == [0]
        assert topics(c.settled()) == ["s/a"]


def test_a_resumed_session_keeps_its_conditions_and_shows_their_text(stack, extended):
    token = extended.token()
    with open_client(stack.port, token, "w", version=5, properties=[(0x11, 60)]) as c:
        assert c.subscribe((HOT, 1)) == [1]
    with open_client(stack.port, token) as p:
        publish_all(p, "s/1", payload='{"t":1}')
        publish_all(p, "s/2", payload='{"t":31}')
        with open_client(stack.port, token, "w", version=5, clean=False, properties=[(0x11, 60)]) as c:
            assert json.loads(dict(c.connack.user)["subscriptions"])[0]["topic"] == HOT
            assert topics(c.sync()) == ["s/2"]
            publish_all(p, "s/3", payload='{"t":2}')
            publish_all(p, "s/4", payload='{"t":32}')
            assert topics(c.sync()) == ["s/4"]


def test_a_change_of_rights_keeps_conditions(stack, extended):
    token = extended.acl(("s/#", "subscribe"))
    with open_client(stack.port, token, version=5) as c, open_client(stack.port, extended.token()) as p:
        assert c.subscribe(HOT) == [0]
        extended.change_token(token, access={"type": 2, "acl": [{"uri": "mqtt", "topic": "s/1", "actions": ["subscribe"]}]})

        def hears(*names):
            for name, t in (("s/1", 31), ("s/1", 1), ("s/2", 31)):
                publish_all(p, name, payload='{"t":%d}' % t)
            return topics(c.sync()) == list(names)
        wait_for(lambda: hears("s/1"), 5, 0.1)


def test_mqttjs_and_mosquitto_use_conditions(stack, extended):
    token = extended.token()
    with MqttJs(stack.port, token, "js", version=5) as js, MosquittoSub(stack.port, token, "$filter/payload=t>30/s/+") as mosquitto, \
            open_client(stack.port, token) as p:
        assert js.subscribe("$filter/payload=t%3C30&cid=" + str(extended.cid) + "/s/+")["error"] is None
        publish_all(p, "s/1", payload='{"t":31}')
        publish_all(p, "s/2", payload='{"t":29}')
        publish_all(p, "s/3", payload='{"t":32}')
        publish_all(p, "s/4", payload='{"t":28}')
        assert [js.message()["topic"] for _ in range(2)] == ["s/2", "s/4"]
        mosquitto.expect('s/3 {"t":32}')
        assert [line.split()[0] for line in mosquitto.lines()] == ["s/1", "s/3"]


# ---- User properties that flespi's clients read ----

def test_mqttjs_parses_what_connack_tells_of_token_and_subscriptions(stack, extended):
    acl = [{"uri": "mqtt", "topic": "a/#", "actions": ["publish", "subscribe"]}]
    token = extended.token(access={"type": 2, "acl": acl})
    with MqttJs(stack.port, token, "js", version=5, expiry=60) as js:
        user = js.first["properties"]["userProperties"]
        assert "subscriptions" not in user
        told = json.loads(user["token"])
        assert told["cid"] == extended.cid and told["id"] == token.id and told["access"] == {"type": 2, "acl": acl}
        assert js.subscribe("a/1,2", qos=1)["error"] is None
    with MqttJs(stack.port, token, "js", version=5, expiry=60, clean=False) as js:
        assert js.first["present"] is True
        assert json.loads(js.first["properties"]["userProperties"]["subscriptions"]) == [
            {"topic": "a/1,2", "qos": 1, "no_local": False, "rap": False, "retain_handling": 0}]


def test_messages_tell_their_time_and_account_to_customers_with_the_switch(stack, customer, extended):
    with MqttJs(stack.port, extended.token(), "js", version=5) as js, open_client(stack.port, extended.token(), version=5) as p:
        js.subscribe("a/#")
        before = time.time()
        p.publish("a/b", "x", properties=[(0x26, "mine", "1"), (0x26, "cid", "forged")])
        user = js.message()["properties"]["userProperties"]
        assert user["mine"] == "1" and user["cid"] == ["forged", str(extended.cid)]      # ours is the last one
        assert before - 2 < float(user["timestamp"]) < time.time() + 2


def test_without_the_switch_messages_have_no_properties_of_ours(stack, customer):
    with open_client(stack.port, customer.token(), version=5) as c, open_client(stack.port, customer.token(), version=5) as p:
        c.subscribe("a")
        p.publish("a", "x")
        p.sync()
        assert [m.user for m in c.sync()] == [[]]


def test_properties_of_ours_never_make_a_message_too_large(stack, extended):
    with open_client(stack.port, extended.token(), version=5) as p:
        for most, told in ((300, True), (61, False)):
            with open_client(stack.port, extended.token(), version=5, properties=[(0x27, most)]) as c:
                assert c.subscribe("a") == [0]
                p.publish("a", "x" * 55, qos=1)
                p.sync()
                got = c.sync()
                assert len(got) == 1 and bool(got[0].user) == told, most


def test_mqttjs_resolves_aliases_that_we_set(stack, extended):
    with MqttJs(stack.port, extended.token(), "js", version=5, properties={"topicAliasMaximum": 3}) as js, open_client(stack.port, extended.token()) as p:
        js.subscribe("a/long/#", qos=1)
        names = ["a/long/topic/%d" % (i % 5) for i in range(20)]
        for i, name in enumerate(names):
            p.publish(name, "x", qos=1, pid=i + 1)
        p.sync()
        assert [js.message()["topic"] for _ in names] == names


# ---- Hostile ones ----

def cpu_ms(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 10


def test_catastrophic_wildcards_and_payloads_cost_a_bounded_time(stack, extended, other):
    """A hundred conditions that are made to be slow, asked about payloads that are made to be slow: a message costs what `condition_steps`
    and `condition_payload` allow, and somebody else's messages go on."""
    slow = ["$filter/message=payload~%27" + "*a" * k + "*b%27/s" for k in range(1, 101)]
    payloads = ["a" * 16000, "[" * 16000, "[" + "[]," * 5000 + "[]]", '{"a":' * 16 + "1" + "}" * 16, '"' + "a" * 15990 + '"', "a" * 200000]
    with open_client(stack.port, extended.token(), version=5) as c, open_client(stack.port, extended.token(), version=5) as p, \
            open_client(stack.port, other.token()) as bystander:
        for i in range(0, 100, 20):
            assert c.subscribe(*slow[i:i + 20]) == [0] * 20
        assert bystander.subscribe("x") == [0]
        before = cpu_ms(stack.ready["pids"]["core"])
        for i in range(60):
            p.publish("s", payloads[i % len(payloads)], qos=1, pid=i % 50 + 1)
            if i % 10 == 9:
                p.sync()
                bystander.publish("x", "x")
                assert topics(bystander.sync()) == ["x"]
        spent = cpu_ms(stack.ready["pids"]["core"]) - before
        assert spent < 60 * 50 * SLOW, "%d ms for 60 messages" % spent
        assert topics(c.sync()) == []


def test_a_replay_with_a_slow_condition_leaves_others_their_turn(stack, extended, other):
    with open_client(stack.port, extended.token()) as p:
        for i in range(300):
            p.publish("r/%d" % i, "[" + "[]," * 5000 + "1]", qos=1, pid=i % 50 + 1, retain=True)
            if i % 50 == 49:
                p.sync()
    with open_client(stack.port, extended.token(), version=5) as c, open_client(stack.port, other.token()) as bystander:
        bystander.subscribe("x")
        assert c.subscribe("$filter/payload=%5B5000%5D==2/r/#") == [0]
        for _ in range(10):
            watch = Stopwatch(stack)
            bystander.publish("x", "x")
            assert topics(bystander.sync()) == ["x"]
            assert watch.seconds() < 0.5 * SLOW
        assert topics(c.settled()) == []
