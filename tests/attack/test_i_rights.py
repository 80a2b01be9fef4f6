"""Attacks I02, I05 and I06 of the attack table: one small input of one client, endpoint or local service that would have ended the connections of all others."""
import json
import os
import socket
import struct

import pytest
from endpoint import Endpoint, Pair
from rawmqtt import DISCONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, Raw, open_client, packet, publish
from resources import alive, ends
from stack import Stack, wait_for

V = pytest.mark.parametrize("version", [4, 5])


def many(kind, version, count=65536):
    """The smallest packet of so many filters."""
    return packet(kind, b"\0\1" + (b"\0" if version == 5 else b"") + (b"\0\0\0" if kind == SUBSCRIBE else b"\0\1a") * count, 2)


# ---- I02: what the link cannot count ----

@V
@pytest.mark.parametrize("kind", [SUBSCRIBE, UNSUBSCRIBE])
def test_I02_more_filters_than_the_link_can_count_end_their_own_connection_only(shipped, kind, version):
    customer, other = shipped.new_customer(), shipped.new_customer()
    token = customer.acl(("a", "subscribe"))
    with open_client(shipped.port, other.token()) as neighbour, open_client(shipped.port, token) as sibling:
        neighbour.subscribe("news")
        for _ in range(3):
            c = open_client(shipped.port, token, version=version)
            c.send(many(kind, version))
            ends(c, 0x97)
        sibling.sync()
        neighbour.publish("news", "still here")
        assert neighbour.expect(PUBLISH).payload == b"still here"
    alive(shipped, other)
    assert "link-down" not in shipped.log("proxy")


def test_I02_as_many_as_the_link_can_count_are_refused_one_by_one(shipped):
    with open_client(shipped.port, shipped.new_customer().token()) as c:
        c.send(many(SUBSCRIBE, 4, 65535))
        assert c.read(20).codes == [0x80] * 65535
        c.sync()
    # those over the quota are one line of the log
    assert shipped.log("proxy").count("ev=refused-subscribe") < 2000


# ---- I05: an endpoint that does not tell tokens by a number ----

@pytest.fixture
def nameless(tmp_path):
    ended = set()
    endpoint = Endpoint()

    def answer(auth):
        key = auth.split(" ")[1]
        if key in ended:
            return 401, {}, b""
        info = endpoint.info(cid=1 if key == "one" else 2)
        del info["id"]
        return 200, {"Content-Type": "application/json"}, json.dumps({"result": [info]}).encode()

    endpoint.answer = answer
    pair = Pair(tmp_path / "pair", endpoint, config="auth_cache = 1s\nauth_poll = 1s\n").start()
    pair.ended = ended
    yield pair
    pair.check_alive()
    pair.stop()
    endpoint.close()


def test_I05_a_token_without_id_that_ends_takes_nobody_along(nameless):
    with open_client(nameless.port, "two") as other:
        other.subscribe("news")
        one = open_client(nameless.port, "one", version=5)
        nameless.ended.add("one")
        assert [p.code for p in one.closed(8) if p.kind == DISCONNECT] == [0x87]
        other.sync()
        other.publish("news", "still here")
        assert other.expect(PUBLISH).payload == b"still here"
    assert "link-down" not in nameless.log("proxy")
    assert "link-nonsense" not in nameless.log("core")


# ---- I06: the trusted local socket ----

def local(stack, version, client_id="local"):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(stack.ready["core"])
    c = Raw(0, version, sock=s)
    assert c.connect(client_id).code == 0
    return c


@V
def test_I06_empty_filters_and_topics_end_nothing_but_their_own_connection(shipped, version):
    customer = shipped.new_customer()
    p = b"\0" if version == 5 else b""
    with open_client(shipped.port, customer.token()) as neighbour:
        neighbour.subscribe("news")
        with local(shipped, version) as c:
            assert c.send(packet(SUBSCRIBE, b"\0\1" + p + b"\0\0\0", 2)).expect(SUBACK).codes == [0x8F if version == 5 else 0x80]
            c.send(packet(UNSUBSCRIBE, b"\0\2" + p + b"\0\0", 2))
            if version == 5:
                c.expect(UNSUBACK)
            else:
                c.closed()
        with local(shipped, version) as c:
            c.send(packet(PUBLISH, b"\0\0\0\1" + p, 2)).closed()
        neighbour.sync()
        neighbour.publish("news", "still here")
        assert neighbour.expect(PUBLISH).payload == b"still here"
    shipped.check_alive()


# ---- I41: what a compromised worker may say ----

class Worker:
    """A link to home 0, as a worker of mbus-proxy has one."""

    def __init__(self, stack, may):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(os.path.join(os.path.dirname(stack.ready["core"]), "link-0.sock"))
        self.say(1, 0, b"MBUS" + struct.pack("<HHHHIH", 1, 7, 0, 0, may, 4) + b"evil")

    def say(self, kind, flags, body=b""):
        self.sock.sendall(struct.pack("<IBBHI", 12 + len(body), kind, flags, 0, 0) + body)

    def publish(self, topic, payload=b"{}", flags=1):
        self.say(20, flags, struct.pack("<H", 7 if flags & 3 else 0) + struct.pack("<IIII", 0xFFFFFFFF, len(topic), 0, 0) + topic.encode() + payload)

    def subscribe(self, inner):
        inner = inner.encode()
        self.say(30, 0, struct.pack("<HHI", 1, 1, 0) + struct.pack("<BBHH", 0, 0, 1, 1) + b"x" + struct.pack("<BI", 1, len(inner)) + inner)

    def heard(self):
        """The types of frames until it is closed, or until its PING is answered."""
        kinds, rest = [], b""
        try:
            self.say(2, 0)
        except OSError:
            pass
        while 3 not in kinds:
            try:
                more = self.sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                return kinds + ["closed"]
            rest += more
            while len(rest) >= 12 and len(rest) >= struct.unpack("<I", rest[:4])[0]:
                kinds.append(rest[4])
                rest = rest[struct.unpack("<I", rest[:4])[0]:]
        return kinds

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


ALL = 7


def test_I41_a_worker_cannot_pose_as_admin_nor_publish_as_a_customer(shipped):
    customer = shipped.new_customer()
    token = customer.token()
    revoked = json.dumps({"id": token.id, "cid": customer.cid, "deleted": True}).encode()
    with open_client(shipped.port, token) as victim:
        victim.subscribe("#")
        for topic in ("mbus/token/%d/%d" % (customer.cid, token.id), "mbus/customer/%d" % customer.cid, "mbus/all", "customer/%d/orders" % customer.cid,
                      "customer/%d/flespi/logs" % customer.cid):
            with Worker(shipped, ALL) as w:
                w.publish(topic, revoked)
                assert w.heard()[-1] == "closed", topic
        victim.sync()
        victim.publish("news", "still here")
        assert [p.topic for p in victim.sync()] == ["news"]
    with Worker(shipped, ALL) as w:
        w.publish("customer/%d/flespi/log/mqtt/x" % customer.cid)
        assert "closed" not in w.heard()


def test_I41_a_worker_hears_no_customer_on_channel_0(shipped):
    for inner in ("#", "customer/1/#", "+/#"):
        with Worker(shipped, ALL) as w:
            w.subscribe(inner)
            assert w.heard()[-1] == "closed"
    with Worker(shipped, ALL) as w:
        w.subscribe("mbus/#")
        assert "closed" not in w.heard()


def test_I41_a_link_does_what_its_hello_states_and_nothing_else(shipped):
    for may, closed in ((ALL, False), (ALL & ~4, True), (0, True)):
        with Worker(shipped, may) as w:
            w.say(50, 0, struct.pack("<QQH", 987654321, 5, 0))
            assert ("closed" in w.heard()) == closed


# ---- I42: a local service that is not mbus-admin ----

@pytest.fixture(scope="module")
def service(tmp_path_factory):
    s = Stack(tmp_path_factory.mktemp("service"), config="[core]\ntrusted_uids = 65534\n[proxy]\nworkers = 1\n")
    s.start()
    yield s
    s.check_alive()
    s.stop()


def as_nobody(path, data):
    """What a process of user nobody gets for a packet at the trusted socket: [kind, code]."""
    os.chmod(path, 0o666)
    way = os.open(path, os.O_PATH)  # its folder is closed to nobody, who was given the socket
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(10)
            s.connect("/proc/self/fd/%d" % way)
            c = Raw(0, 5, sock=s)
            assert c.connect("nobody").code == 0
            p = c.send(data).read(10)
            os.write(w, json.dumps([p.kind, p.code]).encode())
        finally:
            os._exit(0)
    os.close(w)
    os.close(way)
    os.waitpid(child, 0)
    with os.fdopen(r) as f:
        return json.loads(f.read())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_I42_changes_of_tokens_are_taken_from_admin_only(service):
    customer = service.new_customer()
    token = customer.token()
    revoked = json.dumps({"id": token.id, "cid": customer.cid, "deleted": True})
    with open_client(service.port, token) as victim:
        for topic in ("mbus/token/%d/%d" % (customer.cid, token.id), "mbus/all"):
            assert as_nobody(service.ready["core"], publish(topic, revoked, qos=1, version=5)) == [DISCONNECT, 0x87]
        assert as_nobody(service.ready["core"], publish("customer/%d/x" % customer.cid, "x", qos=1, version=5))[0] == PUBACK
        victim.sync()
    # mbus-admin itself is heard as before
    with open_client(service.port, token, version=5) as victim:
        customer.delete_token(token)
        wait_for(lambda: any(p.kind == DISCONNECT for p in victim.closed(8)))


# ---- I44: a weaker token takes a session over ----

def test_I44_a_weaker_token_is_not_told_what_a_stronger_one_was_subscribed_to(shipped):
    customer = shipped.new_customer()
    strong, weak = customer.token(), customer.acl(("pub/#", "subscribe"))
    kept = (0x11, 3600)
    with open_client(shipped.port, strong, "shared", 5, properties=[kept]) as c:
        assert c.subscribe("secret/plans", "pub/+", "#", "$share/g/secret/x") == [0, 0, 0, 0]
    with Raw(shipped.port, 5) as c:
        told = c.connect("shared", weak, clean=False, properties=[kept])
        assert told.code == 0
        assert sorted(s["topic"] for s in json.loads(dict(told.user)["subscriptions"])) == ["#", "pub/+"]
        with open_client(shipped.port, strong) as w:
            w.publish("secret/plans", "x").publish("pub/a", "y")
            w.sync()
        assert {p.topic for p in c.sync()} == {"pub/a"}


# ---- I48: and what it may not receive is no subscription of the session any more ----

KEPT = [(0x11, 3600)]


def resumed(stack, token, client_id="shared"):
    """A connection that goes on with the session, and the filters that CONNACK tells it."""
    c = Raw(stack.port, 5)
    told = c.connect(client_id, token, clean=False, properties=KEPT)
    assert told.code == 0 and told.present
    return c, sorted(s["topic"] for s in json.loads(dict(told.user)["subscriptions"]))


@V
def test_I48_what_a_weaker_token_may_not_receive_is_gone_when_the_stronger_one_comes_back(shipped, version):
    customer = shipped.new_customer()
    strong, weak = customer.token(), customer.acl(("pub/#", "subscribe"))
    with open_client(shipped.port, strong, "shared", 5, properties=KEPT) as c:
        assert c.subscribe(("secret/plans", 1), ("pub/+", 1), ("#", 1), ("$share/g/secret/x", 1)) == [1, 1, 1, 1]
    with open_client(shipped.port, customer.token({"type": 1}), "watch", 5) as watch, open_client(shipped.port, strong, "w") as w:
        watch.subscribe("flespi/log/mqtt/sessions/shared/unsubscribed")
        w.publish("secret/plans", "waits", qos=1, pid=1)
        w.sync()
        with Raw(shipped.port, version) as c:
            more = {"properties": KEPT} if version == 5 else {}
            assert c.connect("shared", weak, clean=False, **more).code == 0
            c.sync()
            ended = {json.loads(watch.expect(PUBLISH).payload)["topic"] for _ in range(2)}
            assert ended == {"secret/plans", "$share/g/secret/x"}
        c, told = resumed(shipped, strong)
        with c:
            assert told == ["#", "pub/+"]
            w.publish("secret/plans", "x", qos=1, pid=2)
            w.sync()
            assert [p.payload for p in c.sync() if p.kind == PUBLISH] == [b"x"]  # by "#", and nothing that waited
            assert c.subscribe("secret/plans") == [0]


def test_I48_it_is_gone_too_when_the_stronger_one_is_connected(shipped):
    customer = shipped.new_customer()
    strong, weak = customer.token(), customer.acl(("pub/#", "subscribe"))
    with open_client(shipped.port, strong, "shared", 5, properties=KEPT) as first:
        assert first.subscribe("secret/plans", "pub/+") == [0, 0]
        c, told = resumed(shipped, weak)
        with c:
            assert told == ["pub/+"]
            c.sync()
            c, told = resumed(shipped, strong)
            assert told == ["pub/+"]
            c.close()


def test_I48_the_same_token_has_its_filters_back_when_it_may_receive_them_again(shipped):
    """A list that was wrong for a minute costs no device its subscriptions: only another token's are dropped."""
    customer = shipped.new_customer()
    token = customer.acl(("a/#", "subscribe"), ("b/#", "subscribe"))
    with open_client(shipped.port, token, "dev", 5, properties=KEPT) as c:
        assert c.subscribe("a/1", "b/1") == [0, 0]
    customer.change_token(token, access={"type": 2, "acl": [{"uri": "mqtt", "topic": "b/#", "actions": ["subscribe"]}]})

    def told():
        c, filters = resumed(shipped, token, "dev")
        c.sync()
        c.close()
        return filters
    wait_for(lambda: told() == ["b/1"], 10, 0.2)
    customer.change_token(token, access={"type": 2, "acl": [{"uri": "mqtt", "topic": t, "actions": ["subscribe"]} for t in ("a/#", "b/#")]})
    wait_for(lambda: told() == ["a/1", "b/1"], 10, 0.2)


# ---- I49: a token that is bound to client ids of its own ----

@V
def test_I49_a_token_bound_to_other_ids_costs_a_client_nothing(shipped, version):
    customer = shipped.new_customer()
    token, bound = customer.token(), customer.token(client_ids=["lamp-*"])
    no = 0x85 if version == 5 else 2
    with open_client(shipped.port, token, "boss", 5, properties=KEPT) as boss:
        boss.subscribe("news")
        for i in range(30):    # more often than one id may connect
            with Raw(shipped.port, version) as c:
                assert c.connect("boss", bound, clean=i % 2 == 0, will=("news", "forged", 1, True)).code == no
                assert c.closed() == []
        for near in ("lamp", "boss\u00e9", "Lamp-1", " lamp-1"):
            with Raw(shipped.port, version) as c:
                assert c.connect(near, bound).code == no
        with open_client(shipped.port, bound, "lamp-1", version) as lamp:
            lamp.publish("news", "its own").sync()
        assert [p.payload for p in boss.sync() if p.kind == PUBLISH] == [b"its own"]
    c, told = resumed(shipped, token, "boss")
    assert told == ["news"]
    c.close()
