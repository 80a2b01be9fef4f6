"""Five clients that nobody here wrote behind one face, for tests/flow/test_interop*.py, and who stands on the other side. Each speaks to the
door that its port stands for (tests/kit/doors.py), over TLS with the authority.

open() connects, .present tells what CONNACK said of the session (None: the client does not tell); message() is the next
(topic, payload); cut() is a cable that breaks or a process that dies; visit() is open() and a goodbye. What a client cannot do, CANNOT says in words."""
import json
import os
import queue
import select
import subprocess
import threading

import doors
import pytest
from clients import MqttJs, Paho, VERSIONS, mosquitto_at
from rawmqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, ack, open_client
from stack import BUILD, SLOW, patience, wait_for

CANNOT = {
    ("mosquitto", "ws"): "libmosquitto 2.0 speaks no WebSocket",
    ("mosquitto_rr", "ws"): "libmosquitto 2.0 speaks no WebSocket",
    ("mosquitto", "qos2 out"): "mosquitto_pub ends with its connection: nobody is left to send the second half",
    ("mosquitto_rr", "qos2 out"): "mosquitto_rr ends with its connection: nobody is left to send the second half",
    ("mosquitto_rr", "qos2 in"): "mosquitto_rr ends with its connection: nobody is left to take the second half",
    ("mosquitto_rr", "shared"): "mosquitto_rr tells the filter that it listens to as Response Topic, and a shared one is no topic",
}


class Mosquitto:
    """mosquitto_sub in the background, mosquitto_pub once per message."""

    def __init__(self, port, token, version, name):
        self.base = mosquitto_at(port) + ["-u", token, "-V", VERSIONS[version]]
        self.version, self.name, self.process, self.present = version, name, None, None

    def open(self, clean=True, expiry=0, will=None, topic="unused", qos=0, again=False, visit=False):
        command = ["stdbuf", "-oL", "mosquitto_sub"] + self.base + ["-i", self.name, "-t", topic, "-q", str(qos), "-d", "-F", "%j"]
        command += [] if clean else ["-c"]
        command += ["-x", str(expiry)] if self.version == 5 and expiry else []
        command += ["--will-topic", will[0], "--will-payload", will[1], "--will-qos", "1"] if will else []
        command += ["-E"] if visit else []    # ends politely after SUBACK; SIGTERM in the middle of its work is a deadlock (2.0.11)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.messages, self.ready = queue.Queue(), threading.Event()
        self.said = []
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        assert self.ready.wait(10 * SLOW), self.said
        return self

    def _read(self, out):
        for line in out:
            if line.startswith("{"):
                m = json.loads(line)
                self.messages.put((m["topic"], m["payload"]))
            else:
                self.said.append(line)
                if "received SUBACK" in line:
                    self.ready.set()

    def message(self, timeout=10):
        return self.messages.get(timeout=patience(timeout))

    def publish(self, topic, payload, qos=1):
        r = subprocess.run(["mosquitto_pub"] + self.base + ["-t", topic, "-q", str(qos), "-s"], input=payload, capture_output=True, text=True, timeout=60 * SLOW)
        assert r.returncode == 0, r.stderr

    def cut(self):
        self.process.kill()
        self.process.wait(10)

    def visit(self, **more):
        assert self.open(**more, visit=True).process.wait(10 * SLOW) == 0, self.said

    def close(self):
        if self.process and self.process.poll() is None:
            self.cut()


class MosquittoRr:
    """mosquitto_rr: says one request, prints one answer, ends. Here every open() is a request to "ask", and message() the answer."""

    def __init__(self, port, token, version, name):
        self.base = Mosquitto(port, token, version, name).base
        self.version, self.name, self.process, self.present = version, name, None, None

    def open(self, clean=True, expiry=0, will=None, topic="answer", qos=0, request="?", again=False):
        # -m: with -s and -f it asks with nothing (2.0.11)
        command = ["mosquitto_rr"] + self.base + ["-i", self.name, "-t", "ask", "-e", topic, "-m", request, "-q", str(qos), "-F", "%j"]
        command += [] if clean else ["-c"]
        command += ["-x", str(expiry)] if self.version == 5 and expiry else []
        command += ["--will-topic", will[0], "--will-payload", will[1], "--will-qos", "1"] if will else []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self

    def message(self, timeout=10):
        """Its first line: if the answer comes before its own SUBACK it prints it, asks all the same, and waits for another (2.0.11)."""
        assert select.select([self.process.stdout], [], [], patience(timeout))[0], "no answer"
        m = json.loads(self.process.stdout.readline())
        return m["topic"], m["payload"]

    cut, close = Mosquitto.cut, Mosquitto.close


class PahoPython:
    def __init__(self, port, token, version, name):
        self.port, self.token, self.version, self.name, self.paho = port, token, version, name, None

    def open(self, clean=True, expiry=0, will=None, topic=None, qos=0, again=False):
        p = self.paho = Paho(self.port, self.token, self.name, self.version, clean, (will[0], will[1], 1) if will else None, expiry, connect=False)
        p.client.reconnect_delay_set(1, 1)
        p.connect()
        self.present = bool(p.present)
        if topic:
            p.subscribe(topic, qos)
        return self

    def message(self, timeout=10):
        topic, payload, *_ = self.paho.get(timeout)
        return topic, payload.decode()

    def publish(self, topic, payload, qos=1):
        info = self.paho.client.publish(topic, payload, qos)
        if qos:
            wait_for(lambda: info.mid in self.paho.published, 20)

    def cut(self):
        self.paho.client._thread_terminate = True
        self.paho.close(clean=False)

    def visit(self, **more):
        self.open(**more).paho.close()

    def close(self):
        if self.paho:
            self.paho.close()


class Lines:
    """A process that takes a JSON command a line and tells a JSON event a line: MQTT.js, and paho's C library."""

    def subscribe(self, topic, qos):
        self.driver.say(do="subscribe", topic=topic, **({"options": {"qos": qos}} if isinstance(self, Js) else {"qos": qos}))
        assert not self.driver.wait("subscribed")["error"]

    def message(self, timeout=10):
        m = self.driver.wait("message", timeout=timeout)
        return m["topic"], m["payload"]

    def publish(self, topic, payload, qos=1):
        self.driver.say(do="publish", topic=topic, payload=payload, **({"options": {"qos": qos}} if isinstance(self, Js) else {"qos": qos}))
        answer = self.driver.wait("published", timeout=30)
        # 0x92: it asked again for what was done; no error after a reconnect (MQTT5 3.6.2.1), but paho C tells it as one
        assert not answer["error"] or answer["code"] == 0x92, answer

    def cut(self):
        self.driver.process.kill()
        self.driver.process.wait(10)

    def visit(self, **more):
        self.open(**more)
        self.driver.say(do="end")
        self.driver.wait("ended")
        self.driver.close()

    def close(self):
        if self.driver:
            self.driver.close()


class Js(Lines):
    def __init__(self, port, token, version, name):
        self.port, self.token, self.version, self.name, self.driver = port, token, version, name, None

    def open(self, clean=True, expiry=0, will=None, topic=None, qos=0, again=False):
        self.driver = MqttJs(self.port, self.token, self.name, self.version, clean, expiry, reconnect=300 if again else 0,
                             will={"topic": will[0], "payload": will[1], "qos": 1, "retain": False} if will else None)
        assert self.driver.first["event"] == "connect", self.driver.first
        self.present = self.driver.first["present"]
        if topic:
            self.subscribe(topic, qos)
        return self


class PahoDriver(MqttJs):
    def __init__(self, url, **options):
        self.start([os.path.join(BUILD, "tests", "paho-client")])
        self.say(do="connect", url=url, **options)
        self.first = self.wait("connect", "error")


class PahoC(Lines):
    def __init__(self, port, token, version, name):
        door = getattr(port, "door", "tcp")
        self.ca = port.ca if doors.is_tls(door) else None
        self.url = "%s://localhost:%d%s" % ({"tls": "ssl"}.get(door, door), port, "/mqtt" if doors.is_ws(door) else "")
        self.token, self.version, self.name, self.driver = token, version, name, None

    def open(self, clean=True, expiry=0, will=None, topic=None, qos=0, again=False):
        more = {"will": {"topic": will[0], "payload": will[1], "qos": 1}} if will else {}
        self.driver = PahoDriver(self.url, id=self.name, token=self.token, version=self.version, clean=clean, expiry=expiry, ca=self.ca, **more)
        assert not self.driver.first.get("error"), self.driver.first
        self.present = self.driver.first["present"]
        if topic:
            self.subscribe(topic, qos)
        return self


CLIENTS = {"mosquitto": Mosquitto, "mosquitto_rr": MosquittoRr, "paho-python": PahoPython, "paho-c": PahoC, "mqttjs": Js}
CELLS = [pytest.param(name, version, id="%s-%s" % (name, {4: "3.1.1", 5: "5.0"}[version])) for name in CLIENTS for version in (4, 5)]
each = pytest.mark.parametrize("name,version", CELLS)


class Made(list):
    """Clients of one test; all are gone after it."""

    def __init__(self, customer):
        super().__init__()
        self.token = customer.token()

    def __call__(self, name, port, version, id):
        if doors.is_ws(getattr(port, "door", "tcp")):
            can(name, "ws")
        self.append(CLIENTS[name](port, self.token, version, id))
        return self[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for c in self:
            c.close()


def can(name, what):
    if (name, what) in CANNOT:
        pytest.skip(CANNOT[name, what])


class Other:
    """The other side: raw packets. Everything that comes is acknowledged."""

    def __init__(self, stack, token, *filters, id="other"):
        self.c = open_client(stack.port, token, id, 5)
        self.held = []
        if filters:
            self.c.subscribe(*((f, 2) for f in filters))

    def publish(self, topic, payload, qos=1, properties=()):
        self.c.publish(topic, payload, qos=qos, pid=77, properties=properties)
        assert self.c.expect(PUBACK if qos == 1 else PUBREC).code < 0x80
        if qos == 2:
            self.c.send(ack(PUBREL, 77))
            self.c.expect(PUBCOMP)

    def message(self, timeout=10):
        while not self.held:
            self._take(self.c.read(timeout))
        return self.held.pop(0)

    def rest(self):
        """What else has come by now."""
        for p in self.c.sync() + self.c.sync():
            self._take(p)
        return self.held

    def _take(self, p):
        if p.kind == PUBLISH:
            self.held.append(p)
            if p.qos:
                self.c.send(ack(PUBACK if p.qos == 1 else PUBREC, p.pid))
        else:
            assert p.kind == PUBREL, p
            self.c.send(ack(PUBCOMP, p.pid))
