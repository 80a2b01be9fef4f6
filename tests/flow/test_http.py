"""A person, or a program, that takes the WebSocket doors for a web server: what the curl command gets there."""
import re
import subprocess

import pytest
from clients import MosquittoSub, mosquitto_pub
from doors import port
from stack import SLOW, wait_for

pytestmark = pytest.mark.one_door("HTTP is asked of the doors with WebSocket")
WEB = pytest.mark.parametrize("where", ["ws", "wss"])
COULD_NOT_VERIFY = 60      # curl: CURLE_PEER_FAILED_VERIFICATION


def curl(stack, where, *words, ca=True, path="/"):
    """(exit code, status, headers by name in lower case, body, what it said)."""
    p = port(stack.ready, where)
    trust = ["--cacert", p.ca] if ca else ["--capath", "/nonexistent"]
    r = subprocess.run(["curl", "-q", "-sS", "-i", "--http1.1", "--noproxy", "*", "--max-time", str(20 * SLOW), "--connect-to", "localhost:%d:127.0.0.1:%d" % (p, p),
                        *(trust if where == "wss" else []), *words, "http%s://localhost:%d%s" % ("s" if where == "wss" else "", p, path)],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30 * SLOW)
    head, _, body = r.stdout.replace("\r\n", "\n").partition("\n\n")
    lines = head.split("\n")
    status = re.match(r"HTTP/1\.1 (\d{3}) ", lines[0])
    return r.returncode, int(status.group(1)) if status else None, {k.lower(): v for k, _, v in (x.partition(": ") for x in lines[1:])}, body, r.stderr


@WEB
@pytest.mark.parametrize("path", ["/", "/mqtt", "/index.html?a=b"])
def test_a_get_gets_a_page_that_says_what_this_is(stack, where, path):
    code, status, headers, body, said = curl(stack, where, path=path)
    assert (code, status, said) == (0, 200, "")
    assert headers["content-type"] == "text/html; charset=utf-8" and int(headers["content-length"]) == len(body.encode())
    assert "MQTT over WebSocket" in body and body.startswith("<!DOCTYPE html>")


@WEB
def test_a_head_gets_the_head_of_that_page_alone(stack, where):
    _, _, of_get, page, _ = curl(stack, where)
    code, status, headers, body, _ = curl(stack, where, "--head")
    assert (code, status, body) == (0, 200, "")
    assert headers == of_get and int(headers["content-length"]) == len(page.encode())


def test_without_the_authority_curl_refuses_the_door(stack):
    code, status, _, body, said = curl(stack, "wss", ca=False)
    assert (code, status, body) == (COULD_NOT_VERIFY, None, ""), said


def test_plain_http_on_the_door_with_tls_gets_nothing(stack):
    p = port(stack.ready, "wss")
    r = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(20 * SLOW), "http://127.0.0.1:%d/" % p], capture_output=True, text=True, timeout=30 * SLOW)
    assert r.returncode != 0 and "HTTP/" not in r.stdout and "MQTT" not in r.stdout


@WEB
@pytest.mark.parametrize("words,want", [
    (["--data", "a=b"], 405), (["--data", ""], 405), (["-X", "PUT"], 405), (["-X", "DELETE"], 405), (["-X", "OPTIONS"], 405),
    (["--get", "--data", "a=b"], 200),
    (["-X", "GET", "--data", "a=b"], 400),                                      # a body where none is read
    (["-H", "X-Long: " + "y" * 32768], 431),                                    # more than the 8 KiB of a head
    (["-H", "Upgrade: websocket"], 400), (["-H", "Upgrade: websocket", "-H", "Connection: Upgrade"], 400),
    (["--http1.0", "--no-alpn"], 200),                                            # with ALPN it would ask for http/1.0
], ids=lambda x: str(x)[:40])
def test_what_is_no_page_is_refused_with_its_status(stack, where, words, want):
    code, status, headers, body, said = curl(stack, where, *words)
    assert (code, status) == (0, want), (body, said)
    assert headers["connection"].split(", ")[-1] == "close"
    if want == 405:
        assert headers["allow"] == "GET, HEAD"
    if want != 200:
        assert headers["content-type"].startswith("text/plain") and body.startswith("%d " % want)


@WEB
def test_no_request_makes_a_session_of_whoever_sends_it(stack, customer, where):
    """Not with a token in it either: nobody of this customer is let in or refused, and the customer's log tells of nothing."""
    token = customer.token()
    with MosquittoSub(port(stack.ready, "tcp"), customer.master, "flespi/log/mqtt/#", extra=["-i", "watcher"]) as log:
        for words in (["-u", token + ":"], ["-H", "Authorization: FlespiToken " + token], ["-H", "Authorization: Bearer " + token], ["--head"],
                      ["--data", token], ["-H", "X: " + "y" * 32768]):
            curl(stack, where, *words, path="/mqtt?token=" + token)
        assert mosquitto_pub(port(stack.ready, "tcp"), token, "t", "m", 4, extra=["-i", "last"])[0] == 0
        wait_for(lambda: any("/last/disconnected " in x for x in log.lines()), 5)
        others = [x for x in log.lines() if "/sessions/watcher/" not in x and "/sessions/last/" not in x]
    assert others == []
    names = {w for x in stack.log("proxy").splitlines() if "cid=%d " % customer.cid in x for w in x.split() if w.startswith("client=")}
    assert names <= {"client=watcher", "client=last"}     # a second may be short of lines
    assert token not in stack.log("proxy")
