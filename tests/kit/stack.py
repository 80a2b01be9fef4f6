"""A stack of the real programs, and the REST API as a test uses it. Only the standard library."""
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("MBUS_BUILD", "build"))
# Sanitizers are slow: what is waited for at most is scaled, what is asserted is not.
SLOW = 4 if os.environ.get("MBUS_SAN") else 1


def patience(timeout):
    """Seconds until what must come is given up: more than asked for, for a machine may have other work, and how long something takes is judged by a
    Stopwatch. A wait below two seconds is for what must not come."""
    return timeout * SLOW * (3 if timeout >= 2 else 1)


def wait_for(what, timeout=10.0, step=0.02):
    """Until what() is true; returns its value. Fails after timeout, with patience."""
    timeout = patience(max(timeout, 2))
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("did not happen within %.1f s: %s" % (timeout, getattr(what, "__doc__", "") or what))
        time.sleep(step)


class Stopwatch:
    """Seconds since it was made, less those that this process and the stack's programs stood in line for a CPU: what others do on the machine is
    no fault of theirs."""

    def __init__(self, stack=None):
        """stack: a Stack, a Pair, or None: all Stacks that run."""
        of = [stack] if stack else Stack.running
        self.pids = [os.getpid(), *(pid for s in of for pid in s.ready["pids"].values())]
        self.begin, self.stood = time.monotonic(), self._in_line()

    def _in_line(self):
        total = 0
        for pid in self.pids:
            for task in os.listdir("/proc/%d/task" % pid):
                try:
                    with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                        total += int(f.read().split()[1])
                except FileNotFoundError:
                    pass    # a thread has ended
        return total / 1e9

    def seconds(self):
        return time.monotonic() - self.begin - (self._in_line() - self.stood)


def port_is_free(port):
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((host, port))
        except OSError as e:
            if e.errno != 97:  # no IPv6 here
                return False
    return True


def free_offset():
    while True:
        # below the ephemeral range, so that no outgoing connection of anybody takes one of them meanwhile
        offset = random.randrange(2000, 22000)
        if all(port_is_free(p + offset) for p in (80, 443, 1883, 8883, 9005)):
            return offset


class Stack:
    running = []

    def __init__(self, state, config="", workers=0, homes=1):
        self.state = str(state)
        self.config = config
        self.workers = workers
        self.homes = homes
        self.process = None
        self.ready = None
        self.output = None

    def start(self, offset=None):
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        if self.config:
            with open(os.path.join(self.state, "local.conf"), "w") as f:
                f.write(self.config)
        for attempt in range(5):
            port_offset = offset if offset is not None else free_offset()
            self.output = open(os.path.join(self.state, "stack.out"), "w")
            self.process = subprocess.Popen(
                [os.path.join(ROOT, "scripts", "stack"), "--build", BUILD, "--state", self.state, "--port-offset", str(port_offset),
                 "--workers", str(self.workers), "--homes", str(self.homes)],
                stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True,
                # a test run in the background was told to ignore Ctrl-C; a shell cannot take that back for its children
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            path = os.path.join(self.state, "ready.json")
            try:
                wait_for(lambda: os.path.exists(path) or self.process.poll() is not None, 40)
            except AssertionError:
                self.stop()
                raise
            if os.path.exists(path):
                with open(path) as f:
                    self.ready = json.load(f)
                Stack.running.append(self)
                return self
            if offset is not None or "in use" not in self.said():
                break
        raise AssertionError("the stack did not start:\n" + self.said() + self.logs())

    def said(self):
        with open(os.path.join(self.state, "stack.out")) as f:
            return f.read()

    def log(self, name):
        try:
            with open(os.path.join(self.state, "log", name + ".log"), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def logs(self):
        return "".join("---- %s\n%s\n" % (n, self.log(n)[-3000:]) for n in ("core", "admin", "proxy"))

    def longest_turn(self, program):
        """Microseconds of CPU of the turn of its loops that used the most since this was asked last, and the step that took it (docs/operations.md)."""
        def said():
            return [x for x in self.log(program).splitlines() if " ev=numbers " in x]
        before = len(said())
        os.kill(self.ready["pids"][program], signal.SIGUSR2)
        wait_for(lambda: len(said()) > before, 10)
        words = dict(w.split("=") for w in said()[before].split(" ev=numbers ")[1].split())
        return int(words["longest_turn_cpu_us"]), words["longest_turn_cpu_step"]

    def stop(self):
        if self in Stack.running:
            Stack.running.remove(self)
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise AssertionError("the stack did not stop:\n" + self.said() + self.logs())
        if self.output:
            self.output.close()
        for name in ("core", "admin", "proxy"):
            text = self.log(name)
            for mark in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "does not hold"):
                if mark in text:
                    at = text.index(mark)
                    raise AssertionError("mbus-%s: %s\n%s" % (name, mark, text[max(0, at - 300):at + 4000]))

    def check_alive(self):
        assert self.process.poll() is None, "the stack ended during the test:\n" + self.said() + self.logs()

    # ---- REST ----
    @property
    def port(self):
        """Of the door that the test runs on."""
        from doors import port
        return port(self.ready)

    @property
    def master(self):
        return self.ready["token"]

    def rest(self, method, path, body=None, token=None, cid=None, headers=None, raw=None):
        """Returns (status, parsed body or text)."""
        all_headers = {}
        if token is not False:
            all_headers["Authorization"] = "FlespiToken " + (token or self.master)
        if cid is not None:
            all_headers["x-flespi-cid"] = str(cid)
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            all_headers["Content-Type"] = "application/json"
        all_headers.update(headers or {})
        request = urllib.request.Request(self.ready["api"] + path, data=data, method=method, headers=all_headers)
        try:
            with urllib.request.urlopen(request, timeout=15 * SLOW) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            status, text = e.code, e.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def new_customer(self):
        status, answer = self.rest("POST", "/platform/subaccounts", [{"name": "test-%08x" % random.getrandbits(32)}])
        assert status == 200, (status, answer)
        cid = answer["result"][0]["id"]
        c = Customer(self, cid)
        c.master = c.token(access={"type": 1})
        return c


class Token(str):
    """The key, and what the API said of it."""
    id = 0
    object = None


class Customer:
    def __init__(self, stack, cid):
        self.stack = stack
        self.cid = cid
        self.master = None

    def rest(self, method, path, body=None, **more):
        if self.master is None:
            more.setdefault("cid", self.cid)
        else:
            more.setdefault("token", self.master)
        return self.stack.rest(method, path, body, **more)

    def token(self, access=None, **fields):
        """Makes a token and returns its key; .id is its id. By default an ACL token that may everything but flespi/..., so that a
        subscription to `#` hears what the test says and not the log of it."""
        body = dict(fields)
        body["access"] = access if access is not None else {"type": 2, "acl": [{"uri": "mqtt", "topic": "#", "actions": ["publish", "subscribe"]}]}
        body.setdefault("ttl", 3600)
        status, answer = self.rest("POST", "/platform/tokens", [body])
        assert status == 200, (status, answer)
        token = Token(answer["result"][0]["key"])
        token.id = answer["result"][0]["id"]
        token.object = answer["result"][0]
        return token

    def acl(self, *grants, **fields):
        """acl(("a/#", "publish subscribe"), ...): an ACL token."""
        entries = [{"uri": "mqtt", "topic": topic, "actions": actions.split()} for topic, actions in grants]
        return self.token(access={"type": 2, "acl": entries}, **fields)

    def delete_token(self, token):
        status, answer = self.rest("DELETE", "/platform/tokens/%d" % token.id)
        assert status == 200, (status, answer)

    def change_token(self, token, **fields):
        status, answer = self.rest("PUT", "/platform/tokens/%d" % token.id, fields)
        assert status == 200, (status, answer)
