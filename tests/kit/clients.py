"""Clients that nobody here wrote, behind one small face each: mosquitto_pub/sub, paho, MQTT.js."""
import json
import os
import queue
import ssl
import subprocess
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import doors
from stack import ROOT, SLOW, patience, wait_for


class Paho:
    """paho-mqtt 1.6.1. version 3 (MQTT 3.1), 4 (3.1.1), 5. Messages end in .messages as (topic, payload, qos, retain, properties)."""

    def __init__(self, port, token, client_id="", version=4, clean=True, will=None, expiry=0, connect=True, connect_properties=None):
        self.version = version
        more = {} if version == 5 else {"clean_session": clean}
        door = getattr(port, "door", "tcp")
        self.client = paho.Client(client_id, protocol=version, transport="websockets" if doors.is_ws(door) else "tcp", **more)
        if doors.is_tls(door):
            self.client.tls_set(port.ca, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.username_pw_set(token, "")
        if will:
            self.client.will_set(will[0], will[1], qos=will[2] if len(will) > 2 else 0, retain=will[3] if len(will) > 3 else False)
        self.messages = queue.Queue()
        self.code = None
        self.disconnected = threading.Event()
        self.disconnect_code = None
        self.connected = threading.Event()
        self.subscribed = {}
        self.published = set()
        self.properties = None
        self.present = None
        c = self.client
        c.on_message = lambda _c, _u, m: self.messages.put((m.topic, m.payload, m.qos, bool(m.retain), getattr(m, "properties", None)))
        c.on_publish = lambda _c, _u, mid: self.published.add(mid)
        if version == 5:
            c.on_connect = lambda _c, _u, flags, rc, p: self._connected(flags, rc.value if hasattr(rc, "value") else rc, p)
            c.on_subscribe = lambda _c, _u, mid, codes, p: self.subscribed.__setitem__(mid, [r.value for r in codes])
            c.on_disconnect = lambda _c, _u, rc, p=None: self._ended(rc.value if hasattr(rc, "value") else rc)
        else:
            c.on_connect = lambda _c, _u, flags, rc: self._connected(flags, rc, None)
            c.on_subscribe = lambda _c, _u, mid, codes: self.subscribed.__setitem__(mid, list(codes))
            c.on_disconnect = lambda _c, _u, rc: self._ended(rc)
        self.kw = {}
        if version == 5:
            p = Properties(PacketTypes.CONNECT)
            p.SessionExpiryInterval = expiry
            for k, v in (connect_properties or {}).items():
                setattr(p, k, v)
            self.kw = {"clean_start": clean, "properties": p}
        self.port = port
        if connect:
            self.connect()

    def _connected(self, flags, code, properties):
        self.code, self.properties, self.present = code, properties, flags.get("session present")
        self.connected.set()

    def _ended(self, code):
        self.disconnect_code = code
        self.disconnected.set()

    def connect(self, expect=0):
        self.client.connect("127.0.0.1", int(self.port), keepalive=30, **self.kw)
        self.client.loop_start()
        assert self.connected.wait(10 * SLOW), "no CONNACK"
        assert self.code == expect, "CONNACK %s" % self.code
        return self

    def subscribe(self, topic, qos=0, **more):
        rc, mid = self.client.subscribe(topic, qos, **more)
        assert rc == 0
        return wait_for(lambda: self.subscribed.get(mid), 10)

    def publish(self, topic, payload="", qos=0, retain=False, wait=True, properties=None):
        info = self.client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        if wait and qos:
            wait_for(lambda: info.mid in self.published, 10)
        return info

    def get(self, timeout=5.0):
        """The next message, or queue.Empty."""
        return self.messages.get(timeout=patience(timeout))

    def take(self, count, timeout=10.0):
        return [self.get(timeout) for _ in range(count)]

    def close(self, clean=True):
        if clean:
            self.client.disconnect()
        else:
            self.client._sock_close()  # as a cable that is cut
        self.client.loop_stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


VERSIONS = {3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}


def mosquitto_at(port):
    """Host, port and authority. libmosquitto 2.0 speaks no WebSocket."""
    port = doors.without_ws(port)
    return ["-h", "127.0.0.1", "-p", str(int(port))] + (["--cafile", port.ca] if doors.is_tls(getattr(port, "door", "tcp")) else [])


def mosquitto_pub(port, token, topic, payload, version=4, qos=0, retain=False, extra=()):
    r = subprocess.run(["mosquitto_pub"] + mosquitto_at(port) + ["-u", token, "-V", VERSIONS[version], "-t", topic, "-m", payload, "-q", str(qos)]
                       + (["-r"] if retain else []) + list(extra), capture_output=True, text=True, timeout=30 * SLOW)
    return r.returncode, r.stderr


class MosquittoSub:
    """mosquitto_sub -v in the background; lines "topic payload" in .lines()."""

    def __init__(self, port, token, *topics, version=4, qos=0, extra=(), unix=None):
        where = ["--unix", unix] if unix else mosquitto_at(port) + ["-u", token]
        command = ["stdbuf", "-oL", "mosquitto_sub"] + where + ["-V", VERSIONS[version], "-v", "-q", str(qos), "-d"]
        for t in topics:
            command += ["-t", t]
        self.process = subprocess.Popen(command + list(extra), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.said = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))

    def ready(self):
        wait_for(lambda: any("received SUBACK" in x or "Subscribed (mid" in x for x in self.said) or self.process.poll() is not None, 10)
        assert self.process.poll() is None, self.said
        return self

    def lines(self):
        noise = ("Client ", "Subscribed (mid", "Connection error", "Warning:", "Error:")
        return [x for x in self.said if not x.startswith(noise)]

    def expect(self, line, timeout=5):
        wait_for(lambda: line in self.lines(), timeout)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            # its handler of SIGTERM takes the library's mutexes (with -d, the log's), which the interrupted code may hold
            self.process.kill()
            self.process.wait(10)
        self.reader.join(5)

    def __enter__(self):
        try:
            return self.ready()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()


class MqttJs:
    """MQTT.js 5 from npm, driven line by line through tests/flow/mqttjs.mjs."""

    def start(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = queue.Queue()
        self.held = []
        threading.Thread(target=self._read, daemon=True).start()

    def __init__(self, port, token, client_id, version=4, clean=True, expiry=0, url=None, will=None, reconnect=0, properties=None):
        self.start(["node", os.path.join(ROOT, "tests", "flow", "mqttjs.mjs")])
        door, more = getattr(port, "door", "tcp"), {}
        if doors.is_tls(door):
            with open(port.ca) as f:
                more["ca"] = f.read()
        self.say(do="connect", url=url or "%s://127.0.0.1:%d%s" % (doors.KEYS[door], port, "/mqtt" if doors.is_ws(door) else ""), options={
            **more,
            "clientId": client_id, "username": token, "protocolVersion": version, "clean": clean, "reconnectPeriod": reconnect,
            "protocolId": "MQIsdp" if version == 3 else "MQTT",
            **({"will": will} if will else {}),
            **({"properties": {"sessionExpiryInterval": expiry, **(properties or {})}} if version == 5 else {})})
        self.first = self.wait("connect", "error", "close")

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def say(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def wait(self, *kinds, timeout=10):
        for e in self.held:
            if e["event"] in kinds:
                self.held.remove(e)
                return e
        while True:
            e = self.events.get(timeout=patience(timeout))
            if e["event"] in kinds:
                return e
            self.held.append(e)

    def subscribe(self, topic, qos=0):
        self.say(do="subscribe", topic=topic, options={"qos": qos})
        return self.wait("subscribed")

    def publish(self, topic, payload, qos=0, retain=False):
        self.say(do="publish", topic=topic, payload=payload, options={"qos": qos, "retain": retain})
        return self.wait("published")

    def message(self, timeout=10):
        return self.wait("message", timeout=timeout)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
