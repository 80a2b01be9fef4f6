"""Limits of an address where several listeners have their own: who comes through one does not use up another's."""
import pytest
from doors import dial
from proxy import Proxy
from rawmqtt import CONNACK, Closed, Raw, connect

pytestmark = pytest.mark.one_door("each test opens doors of its own")


def listener(name, *lines):
    return ["[listener %s]" % name, "address = 127.0.0.1:0", *lines]


def ports(p):
    return {d.get("listener", d["kind"]): int(d["port"]) for d in p.listening()}


class Visitors:
    """Clients of one token from one address."""

    def __init__(self, token):
        self.token, self.all = token, []

    def come(self, port, before=b""):
        """Is one more let in at this door? It stays."""
        c = Raw(None, 5, sock=dial(port))
        self.all.append(c)
        try:
            c.send(before + connect("c%d" % len(self.all), self.token, version=5))
            return c.expect(CONNACK).code == 0
        except (Closed, OSError):
            return False

    def many(self, port, count, **more):
        return sum(self.come(port, **more) for _ in range(count))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for c in self.all:
            c.close()


@pytest.fixture
def visitors(customer):
    with Visitors(customer.token(limits={"mqtt_connects": -1})) as v:
        yield v


def test_a_listener_with_a_limit_of_its_own_counts_its_own(stack, visitors, tmp_path):
    with Proxy(stack, tmp_path, "connections_per_ip = 6", *listener("few", "connections_per_ip = 2"), *listener("more", "connections_per_ip = 4"), *listener("as_proxy")) as p:
        at = ports(p)
        assert visitors.many(at["tcp"], 5) == 5
        assert visitors.many(at["few"], 5) == 2
        assert visitors.many(at["more"], 5) == 4
        assert visitors.many(at["as_proxy"], 5) == 1        # one count with that of [proxy]: the sixth
        assert visitors.many(at["tcp"], 2) == 0


def test_all_doors_together_have_the_limit_of_all_connections(stack, visitors, tmp_path):
    with Proxy(stack, tmp_path, "connections_max = 7", *listener("own", "connections_per_ip = 5")) as p:
        at = ports(p)
        assert visitors.many(at["own"], 6) == 5
        assert visitors.many(at["tcp"], 6) == 2


def test_who_speaks_for_others_does_not_use_up_the_places_of_its_address(stack, visitors, tmp_path):
    with Proxy(stack, tmp_path, "connections_per_ip = 3", *listener("behind", "proxy_protocol_from = 127.0.0.1")) as p:
        at = ports(p)
        assert visitors.many(at["behind"], 5, before=b"PROXY UNKNOWN\r\n") == 5
        assert visitors.many(at["tcp"], 5) == 3
        assert visitors.many(at["behind"], 5, before=b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n") == 3


def test_a_listener_with_a_rate_of_its_own_has_a_bucket_of_its_own(stack, visitors, tmp_path):
    rates = "connect_rate_loopback = on", "connect_rate_per_ip = 2"
    with Proxy(stack, tmp_path, *rates, *listener("slow", "connect_rate_per_ip = 1"), *listener("as_proxy")) as p:
        at = ports(p)
        let_in = visitors.many(at["slow"], 15)
        assert 10 <= let_in < 15 or visitors.many(at["slow"], 200) < 200        # ten at once, then one a second
        assert visitors.many(at["tcp"], 3) == visitors.many(at["as_proxy"], 3) == 3
