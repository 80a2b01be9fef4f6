"""Each verb of an ACL, enforced in both directions; refusals tell what MQTT can tell."""
import pytest
from clients import Paho
from paho.mqtt.subscribeoptions import SubscribeOptions
from rawmqtt import CONNACK, DISCONNECT, PUBACK, PUBLISH, PUBREC, Raw, connect, open_client, publish


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_publish_grant_lets_publish_and_nothing_else(stack, customer, version):
    with open_client(stack.port, customer.token(), version=version) as watcher, \
            open_client(stack.port, customer.acl(("up/+", "publish")), version=version) as c:
        watcher.subscribe("#")
        c.publish("up/1", "yes", qos=1)
        c.publish("up/1/2", "no", qos=1, pid=2)
        c.publish("down", "no", qos=0)
        acks = sorted(c.sync(), key=lambda p: p.pid)    # a refusal needs no way to the core and may overtake
        assert [(p.kind, p.pid) for p in acks] == [(PUBACK, 1), (PUBACK, 2)]
        if version == 5:
            assert acks[1].code == 0x87
        assert [(p.topic, p.payload) for p in watcher.sync()] == [("up/1", b"yes")]
        assert c.subscribe("up/+") == [0x87 if version == 5 else 0x80]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_subscribe_grant_lets_receive_and_nothing_else(stack, customer, version):
    with open_client(stack.port, customer.token(), version=version) as p, \
            open_client(stack.port, customer.acl(("down/#", "subscribe")), version=version) as c:
        assert c.subscribe("down/#", "other/#", pid=9) == [0, 0x87 if version == 5 else 0x80]
        c.publish("down/x", "mine", qos=1)
        assert [q.kind for q in c.sync()] == [PUBACK]
        p.publish("down/a", "1", qos=1)
        p.publish("other/a", "2", qos=1, pid=2)
        p.sync()
        assert [(q.topic, q.payload) for q in c.sync()] == [("down/a", b"1")]


def test_a_subscription_wider_than_the_grants_delivers_exactly_the_granted_part(stack, customer):
    with open_client(stack.port, customer.token()) as p, \
            open_client(stack.port, customer.acl(("a/#", "subscribe"), ("+/temp", "subscribe"))) as c:
        assert c.subscribe("#") == [0]
        for i, topic in enumerate(("a", "a/x", "a/temp", "b/temp", "b/x", "b/temp/x", "c")):
            p.publish(topic, str(i), qos=1, pid=i + 1)
        p.sync()
        assert [q.topic for q in c.sync()] == ["a", "a/x", "a/temp", "b/temp"]


def test_a_grant_of_everything_does_not_open_the_system_tree(stack, customer):
    with open_client(stack.port, customer.acl(("#", "publish subscribe")), version=5) as c:
        assert c.subscribe("flespi/#", "#") == [0x87, 0]
        c.publish("flespi/log/fake", "x", qos=1)
        assert [(q.kind, q.code) for q in c.sync()] == [(PUBACK, 0x87)]
        c.publish("mine", "x", qos=1, pid=2)
        assert [q.topic for q in c.sync() if q.kind == PUBLISH] == ["mine"]


def test_retained_messages_follow_the_grant_not_the_filter(stack, customer):
    with open_client(stack.port, customer.token()) as p, open_client(stack.port, customer.acl(("a/1", "subscribe"))) as c:
        p.publish("a/1", "one", qos=1, retain=True)
        p.publish("a/2", "two", qos=1, pid=2, retain=True)
        p.sync()
        assert c.subscribe("a/+") == [0]
        assert [(q.topic, q.retain) for q in c.settled()] == [("a/1", True)]


def test_a_shared_subscription_never_picks_a_member_that_may_not_read(stack, customer):
    with open_client(stack.port, customer.token()) as p, open_client(stack.port, customer.acl(("a/#", "subscribe"))) as narrow, \
            open_client(stack.port, customer.token()) as wide:
        assert narrow.subscribe("$share/g/#") == [0]
        assert wide.subscribe("$share/g/#") == [0]
        for i in range(20):
            p.publish("b/%d" % i, "x", qos=1, pid=i + 1)
        p.sync()
        assert narrow.sync() == []
        assert len(wide.sync()) == 20


@pytest.mark.parametrize("version,code", [(3, 5), (4, 5), (5, 0x87)])
def test_a_will_on_a_topic_that_may_not_be_published_is_refused_at_connect(stack, customer, version, code):
    with Raw(stack.port, version) as c:
        c.send(connect("w", customer.acl(("ok/#", "publish")), version=version, will=("secret/x", "bye", 0, False)))
        assert c.expect(CONNACK).code == code
        assert c.closed() == []


def test_a_token_without_grants_connects_and_may_nothing(stack, customer):
    with open_client(stack.port, customer.token(access={"type": 2, "acl": []}), version=5) as c:
        assert c.subscribe("#", "a", "flespi/log/#") == [0x87] * 3
        c.publish("a", "x", qos=2)
        assert [(p.kind, p.code) for p in c.sync()] == [(PUBREC, 0x87)]


def test_a_standard_token_reads_the_mqtt_log_but_not_the_platform_one(stack, customer):
    with open_client(stack.port, customer.token(access={"type": 0}), version=5) as c:
        assert c.subscribe("flespi/log/mqtt/#", "flespi/log/platform/#", "flespi/state/platform/#") == [0, 0x87, 0x87]
    with open_client(stack.port, customer.master, version=5) as c:
        assert c.subscribe("flespi/log/platform/#") == [0]


def test_an_address_outside_the_ips_of_a_token_is_refused(stack, customer):
    with Raw(stack.port, 5) as c:
        c.send(connect("x", customer.token(ips="10.9.*,192.168.77.?"), version=5))
        assert c.expect(CONNACK).code == 0x87
    with open_client(stack.port, customer.token(ips="10.9.*,127.0.0.?")):
        pass


def test_paho_learns_the_refusals_of_its_subscriptions(stack, customer):
    with Paho(stack.port, customer.acl(("a/#", "subscribe")), version=5) as c:
        assert c.subscribe([("a/x", SubscribeOptions(1)), ("b", SubscribeOptions(1))]) == [1, 0x87]


@pytest.mark.parametrize("how", ["username", "prefixed", "password", "short"])
def test_each_form_of_the_credential_is_understood(stack, customer, how):
    token = customer.token()
    forms = {"username": (token, None), "prefixed": ("FlespiToken " + token, None), "password": ("anything", token), "short": (str(token.id), token[:16])}
    username, password = forms[how]
    with Raw(stack.port, 4) as c:
        c.send(connect("c", username, password))
        assert c.expect(CONNACK).code == 0


def test_a_denied_publish_never_disconnects(stack, customer):
    with open_client(stack.port, customer.acl(("a", "publish")), version=5) as c:
        for i in range(50):
            c.send(publish("b/%d" % i, "x", version=5))
        assert [p for p in c.sync() if p.kind == DISCONNECT] == []
