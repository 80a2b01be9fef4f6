"""Outages O01 to O07: an endpoint, a clock or a stranger that misbehaves costs nobody what only a revocation may cost. One test per id or more."""
import socket
import time

import pytest
from endpoint import Endpoint, Pair
from rawmqtt import CONNACK, DISCONNECT, PUBLISH, Raw, connect, open_client
from stack import wait_for

CONFIG = "auth_cache = 1s\nauth_poll = 1s\nauth_stale = 2s\nauth_no = 1s\n"


@pytest.fixture
def endpoint():
    e = Endpoint()
    yield e
    e.close()


@pytest.fixture
def pair(tmp_path, endpoint):
    p = Pair(tmp_path / "pair", endpoint, config=CONFIG)
    p.start()
    yield p
    p.check_alive()
    p.stop()


def code(port, username=None, password=None, client_id="c"):
    with Raw(port, 5) as c:
        c.send(connect(client_id, username, password, version=5))
        return c.expect(CONNACK, 10).code


def watcher_on(pair, *filters):
    """Its own token, which the endpoint always likes: see outage()."""
    w = open_client(pair.port, "watcher", "w", 5)
    w.subscribe(*filters)
    return w


def outage(endpoint, *cut_off):
    """From now on the endpoint fails whenever it is asked about one of these keys, and about nobody else."""
    endpoint.answer = lambda auth: (503, {}, b"") if auth[len("FlespiToken "):] in cut_off else endpoint.good(token=8 if "watcher" in auth else 1)


def topics(client):
    return sorted(p.topic for p in client.settled() if p.kind == PUBLISH)


def test_O01_an_outage_removes_no_retained_message(pair, endpoint):
    outage(endpoint)
    lamp = open_client(pair.port, "lamp", "lamp", 5)
    lamp.publish("state/lamp", b"on", qos=1, retain=True)
    lamp.sync()
    outage(endpoint, "lamp")
    assert [p.code for p in lamp.closed(12) if p.kind == DISCONNECT] == [0x89]
    with watcher_on(pair, "state/#") as w:
        assert topics(w) == ["state/lamp"]


def test_O02_an_outage_sends_the_wills_of_those_it_ends_and_of_those_that_had_gone(pair, endpoint):
    outage(endpoint)
    with watcher_on(pair, "will/#") as w:
        gone = open_client(pair.port, "lamp", "gone", 5, will=("will/gone", b"x", 0, False, [(0x18, 6)]), properties=[(0x11, 60)])
        here = open_client(pair.port, "lamp", "here", 5, will=("will/here", b"x", 0, False))
        gone.close()
        outage(endpoint, "lamp")
        assert [p.code for p in here.closed(12) if p.kind == DISCONNECT] == [0x89]
        seen = set()
        wait_for(lambda: seen.update(topics(w)) or seen == {"will/gone", "will/here"}, 12, 0.2)


def retained(stack, customer):
    """Names that a new subscriber of this customer is shown."""
    with open_client(stack.port, customer.token(), "", 5) as w:
        w.subscribe("#")
        return topics(w)


@pytest.mark.parametrize("connected", [True, False])
def test_O03_disabling_a_token_hides_what_it_retained_and_enabling_shows_it(stack, customer, connected):
    token, other = customer.token(), customer.token()
    with open_client(stack.port, other, "other", 5) as o:
        o.publish("other", b"x", qos=1, retain=True)
        o.sync()
    c = open_client(stack.port, token, "c", 5)
    c.publish("mine", b"x", qos=1, retain=True)
    c.sync()
    if not connected:
        c.close()
    for _ in range(2):
        customer.change_token(token, enabled=False)
        wait_for(lambda: retained(stack, customer) == ["other"], 5, 0.2)
        customer.change_token(token, enabled=True)
        wait_for(lambda: retained(stack, customer) == ["mine", "other"], 5, 0.2)
    customer.change_token(token, access={"type": 2, "acl": [{"uri": "mqtt", "topic": "else/#", "actions": ["publish"]}]})
    wait_for(lambda: retained(stack, customer) == ["other"], 5, 0.2)
    customer.change_token(token, access={"type": 0})
    wait_for(lambda: retained(stack, customer) == ["mine", "other"], 5, 0.2)
    customer.delete_token(token)
    wait_for(lambda: retained(stack, customer) == ["other"], 5, 0.2)


@pytest.mark.parametrize("connected", [True, False])
def test_O03_blocking_a_customer_destroys_nothing(stack, customer, connected):
    token, disabled = customer.token(), customer.token()
    clients = [open_client(stack.port, t, t[-4:], 5) for t in (token, disabled)]
    for c, name in zip(clients, ("mine", "disabled")):
        c.publish(name, b"x", qos=1, retain=True)
        c.sync()
        if not connected:
            c.close()
    customer.change_token(disabled, enabled=False)
    for _ in range(2):
        assert stack.rest("PUT", "/platform/subaccounts/%d" % customer.cid, {"enabled": False})[0] == 200
        wait_for(lambda: code(stack.port, token) in (0x86, 0x87), 5, 0.2)
        assert stack.rest("PUT", "/platform/subaccounts/%d" % customer.cid, {"enabled": True})[0] == 200
        wait_for(lambda: code(stack.port, token, client_id="again") == 0, 15, 0.5)
        wait_for(lambda: retained(stack, customer) == ["mine"], 5, 0.2)


def test_O03_an_endpoint_that_takes_a_no_back_shows_what_was_hidden(pair, endpoint):
    """Without pushes: the proxy asks, the core hides, and asks the proxy when the token comes back."""
    outage(endpoint)
    lamp = open_client(pair.port, "lamp", "lamp", 5)
    lamp.publish("state/lamp", b"on", qos=1, retain=True)
    lamp.sync()
    good = endpoint.answer
    endpoint.answer = lambda auth: (403, {}, b"") if "lamp" in auth else good(auth)
    assert [p.code for p in lamp.closed(12) if p.kind == DISCONNECT] == [0x87]
    with watcher_on(pair, "state/#") as w:
        assert topics(w) == []
    endpoint.answer = good
    wait_for(lambda: code(pair.port, "lamp", client_id="lamp") == 0, 8, 0.5)
    with watcher_on(pair, "state/#") as w:
        assert topics(w) == ["state/lamp"]


@pytest.mark.parametrize("status", [400, 404, 429, 302])
def test_O04_strangers_whose_keys_the_endpoint_does_not_like_open_no_circuit(pair, endpoint, status):
    endpoint.answer = lambda auth: endpoint.good() if "good" in auth else (status, {}, b"")
    for i in range(15):
        for k in range(2):
            assert code(pair.port, "rubbish-%d-%d" % (i, k)) in (0x86, 0x88)
        assert code(pair.port, "good-%d" % i) == 0


def test_O05_a_kept_connection_that_is_closed_when_the_next_request_comes_refuses_nobody(pair, endpoint):
    def once(handler):
        if getattr(handler, "answered", False):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.answered = True
        status, headers, body = endpoint.good()
        handler.send_response(status)
        for k, v in dict(headers, **{"Content-Length": str(len(body))}).items():
            handler.send_header(k, v)
        handler.end_headers()
        handler.wfile.write(body)
    endpoint.answer = lambda auth: once
    assert [code(pair.port, "key-%d" % i) for i in range(21)] == [0] * 21


def test_O06_an_ended_token_is_refused_at_once_and_not_deleted_for_a_day(stack, customer):
    token = customer.token(ttl=0, expire=int(time.time()) + 2)
    c = open_client(stack.port, token, "c", 5)
    assert [p.code for p in c.closed(8)] == [0x87]
    time.sleep(7)    # longer than accessed_every
    assert code(stack.port, token) in (0x86, 0x87)
    customer.change_token(token, expire=int(time.time()) + 600)
    wait_for(lambda: code(stack.port, token) == 0, 15, 0.5)


def test_O07_a_device_name_beside_a_key_is_not_asked_about(pair, endpoint):
    endpoint.answer = lambda auth: endpoint.good() if auth == "FlespiToken the-key" else (401, {}, b"")
    assert code(pair.port, "device-7", "the-key") == 0
    assert code(pair.port, "the-key", "") == 0
    assert code(pair.port, "the-key") == 0
    assert {a for _, a in endpoint.asked} == {"FlespiToken the-key"}
