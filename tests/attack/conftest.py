"""The stacks of the R family (test_r_*.py): small numbers, so that a flood of a few hundred shows what a flood of a million would do. Each file has
its own, each test customers of its own."""
import shutil

import pytest
from certs import Authority
from stack import Stack

SMALL = """[proxy]
workers = 2
connect_deadline = 2s
packet_grace = 1s
write_deadline = 2s
connections_per_ip = 60
filters_per_subscribe = 8
subscriptions_max = 20
subscribe_rate = 20
receive_maximum = 10
rate_patience = 2s
[core]
customer_sessions = 20
retained_messages = 50
copies_max = 10
inbound_max = 20
will_rate = 2
"""
# link_high: so much may wait in the core for a proxy that has no CPU just now
FLAT = """[proxy]
workers = 2
subscribe_rate = 0
subscriptions_max = 10000
filters_per_subscribe = 200
[core]
subscriptions = 10000
link_high = 1m
"""
# as shipped, but that a flood of SUBSCRIBE is not slowed down
SHIPPED = """[proxy]
workers = 1
subscribe_rate = 0
"""
# For R04 and R11 alone: elsewhere who only listens must not be closed for it, and nothing be forgotten, however slow the machine is.
BRIEF = """[proxy]
workers = 1
keep_alive_max = 3s
[core]
inbound_max = 20
inbound_expiry = 1s
"""
RATES = """[proxy]
workers = 2
connect_rate_loopback = on
connect_rate_per_ip = 30
connect_rate_per_customer = 2
"""


def stack_of(tmp_path_factory, name, config):
    s = Stack(tmp_path_factory.mktemp(name), config=config)
    s.start()
    yield s
    s.check_alive()
    s.stop()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    yield from stack_of(tmp_path_factory, "small", SMALL)


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    yield from stack_of(tmp_path_factory, "flat", FLAT)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    yield from stack_of(tmp_path_factory, "shipped", SHIPPED)


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    yield from stack_of(tmp_path_factory, "rates", RATES)


@pytest.fixture(scope="module")
def brief(tmp_path_factory):
    yield from stack_of(tmp_path_factory, "brief", BRIEF)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A stack with an authority of its own, client certificates not asked for, and short deadlines."""
    folder = tmp_path_factory.mktemp("tls")
    ca = Authority(folder)
    live = [str(folder / "live.pem"), str(folder / "live.key")]
    s = Stack(folder / "state", "[proxy]\nconnect_deadline = 2s\n")
    s.ca, s.live, s.folder = ca, live, folder
    for source, target in zip(ca.issue("first"), live):
        shutil.copy(source, target)
    s.config += "tls_cert = %s\ntls_key = %s\n" % tuple(live)
    s.start()
    yield s
    s.stop()
