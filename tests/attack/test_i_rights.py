"""Attacks I02, I05 and I06 of the attack table: one small input of one client, endpoint or local service that would have ended the connections of all others."""
import json

import pytest
from endpoint import Endpoint, Pair
from rawmqtt import DISCONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, open_client, packet
from resources import alive, ends

V = pytest.mark.parametrize("version", [4, 5])


def many(kind, version, count=65536):
    """The smallest packet of so many filters."""
    return packet(kind, b"\0\1" + (b"\0" if version == 5 else b"") + (b"\0\0\0" if kind == SUBSCRIBE else b"\0\0") * count, 2)


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
