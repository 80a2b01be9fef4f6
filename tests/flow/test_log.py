"""Every event of a customer shows on flespi/log/# of that customer, live, and on nobody else's."""
import contextlib
import itertools
import json
import socket
import struct
import time

import pytest
from clients import MosquittoSub, Paho
from rawmqtt import PUBLISH, Raw, connect, disconnect, open_client
from stack import wait_for


class Log:
    """A customer's log as a plain MQTT client sees it."""

    def __init__(self, customer, token=None):
        self.c = Paho(customer.stack.port, token or customer.master, "log-reader", 5)
        assert self.c.subscribe("flespi/log/#", 0) == [0]
        self.records = []

    def poll(self):
        while not self.c.messages.empty():
            topic, payload = self.c.messages.get()[:2]
            self.records.append((topic, json.loads(payload)))
        return self.records

    def expect(self, ending, timeout=5, **fields):
        """The first record whose topic ends so and that has these fields."""
        def there():
            for topic, r in self.poll():
                if topic.endswith(ending) and all(r.get(k) == v for k, v in fields.items()):
                    return r
        return wait_for(there, timeout)


@pytest.fixture
def log(customer):
    reader = Log(customer)
    yield reader
    reader.c.close()


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_session_that_opens_and_closes_is_logged_with_its_whole_life(stack, customer, log, version):
    token = customer.token()
    with open_client(stack.port, token, "lamp-%d" % version, version) as c:
        r = log.expect("/connected", client_id="lamp-%d" % version)
        assert r["event_code"] == 500
        assert abs(r["timestamp"] - time.time()) < 60
        c.publish("a", "12345", qos=1)
        c.sync()
        c.send(disconnect())
    r = log.expect("/disconnected", client_id="lamp-%d" % version)
    assert r["event_code"] == 503
    assert r["close_code"] == 0
    assert r["published"] == 1 and r["recv"] > 20 and r["duration"] >= 0


def test_rejected_messages_are_counted_in_the_record_of_the_end(stack, customer, log):
    with open_client(stack.port, customer.acl(("a", "publish")), "rej") as c:
        for _ in range(3):
            c.publish("b", "x")
        c.publish("flespi/x", "x")
        c.sync()
    assert log.expect("/disconnected", client_id="rej")["rejected"] == 4


def test_subscribing_and_unsubscribing_are_logged(stack, customer, log):
    with Paho(stack.port, customer.token(), "subber") as c:
        c.subscribe("x/#", 1)
        assert log.expect("/subscribed", client_id="subber")["topic"] == "x/#"
        c.client.unsubscribe("x/#")
        r = log.expect("/unsubscribed", client_id="subber")
        assert (r["topic"], r["event_code"]) == ("x/#", 521)


def test_a_connection_of_a_disabled_token_is_logged_as_blocked(stack, customer, log):
    token = customer.token()
    customer.change_token(token, enabled=False)
    with Raw(stack.port, 5) as c:
        c.send(connect("bad", token, version=5))
        c.closed()
    assert log.expect("/blocked", client_id="bad")["event_code"] == 501


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_refused_filter_is_told_with_its_name_while_the_client_is_connected(stack, customer, log, version):
    """MQTT 3 clients see 0x80 at most, and many look at no code."""
    with open_client(stack.port, customer.acl(("ok/#", "publish subscribe")), "hub", version) as c:
        assert max(c.subscribe("ok/a", "secret/b", "secret/c", "secret/d")) >= 0x80
        r = log.expect("/hub/refused", client_id="hub")
        assert (r["event_code"], r["topic"], r["reason_code"], r["error_text"]) == (522, "secret/b", 0x87, "no grant to receive any of it")
        c.send(disconnect())
    r = log.expect("/disconnected", client_id="hub")
    assert (r["refused"], r["rejected"]) == (3, 0)
    assert len([1 for topic, _ in log.poll() if topic.endswith("/refused")]) == 1


def test_a_refused_publish_is_told_once_in_ten_seconds_and_counted(stack, customer, log):
    """A bridge of MQTT 3.1.1 hears that it was acknowledged. All kinds at once, for they wait for the same ten seconds."""
    token, kinds = customer.acl(("ok/#", "publish")), {}
    with contextlib.ExitStack() as opened:
        for version, qos in itertools.product((3, 4, 5), (0, 1, 2)):
            name = "bridge%d%d" % (version, qos)
            c = kinds[name, qos] = opened.enter_context(open_client(stack.port, token, name, version))
            for i in range(50):
                c.publish("secret/%d" % (i % 3), "x", qos=qos, pid=i + 1)
            c.sync()
            r = log.expect("/%s/refused" % name, client_id=name)
            assert (r["event_code"], r["topic"], r["reason_code"], r["error_text"]) == (523, "secret/0", 0x87, "publish secret/0: no grant")
            assert "suppressed" not in r
        time.sleep(10)
        for (name, qos), c in kinds.items():
            c.publish("secret/late", "x", qos=qos, pid=99)
            assert log.expect("/%s/refused" % name, topic="secret/late")["suppressed"] == 49
            c.send(disconnect())
    for name, _ in kinds:
        assert log.expect("/disconnected", client_id=name)["rejected"] == 51
        assert len([1 for topic, _ in log.poll() if topic.endswith("/%s/refused" % name)]) == 2


def test_a_will_that_is_not_allowed_is_named(stack, customer, log):
    with Raw(stack.port, 5) as c:
        c.send(connect("w", customer.acl(("ok/#", "publish")), version=5, will=("secret/will", "x", 0, False)))
        c.closed()
    r = log.expect("/blocked", client_id="w")
    assert (r["topic"], r["error_text"]) == ("secret/will", "Will topic not allowed")


def test_the_first_refusal_after_a_pushed_change_is_logged(stack, customer, log):
    """The token was known, and in use: its end is known from the push."""
    token = customer.token()
    with open_client(stack.port, token, "used", 5) as c:
        customer.change_token(token, enabled=False)
        c.closed()
    assert log.expect("/disconnected", client_id="used")["close_code"] == 14
    with Raw(stack.port, 5) as c:
        c.send(connect("again", token, version=5))
        c.closed()
    assert log.expect("/blocked", client_id="again")["event_code"] == 501


def test_a_connection_from_a_wrong_address_is_logged_as_blocked(stack, customer, log):
    with Raw(stack.port, 5) as c:
        c.send(connect("bad-ip", customer.token(ips="10.1.*"), version=5))
        c.closed()
    assert log.expect("/blocked", client_id="bad-ip")["event_code"] == 501


def test_tokens_created_updated_and_deleted_are_logged_without_their_keys(stack, customer, log):
    token = customer.token(info="named")
    created = log.expect("platform/tokens/%d/created" % token.id)
    assert (created["event_code"], created["origin_type"], created["origin_id"]) == (1, 33, token.id)
    customer.change_token(token, info="renamed")
    assert log.expect("platform/tokens/%d/updated" % token.id)["event_code"] == 2
    customer.delete_token(token)
    assert log.expect("platform/tokens/%d/deleted" % token.id)["event_code"] == 3
    text = json.dumps(log.records)
    assert token not in text and token[:16] not in text and token[20:] not in text


def test_customers_created_updated_and_deleted_are_logged(stack, customer, log):
    status, answer = customer.rest("POST", "/platform/subaccounts", [{"name": "child"}])
    assert status == 200
    child = answer["result"][0]["id"]
    log.expect("platform/subaccounts/%d/created" % child, event_code=1)
    assert customer.rest("PUT", "/platform/subaccounts/%d" % child, {"name": "renamed"})[0] == 200
    log.expect("platform/subaccounts/%d/updated" % child, event_code=2)
    assert customer.rest("DELETE", "/platform/subaccounts/%d" % child)[0] == 200
    log.expect("platform/subaccounts/%d/deleted" % child, event_code=3)


def test_nobody_sees_the_events_of_another_customer(stack, customer, other, log):
    stranger = Log(other)
    with open_client(stack.port, customer.token(), "mine"):
        pass
    log.expect("/disconnected", client_id="mine")
    with open_client(stack.port, other.token(), "theirs"):
        pass
    stranger.expect("/disconnected", client_id="theirs")
    assert all(r.get("client_id") != "mine" for _, r in stranger.poll())
    assert all(r.get("client_id") != "theirs" for _, r in log.poll())
    stranger.c.close()


def test_mosquitto_sub_follows_the_log_as_the_readme_says(stack, customer):
    with MosquittoSub(stack.port, customer.master, "flespi/log/#") as sub:
        with open_client(stack.port, customer.token(), "seen"):
            pass
        wait_for(lambda: [x for x in sub.lines() if x.startswith("flespi/log/mqtt/sessions/seen/connected {")])


def test_a_client_id_with_slashes_and_wildcards_stays_one_level_of_the_log_topic(stack, customer, log):
    with open_client(stack.port, customer.token(), "a/b%c"):
        pass
    log.expect("flespi/log/mqtt/sessions/a%2Fb%25c/connected", client_id="a/b%c")


def test_a_token_that_may_read_logs_reads_them_and_a_plain_acl_token_does_not(stack, customer):
    entry = {"uri": "mqtt", "submodules": [{"name": "logs", "methods": ["GET"]}]}
    with open_client(stack.port, customer.token(access={"type": 2, "acl": [entry]}), version=5) as c:
        assert c.subscribe("flespi/log/mqtt/#", "flespi/log/platform/#") == [0, 0x87]
        with open_client(stack.port, customer.token(), "someone"):
            pass
        assert c.expect(PUBLISH).topic.startswith("flespi/log/mqtt/sessions/")
    with open_client(stack.port, customer.acl(("#", "subscribe")), version=5) as c:
        assert c.subscribe("flespi/log/#") == [0x87]


def test_no_token_appears_in_any_program_log(stack, customer):
    token = customer.token()
    with open_client(stack.port, token, "quiet"):
        pass
    with Raw(stack.port, 4) as c:
        c.send(connect("bad", "x" + token[1:]))
        c.closed()
    for name in ("core", "admin", "proxy"):
        text = stack.log(name)
        assert token not in text and token[4:40] not in text and stack.master not in text and customer.master[4:40] not in text


def test_a_queue_that_overflows_is_told_once_with_what_was_dropped(stack, customer, log):
    """flespi deletes such a session; here it keeps what waits, and the rest is lost."""
    with open_client(stack.port, customer.token(limits={"mqtt_session_messages": 3}), "full/1", 4, clean=False) as c:
        c.subscribe(("q", 1))
    with open_client(stack.port, customer.token(), "p") as p:
        for i in range(20):
            p.publish("q", "x", qos=1, pid=i + 1)
        p.sync()
    r = log.expect("mqtt/sessions/full%2F1/overflowed", client_id="full/1")
    assert (r["event_code"], r["event_origin"]) == (504, "mqtt/sessions/full%2F1") and 1 <= r["dropped"] <= 17
    time.sleep(1)
    assert len([1 for topic, _ in log.poll() if topic.endswith("/overflowed")]) == 1


@pytest.mark.one_door("what is said before a byte has come is the same on each")
def test_a_health_check_of_a_balancer_is_no_line_of_the_log(stack):
    """It connects and closes, twice a second, all day."""
    before = len(stack.log("proxy"))
    for linger in (False, True):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", int(stack.port))) as s:
                if linger:      # RST
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def one_that_spoke_is_told_of():    # unless too many lines were written in the same second
        with Raw(stack.port, 4) as c:
            c.send(b"\x10")
        return "in=0/1" in stack.log("proxy")[before:]

    wait_for(one_that_spoke_is_told_of, step=0.3)
    assert [line for line in stack.log("proxy")[before:].splitlines() if "ev=close" in line and "in=0/0" in line] == []
