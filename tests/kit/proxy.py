"""A mbus-proxy of the test's own beside those of a stack: the same core, the same authority, doors as the test configures them."""
import os
import signal
import subprocess

import doors
from stack import BUILD, SLOW, wait_for


class Proxy:
    """lines: of [proxy]. What it says is in .log(). It has an mqtt door and the one that the test runs on, which is .port; on any port if lines name none."""

    def __init__(self, stack, folder, *lines, program=None, environment=None, preexec=None):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.stack, self.lines = stack, list(lines)
        named = {x.split("=")[0].strip() for x in lines}
        for key in {"mqtt", doors.KEYS[doors.current]} - named:
            self.lines.insert(0, key + " = 127.0.0.1:0")
        if doors.is_tls(doors.current) and "tls_cert" not in named:
            self.lines += ["tls_cert = %s/tls/server.pem" % stack.state, "tls_key = %s/tls/server.key" % stack.state]
        self.program = program or [os.path.join(BUILD, "mbus-proxy")]
        self.environment, self.preexec = environment, preexec
        self.process = self.file = None
        self.core = os.path.dirname(stack.ready["core"])

    def start(self, ready=True):
        path = os.path.join(self.folder, "mbus.conf")
        with open(path, "w") as f:
            f.write("[proxy]\ncore_dir = %s\n%s\n" % (self.core, "\n".join(self.lines)))
        self.said = os.path.join(self.folder, "log-%d" % len(os.listdir(self.folder)))
        self.file = open(self.said, "w")
        self.process = subprocess.Popen(self.program + ["--config", path], stdout=self.file, stderr=subprocess.STDOUT, env=self.environment, preexec_fn=self.preexec, close_fds=False)
        if ready:
            wait_for(lambda: "ev=ready" in self.log() or self.process.poll() is not None, 20)
            assert self.process.poll() is None, self.log()
        return self

    def log(self):
        with open(self.said, errors="replace") as f:
            return f.read()

    def listening(self):
        """[{kind, host, port}] as its log says."""
        return [dict(w.split("=", 1) for w in x.split() if "=" in w) for x in self.log().splitlines() if "ev=listening" in x]

    def door(self, kind=None, index=0):
        """A port for the clients of the kit; without a kind, of the door that the test runs on."""
        kind = kind or doors.current
        p = doors.Port([d for d in self.listening() if d["kind"] == kind][index]["port"])
        p.door, p.ca, p.ready = kind, self.stack.ready.get("ca"), self.stack.ready
        return p

    @property
    def port(self):
        return self.door()

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self, timeout=15):
        """Its exit code, once it has ended."""
        return self.process.wait(timeout * SLOW)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGINT)
            try:
                self.ended()
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("the proxy did not stop:\n" + self.log()[-3000:])
        if self.file:
            self.file.close()
        for mark in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "does not hold"):
            assert mark not in self.log(), self.log()[-6000:]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
