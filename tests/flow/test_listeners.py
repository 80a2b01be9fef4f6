"""Doors with settings of their own, doors that somebody else opened (LISTEN_FDS), and doors that are Unix sockets."""
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess

import doors
import pytest
from certs import Authority
from clients import MosquittoSub
from proxy import Proxy
from rawmqtt import Raw, connect, open_client
from stack import BUILD, SLOW, Stopwatch, wait_for
from test_drain import Knocking

pytestmark = pytest.mark.one_door("each test opens doors of its own")


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


@pytest.mark.parametrize("spelt", ["[0:0:0:0:0:0:0:1]", "[0::1]", "[::FFFF:127.0.0.1]"])
def test_an_address_may_be_spelt_in_any_way(stack, customer, tmp_path, spelt):
    """The system says ::1 of a socket, whatever the configuration says."""
    a = socket.socket(socket.AF_INET6)
    a.bind((spelt[1:-1], 0))
    a.listen()
    address, lines = "%s:%d" % (spelt, a.getsockname()[1]), ["takeover = %s" % (tmp_path / "next.sock")]
    with a, Given([a], ["what"]).proxy(stack, tmp_path / "0", "mqtt = " + address, *lines) as old:
        with Proxy(stack, tmp_path / "1", "mqtt = " + address, *lines) as new:
            assert old.ended() == 0
            with Raw(new.port, host=spelt[1:-1]) as c:
                assert c.connect("c", customer.token()).code == 0


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


# ---- Settings of their own ----

def test_listeners_of_one_kind_have_settings_of_their_own(stack, customer, tmp_path):
    """Two TLS doors with other certificates, one of them for clients with a certificate; two WebSocket doors with other paths and tokens; a PROXY door beside one without."""
    ca, clients, token = Authority(tmp_path, "a"), Authority(tmp_path, "clients"), customer.token()
    own, mine = ca.issue("own"), clients.issue("mine")
    p = Proxy(stack, tmp_path / "p", "mqtts = 127.0.0.1:0", "tls_cert = %s/tls/server.pem" % stack.state, "tls_key = %s/tls/server.key" % stack.state, "ws = 127.0.0.1:0",
              "connect_deadline = 60s",
              "[listener devices]", "kind = mqtts", "address = 127.0.0.1:0", "tls_cert = %s" % own[0], "tls_key = %s" % own[1], "tls_client_ca = %s" % clients.pem,
              "connections_per_ip = 2",
              "[listener site]", "kind = ws", "address = 127.0.0.1:0", "ws_path = /site", "ws_token_query = on", "connect_deadline = 300ms",
              "[listener behind]", "kind = mqtt", "address = 127.0.0.1:0", "proxy_protocol_from = 127.0.0.1")
    with p:
        at = {d.get("listener", d["kind"]): int(d["port"]) for d in p.listening()}
        assert set(at) == {"tcp", "tls", "ws", "devices", "site", "behind"}
        # certificates: of [proxy], and of the listener, which asks for the client's
        with doors.tls(doors.dial(at["tls"]), stack.ready["ca"]) as s:
            assert s.version() == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            doors.tls(doors.dial(at["devices"]), stack.ready["ca"])
        two = [doors.tls(doors.dial(at["devices"]), ca.pem, cert=mine) for _ in range(2)]
        with pytest.raises((ssl.SSLError, ConnectionResetError)):                               # no more of one address here, however few elsewhere
            doors.tls(doors.dial(at["devices"]), ca.pem, cert=mine)
        doors.tls(doors.dial(at["tls"]), stack.ready["ca"]).close()
        for i, s in enumerate(two):
            with Raw(None, sock=s) as c:
                assert c.connect("d%d" % i, token).code == 0
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            wait_for(lambda: shows_no_certificate(at["devices"], ca.pem, token), 10)
        # paths, tokens of the address, deadlines
        web = doors.WebSocket(doors.dial(at["site"]), path="/site?token=" + token)
        with Raw(None, sock=web) as c:
            assert c.connect("w").code == 0
        with pytest.raises(doors.Refused):
            doors.WebSocket(doors.dial(at["site"]), path="/other")
        with doors.dial(at["site"]) as s:
            watch = Stopwatch(stack)
            assert doors.read_all(s)[:12] in (b"", b"HTTP/1.1 408") and watch.seconds() < 5 * SLOW
        # who stands in front
        with doors.dial(at["behind"]) as s:
            s.sendall(b"PROXY TCP4 192.0.2.9 10.0.0.1 1 2\r\n" + connect("b", token))
            assert s.recv(4) == b"\x20\x02\0\0"
        with doors.dial(at["tcp"]) as s:
            s.sendall(b"PROXY TCP4 192.0.2.9 10.0.0.1 1 2\r\n" + connect("b", token))
            assert s.recv(4) == b""


def shows_no_certificate(port_number, ca, token):
    """TLS 1.3 tells it with the first answer; until then the places of those before may still be taken."""
    with doors.tls(doors.dial(port_number), ca) as s:
        s.sendall(connect("none", token))
        return s.recv(10)


def test_certificates_of_all_listeners_are_replaced_together_or_not_at_all(stack, tmp_path):
    ca = Authority(tmp_path, "a")
    pairs, live = [ca.issue("one"), ca.issue("two"), ca.issue("three")], [str(tmp_path / n) for n in ("a.pem", "a.key", "b.pem", "b.key")]

    def put(a, b):
        for source, target in zip(a + b, live):
            shutil.copy(source, target + ".new")
            os.replace(target + ".new", target)

    def names():
        found = []
        for d in p.listening():
            if d["kind"] == "tls":
                with doors.tls(doors.dial(int(d["port"])), ca.pem) as s:
                    found.append(dict(x[0] for x in s.getpeercert()["subject"])["commonName"])
        return found

    put(pairs[0], pairs[1])
    with Proxy(stack, tmp_path / "p", "mqtts = 127.0.0.1:0", "tls_cert = " + live[0], "tls_key = " + live[1],
               "[listener b]", "kind = mqtts", "address = 127.0.0.1:0", "tls_cert = " + live[2], "tls_key = " + live[3]) as p:
        assert names() == ["one", "two"]
        put(pairs[2], (pairs[2][0], pairs[0][1]))               # the second has a key that does not fit
        p.signal(signal.SIGHUP)
        wait_for(lambda: "ev=certificates-kept" in p.log(), 10)
        assert names() == ["one", "two"]
        put(pairs[2], pairs[2])
        wait_for(lambda: names() == ["three", "three"], 10)


def test_a_socket_with_the_name_of_a_listener_is_its_door(stack, customer, tmp_path):
    a, pa = listening()
    with a, Given([a], ["site"]).proxy(stack, tmp_path, "mqtt =", "[listener site]", "kind = ws", "address = 127.0.0.1:1", "ws_path = /site") as p:
        assert [(d["kind"], d["port"], d["listener"]) for d in p.listening()] == [("ws", str(pa), "site")]
        with Raw(None, sock=doors.WebSocket(doors.dial(pa), path="/site")) as c:
            assert c.connect("c", customer.token()).code == 0


def test_a_wrong_listener_stops_the_start_and_is_named(stack, tmp_path):
    for lines, word in ((["[listener x]", "kind = mqtt"], "[listener x]: address is missing"), (["[listener x]", "address = nonsense"], "nonsense"),
                        (["[listener x]", "address = 192.0.2.1:1"], "[listener x] address = 192.0.2.1:1"),
                        (["[listener x]", "address = 127.0.0.1:0", "forwarded_from = 10.0.0.0/40"], "forwarded_from")):
        p = Proxy(stack, tmp_path, *lines)
        p.start(ready=False)
        assert p.ended() == 1 and word in p.log(), p.log()
        p.stop()
