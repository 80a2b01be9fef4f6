"""Outages O01 to O07: an endpoint, a clock or a stranger that misbehaves costs nobody what only a revocation may cost. One test per id or more."""
import socket

import pytest
from endpoint import Endpoint, Pair
from rawmqtt import CONNACK, Raw, connect

CONFIG = "auth_cache = 1s\nauth_poll = 1s\nauth_stale = 2s\nauth_no = 1s\n"


@pytest.fixture
def endpoint():
    e = Endpoint()
    yield e
    e.close()


@pytest.fixture
def pair(tmp_path, endpoint):
    p = Pair(tmp_path / "pair", endpoint, config=CONFIG)
    p.start()
    yield p
    p.check_alive()
    p.stop()


def code(port, username=None, password=None, client_id="c"):
    with Raw(port, 5) as c:
        c.send(connect(client_id, username, password, version=5))
        return c.expect(CONNACK, 10).code


@pytest.mark.parametrize("status", [400, 404, 429, 302])
def test_O04_strangers_whose_keys_the_endpoint_does_not_like_open_no_circuit(pair, endpoint, status):
    endpoint.answer = lambda auth: endpoint.good() if "good" in auth else (status, {}, b"")
    for i in range(15):
        for k in range(2):
            assert code(pair.port, "rubbish-%d-%d" % (i, k)) in (0x86, 0x88)
        assert code(pair.port, "good-%d" % i) == 0


def test_O05_a_kept_connection_that_is_closed_when_the_next_request_comes_refuses_nobody(pair, endpoint):
    def once(handler):
        if getattr(handler, "answered", False):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.answered = True
        status, headers, body = endpoint.good()
        handler.send_response(status)
        for k, v in dict(headers, **{"Content-Length": str(len(body))}).items():
            handler.send_header(k, v)
        handler.end_headers()
        handler.wfile.write(body)
    endpoint.answer = lambda auth: once
    assert [code(pair.port, "key-%d" % i) for i in range(21)] == [0] * 21


def test_O07_a_device_name_beside_a_key_is_not_asked_about(pair, endpoint):
    endpoint.answer = lambda auth: endpoint.good() if auth == "FlespiToken the-key" else (401, {}, b"")
    assert code(pair.port, "device-7", "the-key") == 0
    assert code(pair.port, "the-key", "") == 0
    assert code(pair.port, "the-key") == 0
    assert {a for _, a in endpoint.asked} == {"FlespiToken the-key"}
