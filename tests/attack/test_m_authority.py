"""The token authority: where it listens, who is asked, and what customers learn of each other."""
import os
import random
import resource
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import pytest
from rawmqtt import CONNACK, Raw, connect, open_client
from sandbox import no_netlink
from stack import BUILD, SLOW, Stack, Stopwatch, free_offset, wait_for

pytestmark = pytest.mark.one_door("what mbus-admin does is the same behind each")


def listening(pid):
    """{(address, port)} of the TCP sockets on which this process listens, as the kernel says."""
    mine = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            mine.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            pass
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with open("/proc/%d/net/%s" % (pid, table)) as f:
            for row in f.readlines()[1:]:
                _, local, _, state, *_, inode = row.split()[:10]
                if state == "0A" and "socket:[%s]" % inode in mine:
                    raw = bytes.fromhex(local.split(":")[0])
                    raw = b"".join(raw[i:i + 4][::-1] for i in range(0, len(raw), 4))   # words in the byte order of the machine
                    found.add((socket.inet_ntop(family, raw), int(local.split(":")[1], 16)))
    return found


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Admin:
    """mbus-admin alone."""

    def __init__(self, folder, listen, preexec=None):
        self.said = str(folder / "log")
        with open(self.said, "w") as log:
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "mbus-admin"), "--dir", str(folder / "admin"), "--listen", listen, "--core", ""],
                stdout=log, stderr=subprocess.STDOUT, preexec_fn=preexec)

    def log(self):
        with open(self.said) as f:
            return f.read()

    def __enter__(self):
        wait_for(lambda: "ev=ready" in self.log() or self.process.poll() is not None, 20)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        assert "Sanitizer" not in self.log(), self.log()


@pytest.mark.parametrize("preexec", [None, no_netlink])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "0.0.0.0"])
def test_M30_the_rest_api_listens_on_the_configured_address_with_and_without_netlink(tmp_path, host, preexec):
    port = 9005 + free_offset()
    with Admin(tmp_path, "%s:%d" % (host, port), preexec) as admin:
        assert admin.process.poll() is None, admin.log()
        assert listening(admin.process.pid) == {(host, port)}
        with socket.create_connection(("127.0.0.1" if host == "0.0.0.0" else host, port), 5) as s:
            s.sendall(b"GET /auth/info HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("preexec", [None, no_netlink])
def test_M30_an_address_that_the_machine_does_not_have_ends_the_start(tmp_path, preexec):
    with Admin(tmp_path, "192.0.2.1:%d" % (9005 + free_offset()), preexec) as admin:
        assert admin.process.wait(20) == 1
        assert "this machine has no such address" in admin.log()
        assert "ev=ready" not in admin.log()


def test_M31_without_descriptors_nobody_is_accepted_and_nothing_spins_until_there_are_some(tmp_path):
    port = 9005 + free_offset()
    with Admin(tmp_path, "127.0.0.1:%d" % port) as admin:
        pid = admin.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir("/proc/%d/fd" % pid)), before[1]))
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.sendall(b"GET /auth/info HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: "ev=accept-paused" in admin.log())
            used = cpu_seconds(pid)
            s.settimeout(2)
            with pytest.raises(TimeoutError):
                s.recv(100)
            assert cpu_seconds(pid) - used < 0.5
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            s.settimeout(5)
            assert s.recv(100).startswith(b"HTTP/1.1 401 ")


# ---- Who takes the place of mbus-admin while it is away ----
SQUATTER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
port, path = int(sys.argv[1]), sys.argv[2]
listeners = []
t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind(("127.0.0.1", port)); listeners.append(t)
try:
    if os.path.exists(path):
        os.unlink(path)
    u = socket.socket(socket.AF_UNIX); u.bind(path); os.chmod(path, 0o777); listeners.append(u)
    print("has the path", flush=True)
except OSError as e:
    print("no path:", e, flush=True)
import selectors
s = selectors.DefaultSelector()
for l in listeners:
    l.listen(50); s.register(l, selectors.EVENT_READ)
print("squatting", flush=True)
body = b'{"result":[{"id":1,"cid":1,"enabled":true,"access":{"type":1}}]}'
while True:
    for k, _ in s.select():
        c, _ = k.fileobj.accept()
        c.settimeout(5)
        d = b""
        try:
            while b"\\r\\n\\r\\n" not in d:
                x = c.recv(4096)
                if not x:
                    break
                d += x
            if d:
                print("heard", len(d), flush=True)
            c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
        except OSError:
            pass
        c.close()
"""


class ByHand:
    """The three programs with a configuration of a few lines: each can be killed by itself."""

    def __init__(self, *proxy_lines):
        # a Unix socket's path is short, and uid nobody must get as far as the core's folder
        self.dir = tempfile.mkdtemp(prefix="mbus-m-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        offset = free_offset()
        self.mqtt, self.api = 1883 + offset, 9005 + offset
        self.socket = self.dir + "/core/auth.sock"
        self.running = {}
        with open(self.dir + "/mbus.conf", "w") as f:
            f.write("[core]\ndir = {0}/core\n[admin]\ndir = {0}/admin\nlisten = 127.0.0.1:{1}\ncore = {0}/core/mqtt.sock\n"
                    "[proxy]\nmqtt = 127.0.0.1:{2}\ncore_dir = {0}/core\nworkers = 1\n{3}\n".format(self.dir, self.api, self.mqtt, "\n".join(proxy_lines)))

    def log(self, name):
        with open("%s/%s.log" % (self.dir, name), errors="replace") as f:
            return f.read()

    def start(self, name, *more):
        with open("%s/%s.log" % (self.dir, name), "w") as log:
            self.running[name] = subprocess.Popen([BUILD + "/mbus-" + name, "--config", self.dir + "/mbus.conf", *more], stderr=log)
        wait_for(lambda: "ev=ready" in self.log(name) or self.running[name].poll() is not None, 20)

    def squat(self):
        out = open(self.dir + "/squatter.log", "w")
        self.running["squatter"] = subprocess.Popen([sys.executable, "-c", SQUATTER, str(self.api), self.socket], stdout=out, stderr=out)
        wait_for(lambda: "squatting" in self.log("squatter"), 20)

    def __enter__(self):
        self.start("core")
        self.start("admin", "--first-customer", "main", "--token-out", self.dir + "/token")
        self.start("proxy")
        with open(self.dir + "/token") as f:
            self.token = f.read().strip()
        return self

    def __exit__(self, *_):
        for name in ("squatter", "proxy", "admin", "core"):
            if name in self.running:
                self.running[name].terminate()
                self.running[name].wait(30)
        said = "".join(self.log(n) for n in ("proxy", "admin", "core"))
        shutil.rmtree(self.dir)
        assert "Sanitizer" not in said and "MUST failed" not in said, said


def nobodys_key():
    """Of the form of a key, and never given to anybody."""
    letters = string.digits + string.ascii_uppercase + string.ascii_lowercase
    key = "mbus" + "".join(random.choice(letters) for _ in range(54))
    n, check = zlib.crc32(key.encode()), ""
    for _ in range(6):
        n, digit = divmod(n, 62)
        check = letters[digit] + check
    return key + check


def said_to(port, key):
    with Raw(port, 5) as c:
        return c.send(connect("stranger", key, version=5)).expect(CONNACK, 10).code


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("careless", [False, True])
def test_M32_who_takes_the_place_of_the_authority_is_sent_no_key_and_lets_nobody_in(careless):
    """careless: the operator has left the folder of the socket open to all, so that the place of the socket can be taken, too."""
    with ByHand() as h:
        assert said_to(h.mqtt, nobodys_key()) == 0x86
        assert said_to(h.mqtt, h.token) == 0
        h.running["admin"].send_signal(signal.SIGKILL)
        h.running.pop("admin").wait(10)
        if careless:
            os.chmod(h.dir + "/core", 0o777)
        h.squat()
        assert ("has the path" in h.log("squatter")) is careless
        for _ in range(3):
            assert said_to(h.mqtt, nobodys_key()) == 0x88
            time.sleep(0.3)
        assert "heard" not in h.log("squatter")
        assert ("ev=endpoint-stranger" in h.log("proxy")) is careless
        h.running["squatter"].kill()
        h.running.pop("squatter").wait(10)
        if careless:
            os.chmod(h.dir + "/core", 0o750)
            os.unlink(h.socket)
        h.start("admin")
        wait_for(lambda: said_to(h.mqtt, nobodys_key()) == 0x86, 15)


def test_M32_plain_http_is_refused_at_the_start_unless_it_is_asked_for(tmp_path):
    for line, good in (("", False), ("auth_insecure = on", True)):
        conf = tmp_path / "p.conf"
        conf.write_text("[proxy]\nmqtt = 127.0.0.1:0\ncore_dir = %s\nauth_url = http://127.0.0.1:9/auth/info\n%s\n" % (tmp_path, line))
        with open(tmp_path / "log", "w") as log:
            p = subprocess.Popen([BUILD + "/mbus-proxy", "--config", str(conf)], stdout=log, stderr=subprocess.STDOUT)
        try:
            said = lambda: (tmp_path / "log").read_text()      # noqa: E731
            wait_for(lambda: "ev=listening" in said() or p.poll() is not None, 20)
            assert (p.poll() is None) is good, said()
            if not good:
                assert "auth_insecure = on" in said() and "unix:/path" in said()
        finally:
            p.terminate()
            p.wait(20)


# ---- The public side of mbus-admin, and the proxies ----
def test_M33_what_customers_do_to_the_rest_api_keeps_no_client_waiting(tmp_path):
    """512 connections that say nothing, large access lists asked for without end; clients of another customer, each with a token that no proxy has seen."""
    s = Stack(tmp_path / "s").start()
    try:
        a, b = s.new_customer(), s.new_customer()
        acl = [{"uri": "mqtt", "topic": "some/topic/of/a/long/list/%d/#" % i, "actions": ["publish"]} for i in range(700)]
        for _ in range(16):
            status, answer = a.rest("POST", "/platform/tokens", [{"ttl": 3600, "access": {"type": 2, "acl": acl}}] * 5)
            assert status == 200, answer
        tokens = [b.token() for _ in range(40)]
        port = int(s.ready["api"].rsplit(":", 1)[1])
        ask = ("GET /platform/tokens/all HTTP/1.1\r\nHost: x\r\nAuthorization: FlespiToken %s\r\n\r\n" % a.master).encode()
        done = threading.Event()

        def ask_on():
            while not done.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", port), 5) as c:
                        c.settimeout(5)
                        c.sendall(ask)
                        while not done.is_set() and len(c.recv(1 << 20)) > 0:
                            pass
                except OSError:
                    pass

        askers = [threading.Thread(target=ask_on) for _ in range(3)]
        idle = []
        try:
            for t in askers:
                t.start()
            for _ in range(560):
                c = socket.socket()
                c.setblocking(False)
                c.connect_ex(("127.0.0.1", port))
                idle.append(c)
            time.sleep(1)
            for t in tokens:
                watch = Stopwatch(s)
                open_client(s.port, t, "c%d" % t.id, 5).close()
                assert watch.seconds() < 1 * SLOW
        finally:
            done.set()
            for t in askers:
                t.join()
            for c in idle:
                c.close()
    finally:
        s.stop()


# ---- What customers learn of each other ----
def test_M36_ids_of_tokens_and_subaccounts_do_not_tell_what_others_have(stack, customer, other):
    tokens, accounts = [], []
    for i in range(16):
        tokens.append(customer.token().id)
        accounts.append(customer.rest("POST", "/platform/subaccounts", [{"name": "x"}])[1]["result"][0]["id"])
        for _ in range(i % 3):
            other.token()
    for ids in (tokens, accounts):
        assert all(0 < i < 2 ** 53 for i in ids) and len(set(ids)) == len(ids)
        steps = [b - a for a, b in zip(ids, ids[1:])]
        assert 0 < sum(s > 0 for s in steps) < len(steps)
        ordered = sorted(ids)
        assert min(b - a for a, b in zip(ordered, ordered[1:])) > 1000      # by chance only once in ten million runs
    assert customer.rest("GET", "/platform/tokens/%d" % other.token().id)[0] == 404
