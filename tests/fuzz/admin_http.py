#!/usr/bin/python3
"""Fuzzes the REST API of mbus-admin over real sockets: tests/fuzz/admin_http.py [--seconds N] [--seed N] [--build DIR].

A batch is a dozen connections at once that pipeline, announce bodies and do not send them (or more of them), send chunks, upgrade, close one
side, reset, and send garbage; good requests of a valid token are among them. Whole lines and whole requests are put together and cut into pieces
anywhere. After each batch a new connection asks and must be answered within a second, and the program must be at rest again; now and then it
is told to end with connections open, and must have ended within two seconds. On a machine with other work, time in which the program or this
one waited for a CPU does not count, and a thread that only waits for one does not rest. A failure prints its seed; --seed runs that batch first.

`make fuzz` runs it for FUZZ_SECONDS; tests/flow/test_http_fuzz.py for seconds, with fixed seeds and a random one."""
import argparse
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ANSWER, END, REST, LOST = 1.0, 2.0, 0.3, 60.0   # seconds; REST: of CPU in a second of quiet; LOST: by the clock, whatever else the machine does


class Failure(Exception):
    pass


class Time:
    """What passes for the program: the clock, without what its threads and this one waited for a CPU that others had."""

    def __init__(self, pid):
        self.pid, self.begin, self.first, self.now = pid, time.monotonic(), {}, {}
        self.first = dict(self.look())

    def look(self):
        for path in ["/proc/self/schedstat"] + ["/proc/%d/task/%s/schedstat" % (self.pid, t) for t in self.threads()]:
            try:
                with open(path) as f:
                    self.now[path] = int(f.read().split()[1]) / 1e9
            except OSError:   # ended meanwhile
                pass
        return self.now

    def threads(self):
        try:
            return os.listdir("/proc/%d/task" % self.pid)
        except OSError:
            return []

    def waited(self):
        return sum(n - self.first.get(path, 0) for path, n in self.look().items())

    def passed(self):
        return time.monotonic() - self.begin - self.waited()

    def is_over(self, seconds):
        return self.passed() > seconds or time.monotonic() - self.begin > LOST


class Admin:
    """mbus-admin alone, with a customer and its master token."""

    def __init__(self, build, folder, slow=1.0):
        self.slow, self.folder = slow, folder
        self.starts = 0
        self.build = build
        self.start()

    def start(self):
        self.starts += 1
        self.log = os.path.join(self.folder, "log%d" % self.starts)
        token = os.path.join(self.folder, "token%d" % self.starts)
        with open(self.log, "w") as out:
            self.process = subprocess.Popen([os.path.join(self.build, "mbus-admin"), "--dir", os.path.join(self.folder, "admin%d" % self.starts), "--listen", "127.0.0.1:0", "--core", "",
                                             "--first-customer", "fuzz", "--token-out", token, "--connections-max", "64", "--connections-per-address", "48",
                                             "--log-level", "warn"], stdout=out, stderr=subprocess.STDOUT)
        self.port = self.listening()
        with open(token) as f:
            self.token = f.read().strip()

    def listening(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            mine = self.sockets()
            with open("/proc/%d/net/tcp" % self.process.pid) as f:
                for row in f.readlines()[1:]:
                    words = row.split()
                    if words[3] == "0A" and "socket:[%s]" % words[9] in mine:
                        return int(words[1].split(":")[1], 16)
            time.sleep(0.02)
        raise Failure("mbus-admin did not start:\n" + self.said())

    def sockets(self):
        folder = "/proc/%d/fd" % self.process.pid
        found = set()
        for name in os.listdir(folder):
            try:
                found.add(os.readlink(os.path.join(folder, name)))
            except OSError:   # closed meanwhile
                pass
        return found

    def said(self):
        with open(self.log) as f:
            return f.read()[-4000:]

    def cpu(self):
        with open("/proc/%d/stat" % self.process.pid) as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), 5)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def control(self):
        """A client like any other is served."""
        passes = Time(self.process.pid)
        try:
            with self.connect() as s:
                s.sendall(request("", "GET", "/auth/info"))   # the batch may have deleted the token
                while not select.select([s], [], [], 0.02)[0]:
                    if passes.is_over(ANSWER * self.slow):
                        raise Failure("the control got no answer within %.2f s:\n%s" % (passes.passed(), self.said()))
                answer = s.recv(65536)
        except OSError as e:
            raise Failure("the control got no answer: %r:\n%s" % (e, self.said())) from e
        if not answer.startswith(b"HTTP/1.1 401 "):
            raise Failure("the control got %r" % answer[:60])

    def rests(self):
        """It uses little of the CPU, and does not wait for more. What was asked of it last may still be at work."""
        end = time.monotonic() + 20
        seconds = 0.25
        while True:
            passes, before = Time(self.process.pid), self.cpu()
            time.sleep(seconds)
            used, waited = self.cpu() - before, passes.waited()
            if used <= REST * seconds + 0.02 and used + waited < 0.9 * (time.monotonic() - passes.begin):
                return
            if time.monotonic() > end:
                raise Failure("used %.2f s of CPU in %.1f s of quiet, and waited %.2f s for it" % (used, seconds, waited))
            seconds = 1

    def end(self):
        passes = Time(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        while self.process.poll() is None:
            if passes.is_over(END * self.slow):
                self.process.kill()
                self.process.wait()
                raise Failure("SIGTERM did not end it within %.1f s" % (END * self.slow))
            time.sleep(0.01)
        if self.process.returncode != 0 or "Sanitizer" in self.said():
            raise Failure("ended with %s after %.2f s:\n%s" % (self.process.returncode, passes.passed(), self.said()))


# ---- Inputs ----
PATHS = ["/", "/auth/info", "/platform/tokens/all", "/platform/tokens/all?fields=id&limit=2", "/platform/tokens", "/platform/customer", "/platform/customer/logs?follow=1",
         "/mqtt/logs?follow=1", "/nothing", "/%00", "/%zz", "//..//x", "/platform/tokens/%31", "/" + "a" * 3000, "*", "http://x/auth/info", "/auth/info?" + "a=b&" * 20]
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "M-SEARCH"]
LINES = ["Content-Length: 0", "Content-Length: 20", "Content-Length: 4097", "Content-Length: 99999999999", "Content-Length: -1", "Content-Length: 2\r\nContent-Length: 2",
         "Content-Length: 0x10", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Content-Type: application/json", "Expect: 100-continue",
         "Connection: close", "Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
         "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "Origin: null", "Access-Control-Request-Method: PUT", "x-flespi-cid: 1", "x-flespi-cid: x", "X: " + "y" * 5000, " folded",
         "Bad : space", "NoColon", "Host: y", "Range: bytes=0-1", "Accept-Encoding: gzip"]
BODIES = [b"", b"[]", b"[{}]", b'[{"info":"f"}]', b"0123456789", b"2\r\n[]\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"{" * 3000, b"\0" * 40, b"x" * 70000]
GARBAGE = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x10\x0c\x00\x04MQTT\x04\x02\x00<", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"\r\n\r\n\r\n",
           b"\0" * 200, b"GET / HTTP/0.9\r\n\r\n", b"GET /\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]


def request(token, method, path, lines=(), body=b""):
    head = ["%s %s HTTP/1.1" % (method, path), "Host: x"] + (["Authorization: FlespiToken " + token] if token else []) + list(lines)
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


def any_request(r, token):
    kind = r.random()
    own = token if r.random() < 0.6 else "" if r.random() < 0.5 else "wrong"
    if kind < 0.15:
        return r.choice(GARBAGE)
    if kind < 0.35:
        return request(own, "GET", r.choice(PATHS[:7]))
    if kind < 0.5:
        body = b'[{"info":"fuzz","ttl":1}]'
        return request(own, "POST", "/platform/tokens", ["Content-Type: application/json", "Content-Length: %d" % len(body)], body[:r.choice([len(body), 0, 5])])
    made = request(own, r.choice(METHODS), r.choice(PATHS), r.sample(LINES, r.randrange(5)), r.choice(BODIES))
    if r.random() < 0.2:
        made = bytearray(made)
        for _ in range(r.randrange(1, 4)):
            made[r.randrange(len(made))] = r.randrange(256)
    return bytes(made)


def pieces(r, data):
    """Mostly one segment; else cut anywhere."""
    if r.random() < 0.5 or len(data) < 2:
        return [data]
    cuts = sorted(r.sample(range(1, len(data)), min(len(data) - 1, r.randrange(1, 6))))
    return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]


def read_some(s):
    try:
        s.recv(65536)
    except OSError:
        pass


def batch(admin, seed):
    """Connections that act in turn, in an order that the seed decides, then end in some way."""
    r = random.Random(seed)
    open_now = []
    for _ in range(r.randrange(2, 13)):
        try:
            s = admin.connect()
        except OSError:
            continue
        if r.random() < 0.2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.setblocking(False)
        data = b"".join(any_request(r, admin.token) for _ in range(r.randrange(1, 9)))
        open_now.append((s, pieces(r, data)))
    while open_now:
        s, todo = open_now[r.randrange(len(open_now))]
        try:
            if todo:
                s.send(todo.pop(0))
                if r.random() < 0.2:
                    read_some(s)
                continue
        except OSError:
            pass
        how = r.random()
        try:
            if how < 0.3:
                s.shutdown(socket.SHUT_WR)
                read_some(s)
            elif how < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how < 0.7:
                read_some(s)
        except OSError:
            pass
        if how < 0.85 or len(open_now) > 6:
            s.close()
        else:
            admin.kept.append(s)   # idle, or half of something, for later batches to live with
        open_now = [x for x in open_now if x[0] is not s]
    while len(admin.kept) > 40:
        admin.kept.pop(r.randrange(len(admin.kept))).close()


def run(build, seeds, say=print, slow=1.0):
    """Runs the batches of these seeds; raises Failure with the seed in it."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None   # a disk that is busy with other work is not the program's
    folder = tempfile.mkdtemp(prefix="mbus-fuzz-http-", dir=memory)
    admin = Admin(build, folder, slow)
    admin.kept = []
    count = 0
    try:
        for seed in seeds:
            try:
                batch(admin, seed)
                admin.control()
                if count % 4 == 0:
                    admin.rests()
                count += 1
                if count % 50 == 0:
                    batch(admin, seed)
                    admin.end()
                    admin.start()
            except Failure as e:
                raise Failure("seed %d, batch %d: %s" % (seed, count, e)) from e
        admin.end()
    finally:
        for s in admin.kept:
            s.close()
        if admin.process.poll() is None:
            admin.process.kill()
            admin.process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    say("fuzz admin_http: ok, %d batches, %d starts" % (count, admin.starts))
    return count


def timed(seconds, first):
    end = time.monotonic() + seconds
    yield first
    while time.monotonic() < end:
        yield random.randrange(1 << 32)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    a = p.parse_args()
    try:
        run(a.build, timed(a.seconds, a.seed))
    except Failure as e:
        print("fuzz admin_http: FAILED, %s" % e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
