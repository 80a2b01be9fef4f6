"""haproxy in front: PROXY version 1 and 2, with TLS ended there or here, and WebSocket with X-Forwarded-For. The client's own address arrives everywhere."""
import json
import shutil
import socket
import subprocess

import pytest
from certs import Authority
from clients import MosquittoSub, MqttJs
from doors import Port
from proxy import Proxy
from stack import SLOW, wait_for

pytestmark = pytest.mark.one_door("haproxy in front: each test names its doors")

CLIENT = "127.0.0.5"        # where the client comes from; haproxy itself comes from 127.0.0.1
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"

CONFIG = """
global
    log stderr local0 notice
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen v1
    mode tcp
    bind %(v1)s
    server mbus 127.0.0.1:%(mqtt)d source 127.0.0.1 send-proxy
listen v2
    mode tcp
    bind %(v2)s
    server mbus 127.0.0.1:%(mqtt)d source 127.0.0.1 send-proxy-v2
listen tls
    mode tcp
    bind %(tls)s ssl crt %(pem)s ca-file %(ca)s verify optional
    server mbus 127.0.0.1:%(mqtt)d source 127.0.0.1 send-proxy-v2-ssl-cn proxy-v2-options authority
listen through
    mode tcp
    bind %(through)s
    server mbus 127.0.0.1:%(mqtts)d source 127.0.0.1 send-proxy-v2
listen web
    mode http
    bind %(wss)s ssl crt %(pem)s alpn http/1.1
    option forwardfor
    timeout tunnel 60s
    server mbus 127.0.0.1:%(ws)d source 127.0.0.1
listen socket
    mode tcp
    bind %(socket)s
    server mbus unix@%(unix)s send-proxy-v2
"""
NAMES = ("v1", "v2", "tls", "through", "wss", "socket")


class Haproxy:
    """haproxy on ports of its own choice: it gets listening sockets by descriptor."""

    def __init__(self, folder, **values):
        self.sockets = {}
        for name in NAMES:
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            self.sockets[name] = s
            values[name] = "fd@%d" % s.fileno()
        path = folder / "haproxy.cfg"
        path.write_text(CONFIG % values)
        self.log = open(folder / "haproxy.log", "w+")
        self.process = subprocess.Popen([HAPROXY, "-db", "-f", str(path)], stdout=self.log, stderr=subprocess.STDOUT, pass_fds=[s.fileno() for s in self.sockets.values()])
        for name in NAMES:
            wait_for(lambda: self.listens(name), 10)

    def listens(self, name):
        assert self.process.poll() is None, self.said()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port(name))) == 0

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def port(self, name):
        return self.sockets[name].getsockname()[1]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        for s in self.sockets.values():
            s.close()
        self.log.close()


@pytest.fixture(scope="module")
def front(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    ca = Authority(folder)
    cert, key = ca.issue("front")
    pem = folder / "front.pem"
    pem.write_text(open(cert).read() + open(key).read())
    unix = folder / "door.sock"
    server = ("tls_cert = %s/tls/server.pem" % stack.state, "tls_key = %s/tls/server.key" % stack.state)
    behind = Proxy(stack, folder / "lines", "mqtt = 127.0.0.1:0, unix:%s" % unix, "mqtts = 127.0.0.1:0", "proxy_protocol_from = 127.0.0.1, unix", *server).start()
    web = Proxy(stack, folder / "web", "mqtt =", "ws = 127.0.0.1:0", "forwarded_from = 127.0.0.1").start()
    h = Haproxy(folder, pem=pem, ca=ca.pem, mqtt=int(behind.door("tcp")), mqtts=int(behind.door("tls")), ws=int(web.door("ws")), unix=unix)
    h.behind, h.web, h.ca = behind, web, ca
    yield h
    h.stop()
    behind.stop()
    web.stop()


def subscriber(front, stack, name, token, client_id, *more):
    """mosquitto_sub through haproxy, from CLIENT."""
    p = Port(front.port(name))
    if name in ("tls", "through"):
        p.door, p.ca = "tls", front.ca.pem if name == "tls" else stack.ready["ca"]
    return MosquittoSub(p, token, "a/#", extra=["-A", CLIENT, "-i", client_id, *more])


def source_of(log, client_id):
    """Of the record that the customer's log has of this client's coming."""
    def record():
        for line in log.lines():
            topic, _, payload = line.partition(" ")
            if topic.endswith("/connected") and client_id in topic:
                return json.loads(payload)["source"]
        return None
    return wait_for(record, 10)


@pytest.mark.parametrize("name", ["v1", "v2", "tls", "through", "socket"])
def test_the_address_of_a_client_behind_haproxy_is_its_own(stack, customer, front, name):
    here, elsewhere = customer.token(ips=CLIENT), customer.token(ips="127.0.0.1")
    client = "c-" + name
    with MosquittoSub(stack.port, customer.master, "flespi/log/#") as log:
        with subscriber(front, stack, name, here, client) as m:
            assert source_of(log, client) == CLIENT
            with MqttJs(stack.port, customer.token(), "js") as js:
                js.publish("a/b", "through", qos=1)
            m.expect("a/b through")
    wait_for(lambda: "client=%s ev=close" % client in front.behind.log() and "peer=%s " % CLIENT in front.behind.log(), 5)
    # a token that may be used from where haproxy is may not be used by who stands behind it
    m = subscriber(front, stack, name, elsewhere, "no")
    try:
        wait_for(lambda: m.process.poll() is not None or any("Connection error" in x for x in m.said), 10)
        assert not any("SUBACK" in x for x in m.said), m.said
    finally:
        m.close()


def test_what_haproxy_says_of_tls_is_in_the_log(stack, customer, front):
    cert, key = front.ca.issue("lamp 7")
    with subscriber(front, stack, "tls", customer.token(certs="lamp ?"), "with-cert", "--cert", cert, "--key", key, "--insecure"):
        wait_for(lambda: "ev=fronted" in front.behind.log() and "cn=lamp\\x207 verified=1" in front.behind.log(), 5)
    with subscriber(front, stack, "tls", customer.token(), "without"):
        wait_for(lambda: " verified=0" in front.behind.log(), 5)
    line = [x for x in front.behind.log().splitlines() if "cn=lamp" in x][0]
    assert "tls=TLSv1.3" in line


def test_a_browser_library_through_haproxy_with_forwarded_for(stack, customer, front):
    p = Port(front.port("wss"))
    p.door, p.ca, p.ready = "wss", front.ca.pem, stack.ready
    with MosquittoSub(stack.port, customer.master, "flespi/log/#") as log:
        with MqttJs(p, customer.token(ips="127.0.0.1"), "web", version=5) as js:
            js.subscribe("a/#", 1)
            js.publish("a/b", "x" * 100000, qos=1)
            assert len(js.message()["payload"]) == 100000
            assert source_of(log, "web") == "127.0.0.1"
    # what the client claims itself is not believed: haproxy's word comes last
    for claimed in ("192.0.2.1", "192.0.2.1, 192.0.2.2"):
        r = subprocess.run(["curl", "-sk", "--max-time", str(10 * SLOW), "--interface", CLIENT, "-H", "X-Forwarded-For: " + claimed, "-H", "Connection: Upgrade", "-H",
                            "Upgrade: nothing", "-o", "/dev/null", "-w", "%{http_code}", "https://127.0.0.1:%d/" % front.port("wss")], capture_output=True, text=True)
        assert r.stdout.startswith(("2", "4")), r
    assert "192.0.2" not in front.web.log()


def test_who_comes_past_haproxy_without_its_header_is_closed(stack, customer, front):
    from rawmqtt import connect
    for door in ("tcp", "tls"):
        with socket.create_connection(("127.0.0.1", int(front.behind.door(door))), timeout=10 * SLOW) as s:
            s.sendall(connect("c", customer.token()))
            assert s.recv(100) == b""
