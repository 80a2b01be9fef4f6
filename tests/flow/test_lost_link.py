"""A link to a home of the core is lost, with thousands of clients on it: clients of other homes go on meanwhile."""
import os
import select
import signal

import pytest
from rawmqtt import open_client
from stack import SLOW, Stack, wait_for

pytestmark = pytest.mark.one_door("the doors have no part in it")
CLIENTS = 2000


def readable(clients):
    poll = select.poll()
    for c in clients:
        poll.register(c.sock, select.POLLIN)
    return len(poll.poll(10))


def test_thousands_of_clients_of_a_lost_link_end_in_slices(tmp_path):
    one = Stack(tmp_path, config="[proxy]\nworkers = 1\n[core]\nhomes = 2\n")
    one.start()
    try:
        token = one.new_customer().token()
        clients = [open_client(one.port, token, "c%d" % i, 5) for i in range(CLIENTS)]
        one.longest_turn("proxy")
        os.kill(one.ready["pids"]["core"], signal.SIGKILL)
        wait_for(lambda: readable(clients) == CLIENTS, 30 * SLOW)
        wait_for(lambda: "ev=link-lost clients=%d" % CLIENTS in one.log("proxy"), 10)
        worked, step = one.longest_turn("proxy")
        print("longest turn: %d us of work (%s)" % (worked, step))
        assert worked < 6000 * SLOW, step    # it was 13000
        for c in clients:
            c.close()
    finally:
        one.stop()
