"""Attack I28: what the core says of one client in two frames, to a proxy that has no time for both, beside a fan-out of one's own."""
import os
import re
import signal
import time

import pytest
from rawmqtt import CONNACK, PUBLISH, Closed, Raw, connect, open_client
from stack import Stack, wait_for

pytestmark = pytest.mark.one_door("no door has a part in it")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    s = Stack(tmp_path_factory.mktemp("order"), workers=1)
    s.start()
    yield s
    s.check_alive()
    s.stop()


class Slow:
    """The core takes nothing meanwhile, and then finds all at once; the proxy takes nothing of what the core says to it."""

    def __init__(self, stack):
        self.core, self.proxy = stack.ready["pids"]["core"], stack.ready["pids"]["proxy"]

    def __enter__(self):
        os.kill(self.core, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.proxy, signal.SIGSTOP)
        os.kill(self.core, signal.SIGCONT)
        time.sleep(0.5)
        os.kill(self.proxy, signal.SIGCONT)


def handovers(stack):
    before = stack.log("core").count("ev=numbers")
    os.kill(stack.ready["pids"]["core"], signal.SIGUSR2)
    wait_for(lambda: stack.log("core").count("ev=numbers") > before, 10)
    return int(([0] + re.findall(r" handovers=(\d+)", stack.log("core")))[-1])


@pytest.mark.parametrize("version", [4, 5])
def test_I28_two_clients_of_one_name_at_once_beside_a_fan_out_of_ones_own(own, version):
    """The end that the first of them is asked for came before its beginning, and the link of all customers was dropped."""
    a, b = own.new_customer(), own.new_customer()
    token, before = a.token(), handovers(own)
    with open_client(own.port, b.token(), "neighbour", version) as neighbour, open_client(own.port, token, "p", version) as p:
        neighbour.subscribe("t")
        crowd = [open_client(own.port, token, "s%d" % i, version) for i in range(40)]
        for c in crowd:
            c.subscribe("fan")
        for round in range(5):
            twins = [Raw(own.port, version) for _ in range(2)]
            with Slow(own):
                for i in range(20):
                    p.publish("fan", b"x" * 1000)
                    neighbour.publish("t", b"%d" % i)
                for c in twins:
                    c.send(connect("twin", token, version=version))
                    time.sleep(0.1)     # in this order
            assert [neighbour.expect(PUBLISH, 10).payload for _ in range(20)] == [b"%d" % i for i in range(20)]
            assert twins[1].expect(CONNACK, 10).code == 0
            twins[1].sync()
            try:
                twins[0].closed()
            except Closed:
                pass
            for c in twins:
                c.close()
            for c in crowd:
                assert len([x for x in c.settled() if x.kind == PUBLISH]) == 20
        for c in crowd:
            c.close()
    assert handovers(own) - before >= 5
    assert "ev=link-nonsense" not in own.log("proxy") and "ev=link-lost" not in own.log("proxy")
