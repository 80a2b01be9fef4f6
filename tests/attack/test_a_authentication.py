"""Attacks A01 to A21: authentication. One test per id. (A22 to A24 belong to the doors that stand behind other servers.)"""
import json
import threading
import time
import zlib

import pytest
from endpoint import Endpoint, Pair
from rawmqtt import CONNACK, DISCONNECT, PUBLISH, SUBACK, AUTH, Raw, connect, open_client, packet, publish, subscribe
from stack import SLOW, Stopwatch, wait_for

V = pytest.mark.parametrize("version", [4, 5])


def bad(version):
    return (0x86, 0x87) if version == 5 else (4, 5)


def down(version):
    return 0x88 if version == 5 else 3


@pytest.fixture
def endpoint():
    e = Endpoint()
    yield e
    e.close()


@pytest.fixture
def pair(tmp_path, endpoint):
    p = Pair(tmp_path / "pair", endpoint, config="auth_timeout = 1500ms\nauth_no = 5s\nauth_cache = 4s\nauth_poll = 2s\nauth_stale = 6s\n")
    p.start()
    yield p
    p.check_alive()
    p.stop()


def code(port, username=None, password=None, version=5, client_id="c", **more):
    with Raw(port, version) as c:
        c.send(connect(client_id, username, password, version=version, **more))
        return c.expect(CONNACK, 10).code


@V
def test_A01_a_username_that_is_no_key_without_a_password_is_refused(stack, version):
    assert code(stack.port, "someone", None, version) in bad(version)


@V
def test_A02_empty_and_missing_credentials_are_refused(stack, version):
    for u, p in (("", None), ("", ""), (None, None), ("FlespiToken ", ""), (" ", " ")):
        assert code(stack.port, u, p, version) in bad(version), (u, p)
    if version == 5:
        assert code(stack.port, None, "", 5) in bad(5)


@V
def test_A03_a_wildcard_is_no_user_name_and_no_way_in_as_a_client_id(stack, customer, version):
    for name in ("#", "+"):
        assert code(stack.port, "x" * 64, None, version, client_id=name) in bad(version)
        assert code(stack.port, name, None, version) in bad(version)


@V
def test_A04_a_failed_authentication_leaves_the_victims_session_untouched(stack, customer, version):
    token = customer.token()
    v = open_client(stack.port, token, "victim", version, clean=False, **({"properties": ((0x11, 60),)} if version == 5 else {}))
    v.subscribe(("x", 1))
    assert code(stack.port, token[:-1] + ("a" if token[-1] != "a" else "b"), None, version, client_id="victim", clean=True) in bad(version)
    with open_client(stack.port, token, "p") as p:
        p.publish("x", "still here", qos=1).sync()
    assert v.expect(PUBLISH).payload == b"still here"
    v.close()


@V
def test_A05_a_will_of_a_failed_authentication_is_never_sent(stack, customer, version):
    with open_client(stack.port, customer.token()) as w:
        w.subscribe("#")
        assert code(stack.port, "x" * 64, None, version, will=("will", "x", 0, False)) in bad(version)
        time.sleep(0.3)
        assert w.sync() == []


def test_A06_what_is_pipelined_before_the_verdict_waits_and_dies_with_a_refusal(pair, endpoint):
    gate = threading.Event()

    def held(auth):
        gate.wait(10)
        return endpoint.good() if "good" in auth else (401, {"Content-Type": "application/json"}, b'{"errors":[]}')
    endpoint.answer = lambda auth: endpoint.good() if "watch" in auth else held(auth)
    with open_client(pair.port, "watch", "w") as w:
        w.subscribe("#")
        good, bad_ = Raw(pair.port), Raw(pair.port)
        for c, key in ((good, "good"), (bad_, "bad")):
            c.send(connect("c-" + key, key) + subscribe("own") + publish("from/" + key, "x") * 3)
        time.sleep(0.3)
        assert w.sync() == [] and good.data == b""
        gate.set()
        assert [good.read().kind for _ in range(2)] == [CONNACK, SUBACK]
        assert [p.kind for p in bad_.closed()] == [CONNACK]
        assert [w.expect(PUBLISH).topic for _ in range(3)] == ["from/good"] * 3
        assert w.sync() == []


def test_A07_a_client_that_leaves_while_it_is_asked_about_does_no_harm(pair, endpoint):
    gate = threading.Event()
    endpoint.answer = lambda auth: (gate.wait(10), endpoint.good())[1]
    clients = [Raw(pair.port) for _ in range(30)]
    for i, c in enumerate(clients):
        c.send(connect("c%d" % i, "key-%d" % (i % 7)))
    time.sleep(0.2)
    for c in clients:
        c.close()
    gate.set()
    endpoint.answer = lambda auth: endpoint.good()
    wait_for(lambda: code(pair.port, "later", version=4) == 0, 10, 0.2)


STRANGE = {
    "500": (500, {}, b""), "502": (502, {"Content-Type": "text/html"}, b"<h1>bad gateway</h1>"), "html": (200, {"Content-Type": "text/html"}, b"<html>"),
    "empty": (200, {"Content-Type": "application/json"}, b""), "204": (204, {"Content-Length": "0"}, b""), "301": (301, {"Location": "http://127.0.0.1:1/"}, b""),
    "truncated": (200, {"Content-Type": "application/json"}, b'{"result":[{"cid":5,"ena'), "wrong-type": (200, {"Content-Type": "application/json"}, b'{"result":[{"cid":"5","enabled":true,"access":{"type":0}}]}'),
    "no-access": (200, {"Content-Type": "application/json"}, b'{"result":[{"cid":5,"enabled":true}]}'), "two": (200, {"Content-Type": "application/json"}, b'{"result":[{},{}]}'),
    "none": (200, {"Content-Type": "application/json"}, b'{"result":[]}'), "text": (200, {"Content-Type": "text/plain"}, json.dumps({"result": [Endpoint.info()]}).encode()),
    "cid-0": (200, {"Content-Type": "application/json"}, json.dumps({"result": [Endpoint.info(cid=0)]}).encode()),
    "negative": (200, {"Content-Type": "application/json"}, json.dumps({"result": [Endpoint.info(cid=-5)]}).encode()),
    "yes": (200, {"Content-Type": "application/json"}, b"true"), "408": (408, {}, b""), "429": (429, {}, b""), "599": (599, {}, b""),
}


@V
@pytest.mark.parametrize("how", STRANGE)
def test_A08_a_strange_answer_never_lets_in_and_is_never_remembered_as_a_no(pair, endpoint, version, how):
    endpoint.answer = lambda auth: STRANGE[how]
    assert code(pair.port, "k-" + how, version=version) == down(version)
    endpoint.answer = lambda auth: endpoint.good()
    wait_for(lambda: code(pair.port, "k-" + how, version=version) == 0, 4, 0.1)


def hundred_megabytes(handler):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(100 << 20))
    handler.end_headers()
    for _ in range(1600):
        handler.wfile.write(b" " * 65536)


def endless_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for i in range(4000):
        handler.wfile.write(b"X-%d: %s\r\n" % (i, b"y" * 100))
    handler.wfile.write(b"\r\n")


def bomb(handler):
    body = zlib.compress(b" " * (50 << 20))
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Encoding", "deflate")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def never(handler):
    time.sleep(6)


def trickle(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(60):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


HUGE = {
    "100-MB": hundred_megabytes, "endless-headers": endless_headers, "bomb": bomb, "never": never, "trickle": trickle,
    "deep": (200, {"Content-Type": "application/json"}, b"[" * 2000 + b"]" * 2000),
    "million-keys": (200, {"Content-Type": "application/json"}, b"{" + b",".join(b'"k%d":1' % i for i in range(100000)) + b"}"),
    "doubled-keys": (200, {"Content-Type": "application/json"}, b'{"result":[{"cid":5,"cid":6,"enabled":true,"access":{"type":0}}]}'),
}


@pytest.mark.parametrize("how", HUGE)
def test_A09_a_hostile_answer_is_cut_short_and_means_unavailable(pair, endpoint, how):
    endpoint.answer = lambda auth: HUGE[how]
    watch = Stopwatch(pair)
    assert code(pair.port, "k-" + how) == 0x88
    assert watch.seconds() < 4 * SLOW
    endpoint.answer = lambda auth: endpoint.good()
    wait_for(lambda: code(pair.port, "k-" + how) == 0, 5, 0.1)


def test_A10_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(pair, endpoint):
    second = Endpoint()
    try:
        endpoint.answer = lambda auth: (302, {"Location": "http://127.0.0.1:%d/auth/info" % second.port}, b"")
        assert code(pair.port, "k") == 0x88
        assert second.asked == []
    finally:
        second.close()


def test_A11_credentials_that_look_alike_are_kept_apart(pair, endpoint):
    """Equal when joined without a length: none may be served from the other's verdict."""
    keys = ["a_b", "a", "a_b_c", "abc", "ab", "A_b", "a_b ", "1:aaaaaaaaaaaaaaaa"]
    cids = {("FlespiToken " + k): 100 + i for i, k in enumerate(keys)}

    def answer(auth):
        return endpoint.good(cid=cids[auth]) if auth in cids else (401, {"Content-Type": "application/json"}, b'{"errors":[]}')
    endpoint.answer = answer
    for round_ in range(2):
        for i, k in enumerate(keys[:6]):
            with open_client(pair.port, k, "c", 5) as c:
                assert '"cid":%d' % (100 + i) in dict(c.connack.user)["token"].replace(" ", "")


def test_A12_a_verdict_is_bound_to_the_address_rules_of_its_token(pair, endpoint):
    """The verdict is remembered, the client's address is judged at every CONNECT."""
    endpoint.answer = lambda auth: endpoint.good(ips="127.0.0.1")
    assert code(pair.port, "k") == 0
    endpoint.answer = lambda auth: endpoint.good(ips="10.0.0.1", token=2)
    assert code(pair.port, "k2") == 0x87
    assert code(pair.port, "k2") == 0x87


def test_A13_use_does_not_prolong_a_verdict(pair, endpoint):
    endpoint.answer = lambda auth: endpoint.good()
    assert code(pair.port, "k") == 0
    endpoint.answer = lambda auth: (401, {"Content-Type": "application/json"}, b'{"errors":[]}')
    watch = Stopwatch(pair)
    while code(pair.port, "k") == 0:
        assert watch.seconds() < 6 * SLOW, "a hit prolongs the verdict"
        time.sleep(0.1)


def test_A14_an_endpoint_that_cannot_push_is_polled(pair, endpoint):
    endpoint.answer = lambda auth: endpoint.good()
    c = open_client(pair.port, "k", "c", 5)
    endpoint.answer = lambda auth: (401, {"Content-Type": "application/json"}, b'{"errors":[]}')
    assert [(p.kind, p.code) for p in c.closed(8)] == [(DISCONNECT, 0x87)]


def test_A14_a_narrowed_acl_is_noticed_by_polling(pair, endpoint):
    endpoint.answer = lambda auth: endpoint.good()
    with open_client(pair.port, "k", "c", 5) as c:
        c.subscribe("#")
        endpoint.answer = lambda auth: endpoint.good(access={"type": 2, "acl": [{"uri": "mqtt", "topic": "a", "actions": ["subscribe", "publish"]}]})

        def narrowed():
            c.publish("b", "x", qos=1)
            return [p for p in c.sync() if p.kind == 4 and p.code == 0x87]
        wait_for(narrowed, 8, 0.2)


def test_A15_a_token_ends_by_the_clock_within_a_second(pair, endpoint):
    end = int(time.time()) + 3
    endpoint.answer = lambda auth: endpoint.good(expire=end)
    c = open_client(pair.port, "k", "c", 5)
    assert [(p.kind, p.code) for p in c.closed(8)] == [(DISCONNECT, 0x87)]
    assert -1.1 < time.time() - end < 1.5 * SLOW


def test_A15_a_token_that_has_ended_is_not_let_in(pair, endpoint):
    endpoint.answer = lambda auth: endpoint.good(expire=int(time.time()) - 5)
    assert code(pair.port, "k") == 0x87


def test_A16_guessing_does_not_lock_out_the_owner(stack, customer):
    token = customer.token()
    for i in range(60):
        guess = "%s%04d" % (token[:-4], i)
        assert code(stack.port, guess, client_id="g%d" % i) in (0x86, 0x87, 0x9F)
    assert code(stack.port, token) == 0


@V
def test_A18_unknown_and_wrong_look_the_same(stack, customer, version):
    token = customer.token()
    answers = {code(stack.port, str(token.id), "x" * 16, version), code(stack.port, "987654321", "x" * 16, version)}
    assert len(answers) == 1 and answers <= set(bad(version))


def test_A17_the_answers_to_unknown_and_wrong_are_one_answer(stack, customer):
    """Same packet, byte for byte; the time is compared in constant time inside (crypt_equal, dummy compare): tests/unit/admin_*.c."""
    token = customer.token()
    said = []
    for u, p in ((str(token.id), "mbusAAAAAAAAAAAA"), ("987654321", "mbusAAAAAAAAAAAA")):
        with Raw(stack.port, 5) as c:
            c.send(connect("c", u, p, version=5))
            said.append(c.expect(CONNACK).body)
    assert said[0] == said[1]


def test_A19_a_token_never_shows_in_logs_wherever_it_was_put(stack, customer):
    token = customer.token()
    with Raw(stack.port, 5) as c:
        c.send(connect(token, token, token, version=5, properties=((0x26, "token", token),)))
        assert c.read().code == 0x85        # a client id is a name that everybody in the account sees
    with Raw(stack.port, 5) as c:
        c.send(connect("c", token, token, version=5, properties=((0x26, "token", token),)))
        assert c.read().code == 0
    with Raw(stack.port, 4) as c:
        c.send(connect("c", token + "x"))
        c.closed()
    stack.rest("GET", "/auth/info?token=" + token, token=False)
    stack.rest("GET", "/platform/" + token, token=token)
    time.sleep(0.2)
    for name in ("core", "admin", "proxy"):
        assert token[4:44] not in stack.log(name), name


def test_A20_random_keys_are_refused_before_any_look_up(stack, customer):
    """The checksum is wrong: the endpoint is not asked, and a known token is not evicted."""
    token = customer.token()
    assert code(stack.port, token) == 0
    before = stack.log("admin").count("/auth/info")
    for i in range(200):
        assert code(stack.port, "mbus%060d" % i, client_id="r") == 0x86
    assert stack.log("admin").count("/auth/info") - before <= 2
    assert code(stack.port, token) == 0


@pytest.mark.one_door("which verdicts are kept is decided behind the doors; a quarter of a minute each")
def test_A20_a_flood_of_wrong_keys_does_not_push_out_a_good_one(pair, endpoint):
    endpoint.answer = lambda auth: endpoint.good() if "good" in auth else (401, {"Content-Type": "application/json"}, b'{"errors":[]}')
    with open_client(pair.port, "good", "keeper") as c:
        for i in range(300):
            assert code(pair.port, "wrong-%d" % i) in (0x86, 0x87, 0x88, 0x9F)
        c.sync()
        assert code(pair.port, "good") == 0


def test_A20_a_refused_key_is_remembered_for_a_while(pair, endpoint):
    endpoint.answer = lambda auth: (401, {"Content-Type": "application/json"}, b'{"errors":[]}')
    for _ in range(20):
        assert code(pair.port, "wrong") == 0x86
    assert len(endpoint.asked) <= 2


def test_A21_authentication_methods_are_refused_with_the_right_codes(stack, customer):
    token = customer.token()
    assert code(stack.port, token, properties=((0x15, "SCRAM-SHA-1"),)) == 0x8C
    assert code(stack.port, token, properties=((0x16, "data without method"),)) in (0x82, 0x81)
    c = open_client(stack.port, token, version=5)
    c.send(packet(AUTH, b"\x19\x00"))
    assert [(p.kind, p.code) for p in c.closed()] == [(DISCONNECT, 0x82)]


def test_A_many_clients_with_one_token_make_one_question(pair, endpoint):
    endpoint.answer = lambda auth: (time.sleep(0.5), endpoint.good())[1]
    clients = [Raw(pair.port) for _ in range(100)]
    for i, c in enumerate(clients):
        c.send(connect("m%d" % i, "one"))
    for c in clients:
        assert c.expect(CONNACK, 10).code == 0
        c.close()
    assert len(endpoint.asked) <= 3


def test_A_an_outage_keeps_known_clients_for_a_while_and_lets_nobody_new_in(pair, endpoint):
    endpoint.answer = lambda auth: endpoint.good()
    c = open_client(pair.port, "k", "c", 5)
    endpoint.answer = lambda auth: (503, {}, b"")
    start = time.monotonic()
    while time.monotonic() - start < 5:
        assert code(pair.port, "new") == 0x88
        c.sync()
        time.sleep(0.5)
    assert [p.kind for p in c.closed(12)] == [DISCONNECT]
    endpoint.answer = lambda auth: endpoint.good()
    wait_for(lambda: code(pair.port, "k") == 0, 6, 0.1)


