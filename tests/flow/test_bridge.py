"""A real mosquitto as a bridge, with its default settings but for address, user name and topics."""
import os
import shutil
import signal
import socket
import subprocess

import pytest
from clients import MosquittoSub, mosquitto_pub
from rawmqtt import PUBACK, PUBLISH, Raw, connect, open_client
from stack import wait_for

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
pytestmark = pytest.mark.one_door("a bridge speaks MQTT over TCP; what it says is the same on each door")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Bridge:
    def __init__(self, stack, token, folder, *lines):
        self.port = free_port()
        path = os.path.join(str(folder), "bridge.conf")
        with open(path, "w") as f:
            f.write("listener %d 127.0.0.1\nallow_anonymous true\nconnection up\naddress 127.0.0.1:%s\nremote_username %s\n%s\n" % (self.port, stack.port, token, "\n".join(lines)))
        self.log = open(os.path.join(str(folder), "bridge.log"), "w+")
        self.process = subprocess.Popen([MOSQUITTO, "-c", path, "-v"], stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.log.seek(0)
        print(self.log.read())      # pytest shows it with a failure
        self.log.close()


@pytest.mark.parametrize("version", [[], ["bridge_protocol_version mqttv31"]], ids=["default", "3.1"])
def test_a_mosquitto_bridge_connects_and_carries_both_ways(stack, customer, tmp_path, version):
    token = customer.token()
    with Bridge(stack, token, tmp_path, "topic # both 1", *version) as b, open_client(stack.port, token, "c") as c:
        c.subscribe("out/#")
        wait_for(lambda: stack.log("proxy").count("topic=$SYS/broker/connection/") and mosquitto_pub(b.port, "any", "out/first", "x", qos=1)[0] == 0 and c.expect(PUBLISH).payload == b"x")
        with MosquittoSub(b.port, "any", "#") as local:
            c.publish("in/a", "from here", qos=1, retain=True).expect(PUBACK)
            wait_for(lambda: "in/a from here" in local.lines())
            mosquitto_pub(b.port, "any", "out/b", "from there", qos=1)
            assert (lambda m: (m.topic, m.payload))(c.expect(PUBLISH)) == ("out/b", b"from there")
            c.sync()
            assert local.lines().count("out/b from there") == 1     # not back to where it came from
        with MosquittoSub(b.port, "any", "in/#") as late:
            wait_for(lambda: "in/a from here" in late.lines())      # RETAIN as published: the bridge has kept it
        c.publish("in/a", "", retain=True)


@pytest.mark.parametrize("version,name", [(3, "MQIsdp"), (4, "MQTT")])
def test_the_bridge_bit_means_no_local_and_retain_as_published(stack, customer, version, name):
    token = customer.token()
    with Raw(stack.port, version) as c, open_client(stack.port, token, "other") as other:
        c.send(connect("b", token, version=version, name=name, level=0x80 | version, will=("$SYS/broker/connection/b/state", "0", 1, True)))
        assert c.read().code == 0
        assert c.subscribe("t", "$share/g/s") == [0, 0]
        own = c.publish("t", "own").publish("s", "shared").sync()
        other.publish("t", "kept", qos=1, retain=True).sync()
        got = [(p.topic, p.payload, p.retain) for p in own + c.sync() if p.kind == PUBLISH]
        assert got == [("s", b"shared", False), ("t", b"kept", True)]
        other.publish("t", "", retain=True)
