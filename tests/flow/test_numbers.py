"""What mbus-proxy tells of itself while it runs: SIGUSR2 writes its counters, and how long its certificates are good for."""
import re
import signal
import time

import doors
import pytest
from certs import Authority
from proxy import Proxy
from rawmqtt import open_client
from stack import wait_for

pytestmark = pytest.mark.one_door("each test opens doors of its own")

DAY = 86400


def ends_in(days):
    """And a half: no second more or less counts."""
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + (days + 0.5) * DAY))


def lines(p, event):
    """The lines of this event as dictionaries."""
    return [dict(w.split("=", 1) for w in x.split() if "=" in w) for x in p.log().splitlines() if " ev=%s " % event in x]


def ask(p):
    """The numbers of now."""
    before = len(lines(p, "numbers"))
    p.signal(signal.SIGUSR2)
    wait_for(lambda: len(lines(p, "numbers")) > before, 5)
    return lines(p, "numbers")[before]


def about(seconds, days):
    return (days + 0.4) * DAY < int(seconds) <= (days + 0.5) * DAY


def test_the_numbers_of_all_workers_are_told_while_they_serve(stack, customer, tmp_path):
    token = customer.token()
    with Proxy(stack, tmp_path, "workers = 3") as p:
        first = ask(p)
        assert first["accepted"] == first["connacks"] == first["publishes_in"] == "0"
        clients = [open_client(p.port, token, "c%d" % i) for i in range(12)]
        for c in clients:
            c.publish("t", "m", qos=1)
            c.sync()
        second = ask(p)
        assert second["accepted"] == second["connacks"] == second["publishes_in"] == "12" and second["closed"] == "0"
        for c in clients:
            c.close()
        wait_for(lambda: ask(p)["closed"] == "12", 5, step=0.2)     # a place in the code writes 20 lines a second
        assert "certificate_seconds" not in second
        for _ in range(50):         # some of them while it ends
            p.signal(signal.SIGUSR2)
    assert lines(p, "end")[0].keys() == second.keys() - {"thread"}
    assert " ev=end " in p.log().splitlines()[-1]


def test_the_certificate_that_ends_first_is_a_number_and_a_warning(stack, tmp_path):
    ca = Authority(tmp_path)
    soon, later, fresh = (ca.issue(name, end=ends_in(days)) for name, days in (("soon", 3), ("later", 20), ("fresh", 40)))
    one, two = tmp_path / "one", tmp_path / "two"
    for link, pair in ((one, later), (two, soon)):
        point(link, pair)
    p = Proxy(stack, tmp_path / "p", "mqtts = 127.0.0.1:0", "tls_cert = %s.pem" % one, "tls_key = %s.key" % one,
              "[listener b]", "kind = mqtts", "address = 127.0.0.1:0", "tls_cert = %s.pem" % two, "tls_key = %s.key" % two)
    with p:
        told, warned = lines(p, "certificate"), lines(p, "certificate-ends")
        assert [(x["subject"], x["days"]) for x in told] == [("/CN=later", "20")] and "listener" not in told[0] and about(told[0]["seconds"], 20)
        assert [(x["subject"], x["days"], x["listener"]) for x in warned] == [("/CN=soon", "3", "b")] and about(warned[0]["seconds"], 3)
        assert about(ask(p)["certificate_seconds"], 3)
        assert len(lines(p, "certificate")) == len(lines(p, "certificate-ends")) == 2        # asked, each is told again

        # a fresher one, and the number is that of the other listener; nothing is warned of any more
        point(two, fresh)
        p.signal(signal.SIGHUP)
        wait_for(lambda: lines(p, "certificates-reloaded"), 10)
        assert about(ask(p)["certificate_seconds"], 20)
        assert len(lines(p, "certificate-ends")) == 2
        assert lines(p, "certificate")[-1]["listener"] == "b" and about(lines(p, "certificate")[-1]["seconds"], 40)

        # a set that is not taken leaves the number of what is in force
        point(two, (soon[0], fresh[1]))
        p.signal(signal.SIGHUP)
        wait_for(lambda: lines(p, "certificates-kept"), 10)
        assert about(ask(p)["certificate_seconds"], 20)
        assert re.fullmatch(r"TLSv1\.[23]", shake(p, ca))
    assert about(lines(p, "end")[0]["certificate_seconds"], 20)


def test_a_certificate_that_has_ended_is_less_than_nothing(stack, tmp_path):
    cert, key = Authority(tmp_path).issue("old", end=ends_in(-2))
    with Proxy(stack, tmp_path / "p", "mqtts = 127.0.0.1:0", "tls_cert = " + cert, "tls_key = " + key) as p:
        assert -1.6 * DAY < int(ask(p)["certificate_seconds"]) < -1.4 * DAY
        assert 'why="it has expired"' in p.log()


def point(link, pair):
    """link.pem and link.key are this pair from now on."""
    for ending, target in zip((".pem", ".key"), pair):
        path = link.with_suffix(ending)
        new = link.with_suffix(ending + ".new")
        new.symlink_to(target)
        new.replace(path)


def shake(p, ca):
    with doors.tls(doors.dial(int(p.listening()[1]["port"])), ca.pem) as s:
        return s.version()
