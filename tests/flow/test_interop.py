"""Clients that nobody here wrote, each in both versions, on each door that it speaks to, each with all that it can do: one test per cell of (client, version,
door) x (sessions, Wills, shared subscriptions); QoS 2 across a reconnect is in test_interop_qos2.py, large payloads in test_interop_large.py."""
import subprocess

import pytest
from clients import MqttJs, VERSIONS
from interop import Made, Other, PahoDriver, can, each
from stack import SLOW


@pytest.fixture
def made(customer):
    with Made(customer) as m:
        yield m


# ---- Sessions ----

@each
def test_a_session_gets_what_came_while_its_client_was_away(stack, customer, made, name, version):
    if name == "mosquitto_rr":    # its session: the request is said, the answer comes while it is away
        other = Other(stack, made.token, "ask")
        rr = made(name, stack.port, version, "durable").open(clean=False, expiry=300, qos=1)
        assert other.message().payload == b"?"
        rr.cut()
        other.publish("answer", "late")
        assert rr.open(clean=False, expiry=300, qos=1).message() == ("answer", "late")
        return
    c = made(name, stack.port, version, "durable")
    c.visit(clean=False, expiry=300, topic="q/#", qos=1)
    other = Other(stack, made.token)
    for i in range(20):
        other.publish("q/%d" % i, "m%d" % i, qos=1)
    c.open(clean=False, expiry=300, topic="q/#" if name == "mosquitto" else None, qos=1)
    assert c.present in (None, True)
    got = [c.message() for _ in range(20)]
    assert got == [("q/%d" % i, "m%d" % i) for i in range(20)]
    c.cut()
    other.publish("q/x", "after a cut", qos=1)
    c.open(clean=False, expiry=300, topic="q/#" if name == "mosquitto" else None, qos=1)
    m = c.message()
    while m in got:    # its acknowledgement may have been cut too
        m = c.message()
    assert m == ("q/x", "after a cut")


# ---- Wills ----

@each
def test_a_will_is_sent_for_who_is_cut_and_not_for_who_says_goodbye(stack, customer, made, name, version):
    other = Other(stack, made.token, "will/#", "ask")
    if name != "mosquitto_rr":    # 2.0.11 closes without a goodbye, so that its Will is always sent
        made(name, stack.port, version, "one").visit(will=("will/polite", "no"))
    c = made(name, stack.port, version, "two").open(will=("will/cut", "gone"))
    if name == "mosquitto_rr":
        assert other.message().topic == "ask"
    c.cut()
    m = other.message()
    assert (m.topic, m.payload, m.qos) == ("will/cut", b"gone", 1)
    assert other.rest() == []


# ---- Shared subscriptions ----

@each
def test_members_of_a_group_share_the_messages(stack, customer, made, name, version):
    can(name, "shared")
    members = [made(name, stack.port, version, "member%d" % i).open(topic="$share/group/s/#", qos=1) for i in range(2)]
    other = Other(stack, made.token)
    for i in range(20):
        other.publish("s/%d" % i, "m%d" % i)
    got = [[], []]
    while sum(map(len, got)) < 20:    # the turn goes round; who has the next one is nobody's promise
        for mine, c in zip(got, members):
            mine.append(c.message())
    assert sorted(got[0] + got[1]) == sorted(("s/%d" % i, "m%d" % i) for i in range(20))
    assert len(got[0]) == len(got[1]) == 10


# ---- Without the authority ----

@pytest.mark.one_door("TLS")
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("name", ["mosquitto", "paho-c", "mqttjs"])
def test_a_client_without_the_authority_does_not_trust_us(stack, customer, tmp_path, name, version):
    port, token = stack.ready["mqtts"], customer.token()
    if name == "mosquitto":
        r = subprocess.run(["mosquitto_pub", "-h", "localhost", "-p", str(port), "-u", token, "-V", VERSIONS[version], "-t", "t", "-m", "m", "--capath", str(tmp_path)],
                           capture_output=True, text=True, timeout=30 * SLOW)
        assert r.returncode != 0 and ("TLS" in r.stderr or "certificate" in r.stderr), r.stderr
    elif name == "paho-c":
        driver = PahoDriver("ssl://localhost:%d" % port, id="x", token=token, version=version, clean=True)
        assert driver.first["error"], driver.first
        driver.close()
    else:
        with MqttJs(port, token, "x", version, url="mqtts://localhost:%d" % port) as js:
            assert js.first["event"] == "error" and "cert" in js.first["text"], js.first
