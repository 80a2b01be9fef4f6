"""Doors that somebody else opened (LISTEN_FDS), and doors that are Unix sockets."""
import os
import signal
import socket
import stat
import subprocess

import pytest
from clients import MosquittoSub
from proxy import Proxy
from rawmqtt import Raw, connect, open_client
from stack import BUILD, SLOW, wait_for
from test_drain import Knocking


# ---- Socket activation ----

class Given:
    """What systemd does: listening sockets from descriptor 3 on, and three variables."""

    def __init__(self, sockets, names):
        self.sockets = sockets
        self.environment = dict(os.environ, LISTEN_FDS=str(len(sockets)))
        if names:
            self.environment["LISTEN_FDNAMES"] = ":".join(names)
        # only the new process knows its pid
        self.program = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"', os.path.join(BUILD, "mbus-proxy")]

    def preexec(self):
        high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(self.sockets)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)
            os.set_inheritable(3 + i, True)
            os.close(fd)

    def proxy(self, stack, folder, *lines):
        return Proxy(stack, folder, *lines, program=self.program, environment=self.environment, preexec=self.preexec)


def listening(host="127.0.0.1"):
    s = socket.socket()
    s.bind((host, 0))
    s.listen(1000)
    return s, s.getsockname()[1]


def test_sockets_with_the_name_of_a_kind_are_doors_of_that_kind(stack, customer, tmp_path):
    (a, pa), (b, pb), (c, pc) = listening(), listening("127.0.0.2"), listening()
    with a, b, c:
        given = Given([a, b, c], ["mqtt", "mqtt", "ws"])
        with given.proxy(stack, tmp_path, "mqtt = 127.0.0.1:1", "workers = 2") as p:
            assert [(d["kind"], d["host"], d["port"]) for d in p.listening()] == [
                ("tcp", "127.0.0.1", str(pa)), ("tcp", "127.0.0.2", str(pb)), ("ws", "127.0.0.1", str(pc))]
            token = customer.token()
            for i in range(20):             # both workers
                open_client(p.door("tcp"), token, "a%d" % i).close()
            Raw(pb, host="127.0.0.2").close()
            open_client(p.door("ws"), token, "web").close()


def test_sockets_without_a_known_name_are_found_by_their_address(stack, customer, tmp_path):
    a, pa = listening()
    with a, Given([a], ["mbus-proxy.socket"]).proxy(stack, tmp_path, "mqtt = 127.0.0.1:%d" % pa) as p:
        assert [d["port"] for d in p.listening()] == [str(pa)]
        open_client(p.port, customer.token()).close()


def test_a_socket_that_no_door_has_stops_the_start_and_is_named(stack, tmp_path):
    a, pa = listening()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    with a, udp:
        for sockets, word in (([a], "what"), ([udp], "does not listen")):
            p = Given(sockets, ["what"]).proxy(stack, tmp_path, "mqtt = 127.0.0.1:0")
            p.start(ready=False)
            assert p.ended() == 1 and word in p.log(), p.log()
            p.stop()


def test_variables_for_another_process_are_not_ours(stack, customer, tmp_path):
    p = Proxy(stack, tmp_path, environment=dict(os.environ, LISTEN_PID="1", LISTEN_FDS="5"))
    with p:
        open_client(p.port, customer.token()).close()


def test_with_systemd_socket_activate(stack, customer, tmp_path):
    path = tmp_path / "door.sock"
    p = Proxy(stack, tmp_path / "p", "mqtt =", "drain_deadline = 1s",
              program=["systemd-socket-activate", "--fdname=mqtt", "-l", str(path), os.path.join(BUILD, "mbus-proxy")])
    p.start(ready=False)
    try:
        wait_for(path.exists, 10)
        with MosquittoSub(None, None, "a/#", unix=str(path), extra=["-u", customer.token()]) as m:
            assert m.said
    finally:
        p.stop()


def test_while_a_parent_holds_the_sockets_a_restart_refuses_nobody(stack, customer, tmp_path):
    token = customer.token()
    a, pa = listening()
    with a:
        given = Given([a], ["mqtt"])
        knocking = Knocking(pa, token)
        try:
            for i in range(3):
                with given.proxy(stack, tmp_path / str(i), "drain_rate = 1000", "drain_deadline = 5s") as p:
                    knocking.reach(400 * (i + 1))
                    p.signal(signal.SIGTERM)
                    assert p.ended() == 0       # and for a moment nobody serves: they wait
            with given.proxy(stack, tmp_path / "last"):
                knocking.reach(1500)
                count = knocking.end()
        finally:
            knocking.stop.set()
    assert count >= 1500


# ---- Unix sockets ----

def over(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10 * SLOW)
    s.connect(str(path))
    return s


def test_a_door_may_be_a_unix_socket(stack, customer, tmp_path):
    path = tmp_path / "mqtt.sock"
    with Proxy(stack, tmp_path / "p", "mqtt = unix:%s, 127.0.0.1:0" % path, "unix_mode = 0600", "workers = 2", "connections_per_ip = 1") as p:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert [(d["host"]) for d in p.listening()] == [str(path), "127.0.0.1"]
        token = customer.token()
        with MosquittoSub(None, None, "a/#", unix=str(path), extra=["-u", token]) as m:
            r = subprocess.run(["mosquitto_pub", "--unix", str(path), "-u", token, "-t", "a/b", "-m", "hello", "-q", "1"], capture_output=True, timeout=30 * SLOW)
            assert r.returncode == 0, r.stderr
            m.expect("a/b hello")
        many = [Raw(None, sock=over(path)) for _ in range(5)]       # they have no address that could be over its limit
        for i, c in enumerate(many):
            assert c.connect("u%d" % i, token).code == 0
        wait_for(lambda: "ev=open" in p.log())
        for c in many:
            c.close()
        wait_for(lambda: "peer=local" in p.log(), 5)


def test_who_comes_over_a_unix_socket_is_in_no_list_of_addresses(stack, customer, tmp_path):
    """A token for certain addresses is no good there, unless somebody in front tells the address."""
    path = tmp_path / "mqtt.sock"
    token = customer.token(ips="192.0.2.7")
    with Proxy(stack, tmp_path / "p", "mqtt = unix:%s" % path):
        with Raw(None, sock=over(path)) as c:
            assert c.connect("c", token).code != 0
    with Proxy(stack, tmp_path / "q", "mqtt = unix:%s" % path, "proxy_protocol_from = unix") as p:
        for address, good in (("192.0.2.7", True), ("192.0.2.8", False)):
            s = over(path)
            s.sendall(b"PROXY TCP4 %s 10.0.0.1 1234 1883\r\n" % address.encode())
            with Raw(None, sock=s) as c:
                assert (c.connect("c", token).code == 0) == good
        wait_for(lambda: "peer=192.0.2.7" in p.log(), 5)
        with over(path) as s:                                      # the header is a must then
            s.sendall(connect("c", token))
            assert s.recv(10) == b""


def test_a_stale_socket_is_replaced_and_a_busy_one_is_not(stack, customer, tmp_path):
    path, token = tmp_path / "mqtt.sock", customer.token()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))                                          # nobody listens on it
    with Proxy(stack, tmp_path / "p", "mqtt = unix:%s" % path):
        with Raw(None, sock=over(path)) as c:
            assert c.connect("c", token).code == 0
        second = Proxy(stack, tmp_path / "q", "mqtt = unix:%s" % path)
        second.start(ready=False)
        assert second.ended() == 1 and "another program listens" in second.log()
        second.stop()


def test_unix_sockets_are_taken_over_too(stack, customer, tmp_path):
    path, token = tmp_path / "mqtt.sock", customer.token()
    lines = ["mqtt = unix:%s" % path, "takeover = %s" % (tmp_path / "next.sock")]
    with Proxy(stack, tmp_path / "p", *lines) as first, Proxy(stack, tmp_path / "q", *lines):
        assert first.ended() == 0
        with Raw(None, sock=over(path)) as c:
            assert c.connect("c", token).code == 0


@pytest.mark.parametrize("line,word", [("mqtt = unix:relative", "unix:/path"), ("mqtt = unix:/" + "x" * 120, "107"), ("unix_mode = 0999", "unix_mode"), ("unix_mode = 01777", "unix_mode")])
def test_a_wrong_unix_door_stops_the_start_and_is_named(stack, tmp_path, line, word):
    p = Proxy(stack, tmp_path, line)
    p.start(ready=False)
    assert p.ended() == 1 and word in p.log()
    p.stop()
