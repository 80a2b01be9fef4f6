"""A real browser, headless Chromium, with MQTT.js over ws:// and wss://: connect, subscribe, all QoS, a large message, a reconnect with its session."""
import base64
import hashlib
import json
import os
import subprocess

import pytest
from doors import port
from stack import ROOT, SLOW

pytestmark = pytest.mark.one_door("a browser has the WebSocket doors only")


def fingerprint(cert):
    key = subprocess.run("openssl x509 -in '%s' -noout -pubkey | openssl pkey -pubin -outform der" % cert, shell=True, capture_output=True, check=True).stdout
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def browse(url, token, trusted):
    r = subprocess.run(["node", os.path.join(ROOT, "tests", "flow", "browser.mjs"), url, token, trusted], capture_output=True, text=True, timeout=90 * SLOW)
    assert r.stdout, r.stderr
    return json.loads(r.stdout.splitlines()[-1])


@pytest.mark.parametrize("where", ["ws", "wss"])
def test_a_browser_speaks_mqtt(stack, customer, where):
    url = "%s://localhost:%d/mqtt" % (where, port(stack.ready, where))
    answer = browse(url, customer.token(), fingerprint(os.path.join(stack.state, "tls", "server.pem")) if where == "wss" else "")
    assert "error" not in answer, answer
    assert answer["title"] == "MQTT over WebSocket"
    assert answer["said"] == ["connected", "from/browser qos 0 0", "from/browser qos 1 1", "from/browser qos 2 2", "big true", "reconnected true kept",
                              "text closed with 1003 true", "ended"]


def test_a_browser_does_not_speak_to_a_certificate_that_it_does_not_trust(stack, customer):
    answer = browse("wss://localhost:%d/mqtt" % port(stack.ready, "wss"), customer.token(), "")
    assert "ERR_CERT_AUTHORITY_INVALID" in answer["error"]
