"""A scripted authentication endpoint, and a proxy with a core that ask it: for what admin would never answer."""
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import doors
from certs import throwaway
from stack import BUILD, free_offset, wait_for


class Endpoint:
    """answer(key, authorization) is called for each request and returns (status, headers, body) or a function that writes to the handler itself."""

    def __init__(self):
        self.answer = lambda auth: self.good()
        self.asked = []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                auth = self.headers.get("Authorization", "")
                endpoint.asked.append((time.monotonic(), auth))
                reply = endpoint.answer(auth)
                try:
                    if callable(reply):
                        reply(self)
                        return
                    status, headers, body = reply
                    self.send_response(status)
                    for k, v in headers.items():
                        self.send_header(k, v)
                    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
                        self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @staticmethod
    def info(cid=5, token=1, access=None, **more):
        return dict({"id": token, "cid": cid, "enabled": True, "access": access or {"type": 2, "acl": [{"uri": "mqtt", "topic": "#", "actions": ["publish", "subscribe"]}]}}, **more)

    @classmethod
    def good(cls, **more):
        return 200, {"Content-Type": "application/json"}, json.dumps({"result": [cls.info(**more)]}).encode()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Pair:
    """mbus-core and mbus-proxy alone, asking `endpoint`."""

    def __init__(self, state, endpoint, config=""):
        self.state = str(state)
        self.endpoint = endpoint
        self.config = config
        self.processes = {}

    def start(self):
        """A port that was free may be another process's a moment later."""
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        for _ in range(4):
            try:
                return self.start_at(free_offset())
            except AssertionError as e:
                self.stop()
                if "the port is in use" not in str(e):
                    raise
        return self.start_at(free_offset())

    def start_at(self, offset):
        certs = throwaway()
        self.ready = {key: offset + usual for key, usual in (("mqtt", 1883), ("mqtts", 8883), ("ws", 80), ("wss", 443))}
        doors_ = "".join("%s = 127.0.0.1:%d\n" % x for x in self.ready.items())
        self.ready["ca"] = certs + "/ca.pem"
        # pytest's folders are deep and a socket's path is short
        self.sockets = "/tmp/mbus-pair-%d" % offset
        os.makedirs(self.sockets, mode=0o700)
        path = os.path.join(self.state, "mbus.conf")
        with open(path, "w") as f:
            f.write("[core]\ndir = %s\n[proxy]\nworkers = 2\n%stls_cert = %s/server.pem\ntls_key = %s/server.key\ncore_dir = %s\n"
                    "auth_url = http://127.0.0.1:%d/auth/info\nauth_insecure = on\nauth_key_form = any\n%s\n"
                    % (self.sockets, doors_, certs, certs, self.sockets, self.endpoint.port, self.config))
        for name in ("core", "proxy"):
            with open(os.path.join(self.state, name + ".log"), "w") as log:
                self.processes[name] = subprocess.Popen([os.path.join(BUILD, "mbus-" + name), "--config", path], stdout=log, stderr=subprocess.STDOUT)
            wait_for(lambda: "ev=ready" in self.log(name) or self.processes[name].poll() is not None, 20)
            assert self.processes[name].poll() is None, self.log(name)
        self.ready["pids"] = {name: p.pid for name, p in self.processes.items()}
        return self

    @property
    def port(self):
        """Of the door that the test runs on."""
        return doors.port(self.ready)

    def log(self, name):
        with open(os.path.join(self.state, name + ".log"), errors="replace") as f:
            return f.read()

    def check_alive(self):
        for name, p in self.processes.items():
            assert p.poll() is None, "mbus-%s ended: %s" % (name, self.log(name)[-3000:])

    def stop(self):
        for name in ("proxy", "core"):
            p = self.processes.get(name)
            if p and p.poll() is None:
                p.send_signal(signal.SIGTERM)
                p.wait(30)
        for name in self.processes:
            text = self.log(name)
            for mark in ("Sanitizer", "runtime error:", "does not hold"):
                assert mark not in text, text[max(0, text.index(mark) - 300):][:4000]
        for f in os.listdir(self.sockets):
            os.unlink(os.path.join(self.sockets, f))
        os.rmdir(self.sockets)
