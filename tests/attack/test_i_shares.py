"""Attacks I31 to I33: what one address, or the connections of one customer, may have of the way to the endpoint, and of memory."""
import socket
import time

import pytest
from doors import dial
from endpoint import Endpoint, Pair
from rawmqtt import AUTH, CONNACK, DISCONNECT, PUBACK, PUBLISH, Closed, Raw, connect, open_client, packet, props, publish
from stack import Stack, wait_for

pytestmark = pytest.mark.one_door("no door has a part in it; one test opens its own")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- I31: one address asks about thousands of keys ----

@pytest.fixture
def slow(tmp_path):
    """A proxy that asks two questions at a time, of an endpoint that needs 50 ms for each; .behind: a door where a client says what its address is."""
    endpoint = Endpoint()

    def answer(auth):
        time.sleep(0.05)
        return endpoint.good(cid=7 if "victim" in auth else 5)
    endpoint.answer = answer
    behind = free_port()
    pair = Pair(tmp_path, endpoint, config="auth_parallel = 2\nauth_timeout = 30s\nauth_queue_per_ip = 60\n"
                "[listener behind]\naddress = 127.0.0.1:%d\nproxy_protocol_from = 127.0.0.1\n" % behind)
    pair.behind = behind
    pair.start()
    yield pair, endpoint
    pair.check_alive()
    pair.stop()
    endpoint.close()


def comes(port, address, key, version=5):
    c = Raw(None, version, sock=dial(port))
    return c.send(b"PROXY TCP4 %s 10.0.0.1 1 2\r\n" % address.encode() + connect("", key, version=version))


def asked_about(endpoint, word):
    return [i for i, (_, auth) in enumerate(endpoint.asked) if word in auth]


@pytest.mark.parametrize("version", [4, 5])
def test_I31_an_address_that_asks_about_many_keys_waits_behind_itself(slow, version):
    pair, endpoint = slow
    many = [comes(pair.behind, "192.0.2.7", "flood%d" % i, version) for i in range(200)]
    wait_for(lambda: len(endpoint.asked) >= 4, 10)
    with comes(pair.behind, "192.0.2.8", "victim", version) as c:
        before = len(endpoint.asked)
        assert c.expect(CONNACK, 20).code == 0
        # two were under way, and perhaps two more began until the CONNECT was there; 60 waited
        assert asked_about(endpoint, "victim")[0] - before <= 8
    answers = [x.expect(CONNACK, 20).code for x in many]
    assert answers.count(0x89 if version == 5 else 3) >= 100    # no more than 60 of it wait
    assert answers.count(0) >= 60
    for x in many:
        x.close()


# ---- I32: aliases of many connections ----

def test_I32_topic_aliases_are_charged_to_their_customer(tmp_path):
    one = Stack(tmp_path, config="[proxy]\nworkers = 1\nalias_bytes = 64k\n")
    one.start()
    try:
        greedy, modest = one.new_customer(), one.new_customer()
        token, other = greedy.token(), modest.token()
        long = ["%d/" % i + "x" * 3500 for i in range(16)]
        ended, clients = [], []
        for i in range(4):
            c = open_client(one.port, token, "g%d" % i, 5)
            clients.append(c)
            try:
                for alias, topic in enumerate(long, 1):
                    c.publish(topic, b"", qos=1, pid=alias, properties=((0x23, alias),))
                    assert c.read().kind == PUBACK
            except (AssertionError, Closed):
                ended.append(i)
        assert ended == [1, 2, 3]    # 16 of 3.5 KB fit, and no more
        with open_client(one.port, other, "m", 5) as m:
            for alias, topic in enumerate(long, 1):
                m.publish(topic, b"", qos=1, pid=alias, properties=((0x23, alias),)).expect(PUBACK)
        # what we set for a client is charged, too: it gets the whole topic then
        with open_client(one.port, token, "s", 5, properties=((0x22, 16),)) as s:
            s.subscribe("#")
            for topic in long[:4]:
                for _ in range(2):
                    clients[0].publish(topic, b"y", properties=())
                    assert s.expect(PUBLISH).topic == topic
        for c in clients:
            c.close()
        wait_for(lambda: one.log("proxy").count("ev=close") >= 6, 10)
        with open_client(one.port, token, "again", 5) as c:    # all of it was given back
            for alias, topic in enumerate(long, 1):
                c.publish(topic, b"", qos=1, pid=alias, properties=((0x23, alias),)).expect(PUBACK)
        one.check_alive()
    finally:
        one.stop()


# ---- I33: AUTH over many connections ----

def test_I33_auth_of_all_connections_of_a_customer_has_one_rate(tmp_path):
    one = Stack(tmp_path, config="[proxy]\nworkers = 1\nconnect_rate_per_customer = 3\ncontrol_rate = 1000\n")    # 30 at once
    one.start()

    def comes_with_method(token):
        method = ((0x15, "token"), (0x16, token))
        c = Raw(one.port, 5)
        assert c.send(connect("", None, version=5, properties=method)).expect(CONNACK).code == 0
        return c, packet(AUTH, b"\x19" + props(*method))
    try:
        clients = [comes_with_method(token) for token in [one.new_customer().token()] * 10]
        said, codes = 0, []
        for c, block in clients * 8:
            if c in [x for x, _ in codes]:
                continue
            c.send(block)
            p = c.read(10)
            said += p.kind == AUTH
            if p.kind == DISCONNECT:
                codes.append((c, p.code))
        assert 15 <= said < 60    # 20 at once, 3 a second; without a rate of the customer it is 80
        assert {code for _, code in codes} == {0x9F}
        other, block = comes_with_method(one.new_customer().token())
        assert other.send(block).read(10).kind == AUTH
        other.close()
        for c, _ in clients:
            c.close()
        one.check_alive()
    finally:
        one.stop()
