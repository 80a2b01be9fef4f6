"""Clients that nobody here wrote, on all four doors: with the authority they are served, without it they refuse us. And who else stands at a door."""
import os
import socket
import stat
import subprocess

import pytest
from clients import MosquittoSub, MqttJs, Paho, mosquitto_pub
from doors import connect_door, read_all
from stack import BUILD, ROOT, SLOW


@pytest.mark.parametrize("version", [3, 4, 5])
def test_every_client_hears_every_other(stack, customer, version):
    token = customer.token()
    with Paho(stack.port, token, "paho", version) as p, MqttJs(stack.port, token, "js", version) as j, \
            MosquittoSub(stack.port, token, "to/#", version=version, qos=1) as m:
        p.subscribe("to/#", 1)
        j.subscribe("to/#", 1)
        p.publish("to/a", "from paho", qos=1)
        j.publish("to/b", "from js", qos=1)
        assert mosquitto_pub(stack.port, token, "to/c", "from mosquitto", version, qos=1)[0] == 0
        want = {("to/a", b"from paho"), ("to/b", b"from js"), ("to/c", b"from mosquitto")}
        assert {(t, body) for t, body, *_ in p.take(3)} == want
        assert {(x["topic"], x["payload"].encode()) for x in (j.message() for _ in range(3))} == want
        for topic, body in want:
            m.expect("%s %s" % (topic, body.decode()))


def test_large_messages_pass_in_both_directions(stack, customer):
    token, body = customer.token(), os.urandom(60000).hex()
    with Paho(stack.port, token, "paho", 5) as p, MqttJs(stack.port, token, "js", 5) as j:
        p.subscribe("big", 1)
        j.publish("big", body, qos=1)
        assert p.get()[1] == body.encode()
        j.subscribe("back", 1)
        for i in range(20):
            p.publish("back", body + str(i), qos=1, wait=False)
        assert [j.message()["payload"] for _ in range(20)] == [body + str(i) for i in range(20)]


def test_every_door_answers_on_both_families(stack):
    both = os.path.exists("/proc/net/if_inet6") and open("/proc/net/if_inet6").read()
    for host in ("127.0.0.1", "::1") if both else ("127.0.0.1",):
        connect_door(stack.port, host).close()


@pytest.mark.one_door("files")
def test_the_throwaway_keys_are_private_and_kept(stack):
    folder = os.path.join(stack.state, "tls")
    before = {}
    for name in ("ca.pem", "ca.key", "server.pem", "server.key"):
        path = os.path.join(folder, name)
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0
        with open(path) as f:
            before[name] = f.read()
    assert subprocess.run([os.path.join(ROOT, "scripts", "certs"), folder], capture_output=True, timeout=60).returncode == 0
    for name, text in before.items():
        with open(os.path.join(folder, name)) as f:
            assert f.read() == text
    said = subprocess.run(["openssl", "x509", "-in", os.path.join(folder, "server.pem"), "-noout", "-ext", "subjectAltName"], capture_output=True, text=True).stdout
    for name in ("DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"):
        assert name in said


def proxy_config(tmp_path, *lines):
    path = tmp_path / "mbus.conf"
    path.write_text("[proxy]\ncore_dir = %s\n%s\n" % (tmp_path, "\n".join(lines)))
    return str(path)


@pytest.mark.one_door("a configuration")
@pytest.mark.parametrize("lines,says", [
    (["mqtts = 127.0.0.1:0"], "tls_cert"), (["wss = 127.0.0.1:0"], "tls_cert"), (["mqtts = 127.0.0.1:0", "tls_cert = /nowhere", "tls_key = /nowhere"], "/nowhere"),
    (["mqtts = 127.0.0.1:0", "tls_cert = a, b", "tls_key = a"], "tls_"), (["ws = nonsense"], "nonsense"), (["mqtt ="], "no door"),
    (["ws = 127.0.0.1:0", "forwarded_from = 10.0.0.0/40"], "forwarded_from"), (["ws_path = mqtt"], "ws_path"), (["tls_client_crl = x"], "tls_client_ca")])
def test_a_wrong_door_stops_the_start_and_is_named(tmp_path, lines, says):
    r = subprocess.run([os.path.join(BUILD, "mbus-proxy"), "--config", proxy_config(tmp_path, *lines)], capture_output=True, text=True, timeout=20 * SLOW)
    assert r.returncode == 1 and says in r.stderr and len([x for x in r.stderr.splitlines() if "ERROR" in x]) == 1, r.stderr


@pytest.mark.one_door("opens doors of its own")
def test_several_addresses_of_a_kind(tmp_path):
    config = proxy_config(tmp_path, "mqtt = 127.0.0.1:0, 127.0.0.2:0", "ws = 127.0.0.1:0,127.0.0.3:0", "workers = 2")
    with subprocess.Popen([os.path.join(BUILD, "mbus-proxy"), "--config", config], stderr=subprocess.PIPE, text=True) as p:
        try:
            doors = []
            while len(doors) < 4:
                line = p.stderr.readline()
                assert line, "it ended"
                if "ev=listening" in line:
                    doors.append(dict(word.split("=", 1) for word in line.split() if "=" in word))
            assert [(d["kind"], d["host"]) for d in doors] == [("tcp", "127.0.0.1"), ("tcp", "127.0.0.2"), ("ws", "127.0.0.1"), ("ws", "127.0.0.3")]
            for d in doors:
                with socket.create_connection((d["host"], int(d["port"])), timeout=10 * SLOW) as s:
                    s.sendall(b"\0\0" if d["kind"] == "tcp" else b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert read_all(s)[:12] == (b"" if d["kind"] == "tcp" else b"HTTP/1.1 200")
        finally:
            p.terminate()
            p.stderr.read()
            assert p.wait(20 * SLOW) == 0
