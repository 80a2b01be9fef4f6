"""Large payloads with clients that nobody here wrote, in both versions: below the default limit of a packet, and above it where it was raised."""
import hashlib
import random
import subprocess

import pytest
from clients import VERSIONS, mosquitto_at, mosquitto_pub
from interop import Made, Other, each
from stack import SLOW, Stack


@pytest.fixture
def made(customer):
    with Made(customer) as m:
        yield m


def text_of(size):
    return "%x" % random.getrandbits(size * 4)


def large(stack, made, name, version, size):
    body = text_of(size)
    other = Other(stack, made.token, "large", "ask")
    if name == "mosquitto_rr":
        asked = body[:100000]    # an argument of a program cannot be longer than 128 KiB
        rr = made(name, stack.port, version, "rr").open(request=asked, qos=1)
        assert other.message(30).payload.decode() == asked
        other.publish("answer", body)
        assert rr.message(30) == ("answer", body)
        return
    c = made(name, stack.port, version, "large").open(topic="back", qos=1)
    c.publish("large", body, qos=1)
    assert hashlib.sha256(other.message(30).payload).digest() == hashlib.sha256(body.encode()).digest()
    other.publish("back", body)
    assert c.message(30) == ("back", body)


@each
def test_200_kib_pass_both_ways(stack, customer, made, name, version):
    large(stack, made, name, version, 200 << 10)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A stack whose packets may be 4 MiB."""
    s = Stack(tmp_path_factory.mktemp("wide"), config="[proxy]\npacket_max = 4m\nout_high = 8m\n")
    s.start()
    yield s
    s.stop()


@each
def test_2_mib_pass_both_ways_where_packets_may_be_so_large(wide, name, version):
    with Made(wide.new_customer()) as made:
        large(wide, made, name, version, 2 << 20)


@pytest.mark.parametrize("version", [4, 5])
def test_more_than_a_packet_may_hold_does_not_pass_from_mosquitto_pub(stack, customer, version):
    token = customer.token()
    other = Other(stack, token, "large")
    mosquitto_pub(stack.port, token, "large", "x" * 120000, version, 1)
    assert len(other.message().payload) == 120000
    r = subprocess.run(["mosquitto_pub", *mosquitto_at(stack.port), "-u", token, "-V", VERSIONS[version], "-t", "large", "-q", "1", "-s"],
                       input=text_of(300 << 10), capture_output=True, text=True, timeout=30 * SLOW)
    assert other.rest() == [] and (r.returncode or version == 5)    # with MQTT 5 it knows our limit, and says nothing at all
