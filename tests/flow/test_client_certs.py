"""What a client's certificate grants: the name in it is told in logs, and a token may be for certain names only (`certs`)."""
import json
import shutil
import signal
import socket
import ssl
import struct

import doors
import pytest
from certs import Authority, run
from clients import MosquittoSub
from endpoint import Endpoint, Pair
from proxy import Proxy
from rawmqtt import AUTH, CONNACK, DISCONNECT, PUBLISH, Closed, Raw, connect, packet, props
from stack import SLOW, Stopwatch, wait_for
from test_ctl import ctl

pytestmark = pytest.mark.one_door("certificates are shown at the doors with TLS; the others stand beside them in each test")

METHOD, DATA, REASON = 0x15, 0x16, 0x1F


class Names(Authority):
    """An authority that also signs subjects that no decent one would."""

    def subject(self, text):
        self.count = getattr(self, "count", 0) + 1
        base = "%s/subject-%d" % (self.dir, self.count)
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-subj", text, "-keyout", base + ".key", "-out", base + ".csr")
        run("x509", "-req", "-in", base + ".csr", "-CA", self.pem, "-CAkey", self.key, "-days", 5, "-out", base + ".pem")
        return base + ".pem", base + ".key"

    def named(self, name):
        return self.subject("/O=factory/CN=" + name)


@pytest.fixture(scope="module")
def gate(stack, tmp_path_factory):
    """All doors, which ask for certificates and let in who has none; and those that stand behind somebody."""
    folder = tmp_path_factory.mktemp("names")
    server = ["tls_cert = %s/tls/server.pem" % stack.state, "tls_key = %s/tls/server.key" % stack.state]
    ca = Names(folder, "factory")
    p = Proxy(stack, folder / "p", "mqtts = 127.0.0.1:0", "ws = 127.0.0.1:0", "wss = 127.0.0.1:0", "tls_client_ca = " + ca.pem, "tls_client_required = off", *server,
              "[listener behind]", "kind = mqtt", "address = 127.0.0.1:0", "proxy_protocol_from = 127.0.0.1",
              "[listener through]", "kind = mqtts", "address = 127.0.0.1:0", "proxy_protocol_from = 127.0.0.1",
              "[listener site]", "kind = wss", "address = 127.0.0.1:0", "forwarded_from = 127.0.0.1")
    p.ca, p.authority = ca, stack.ready["ca"]
    p.lamp, p.other = ca.named("lamp-7"), ca.named("kettle")
    p.start()
    p.at = {d.get("listener", d["kind"]): int(d["port"]) for d in p.listening()}
    yield p
    p.stop()


def dial(gate, where, cert=None, before=b"", headers=()):
    """A connection to this door, with this certificate, as a socket of MQTT."""
    s = doors.dial(gate.at[where])
    s.sendall(before)
    if where in ("tls", "wss", "through", "site"):
        s = doors.tls(s, gate.authority, cert=cert)
    return doors.WebSocket(s, headers=headers) if where in ("ws", "wss", "site") else s


def come(gate, where, token, cert=None, client_id="c", version=5, **more):
    """The connection and its CONNACK."""
    c = Raw(None, version, sock=dial(gate, where, cert, **more))
    c.send(connect(client_id, token, version=version))
    return c, c.expect(CONNACK)


def code(gate, where, token, cert=None, **more):
    c, answer = come(gate, where, token, cert, **more)
    c.close()
    return answer.code


def record(log, ending, client_id):
    """The record of this client with this word."""
    def there():
        for line in log.lines():
            topic, _, payload = line.partition(" ")
            if topic.endswith("/sessions/%s/%s" % (client_id, ending)):
                return json.loads(payload)
        return None
    return wait_for(there, 10)


# ---- The right name, the wrong one, none ----

@pytest.mark.parametrize("where", ["tls", "wss"])
@pytest.mark.parametrize("version", [3, 4, 5])
def test_the_right_name_is_let_in_and_told(stack, customer, gate, where, version):
    token = customer.token(certs="gateway,lamp-*")
    assert token.object["certs"] == "gateway,lamp-*"
    with MosquittoSub(stack.port, customer.master, "flespi/log/#") as log:
        c, answer = come(gate, where, token, gate.lamp, "right", version)
        assert answer.code == 0
        assert c.subscribe("a") == [0]
        c.publish("a", "b")
        assert c.expect(PUBLISH).payload == b"b"
        c.close()
        assert record(log, "connected", "right")["cert"] == record(log, "disconnected", "right")["cert"] == "lamp-7"
    wait_for(lambda: [x for x in gate.log().splitlines() if "cid=%d client=right ev=close " % customer.cid in x and " peer=127.0.0.1 cert=lamp-7 " in x], 5)


@pytest.mark.parametrize("where,cert,why", [("tls", "other", "certificate not allowed for this token"), ("wss", "other", "certificate not allowed for this token"),
                                            ("tls", None, "this token needs a client certificate"), ("wss", None, "this token needs a client certificate"),
                                            ("tcp", None, "this token needs a client certificate"), ("ws", None, "this token needs a client certificate")])
def test_the_wrong_name_and_none_are_refused_and_told(stack, customer, gate, where, cert, why):
    token, shown = customer.token(certs="lamp-?"), getattr(gate, cert or "", None)
    with MosquittoSub(stack.port, customer.master, "flespi/log/#") as log:
        c, answer = come(gate, where, token, shown, "wrong")
        assert answer.code == 0x87 and answer.properties[REASON] == why.encode()
        assert c.closed() == []
        r = record(log, "blocked", "wrong")
        assert (r["close_code"], r["error_text"], r.get("cert")) == (0x87, why, "kettle" if cert else None)
    assert code(gate, where, token, shown, version=4) == 5
    # its verdict stays a yes for who has the name
    assert code(gate, "tls", token, gate.lamp) == 0
    assert code(gate, where, token, shown) == 0x87


def test_a_token_without_names_is_good_with_any_certificate_and_without(customer, gate):
    token = customer.token(certs="")
    for where, cert in (("tls", gate.lamp), ("wss", gate.other), ("tls", None), ("tcp", None), ("ws", None)):
        assert code(gate, where, token, cert) == 0
    assert code(gate, "tls", customer.token(certs="*"), gate.other) == 0
    assert code(gate, "tls", customer.token(certs="*")) == 0x87


def test_a_certificate_of_another_authority_opens_nothing(stack, customer, gate, tmp_path):
    token = customer.token(certs="*")
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError, AssertionError)) as e:
        s = dial(gate, "tls", Names(tmp_path, "factory").named("lamp-7"))
        s.sendall(connect("c", token))
        assert s.recv(4)[:1] == b"\x20"     # TLS 1.3 tells it with the first answer
    assert e.value


@pytest.mark.parametrize("name", ["lämp 7", "電灯", "a, b*", "x" * 64], ids=["latin", "kanji", "marks", "64"])
def test_a_name_may_be_any_text(stack, customer, gate, name):
    mask = name.replace(",", "?")
    cert = gate.ca.named(name)
    with MosquittoSub(stack.port, customer.master, "flespi/log/#") as log:
        assert code(gate, "tls", customer.token(certs="other," + mask), cert, client_id="text") == 0
        assert record(log, "connected", "text")["cert"] == name
    assert code(gate, "tls", customer.token(certs=mask + "x"), cert) == 0x87


@pytest.mark.parametrize("subject,why", [("/O=lamp-7", "its subject has no common name"), ("/CN=lamp-7/CN=kettle", "its subject has several common names"),
                                         ("/CN=kettle/O=x/CN=lamp-7", "its subject has several common names"), ("/CN=lamp-7\x01", "holds what is no text"),
                                         ("/CN=lamp-7\x7f", "holds what is no text")],
                         ids=["none", "two", "two apart", "control", "delete"])
def test_a_certificate_whose_name_is_none_opens_the_door_and_is_nobody(stack, customer, gate, subject, why):
    cert, before = gate.ca.subject(subject), gate.log().count(why)
    with MosquittoSub(stack.port, customer.master, "flespi/log/#") as log:
        assert code(gate, "tls", customer.token(), cert, client_id="nobody") == 0
        assert "cert" not in record(log, "connected", "nobody")
    assert code(gate, "tls", customer.token(certs="*"), cert) == 0x87
    wait_for(lambda: gate.log().count(why) > before, 5)


# ---- Somebody in front ----

def v2(cn=None, verify=0, client=7, ssl_field=True, source="192.0.2.7"):
    """PROXY version 2, with what the one in front says of TLS."""
    inner = bytes([client]) + struct.pack(">I", verify) + b"\x21\0\x07TLSv1.3"
    if cn is not None:
        inner += b"\x22" + struct.pack(">H", len(cn)) + cn
    tlvs = b"\x20" + struct.pack(">H", len(inner)) + inner if ssl_field else b""
    body = socket.inet_aton(source) + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 4711, 1883) + tlvs
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(body)) + body


def test_a_load_balancer_that_ends_tls_tells_the_name(stack, customer, gate):
    token = customer.token(certs="lamp-7")
    with MosquittoSub(stack.port, customer.master, "flespi/log/#") as log:
        assert code(gate, "behind", token, before=v2(b"lamp-7"), client_id="front") == 0
        r = record(log, "connected", "front")
        assert (r["source"], r["cert"]) == ("192.0.2.7", "lamp-7")
    for header in (v2(b"kettle"), v2(b"lamp-7", verify=18), v2(b"lamp-7", client=1), v2(b"lamp-7", client=0), v2(None), v2(ssl_field=False), v2(b"lamp-7\x01"), v2(b"lamp-7" + b"x" * 250),
                   b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 1883\r\n"):
        assert code(gate, "behind", token, before=header) == 0x87, header
    assert code(gate, "behind", customer.token(certs="*"), before=v2(b"y" * 255)) == 0
    assert code(gate, "behind", customer.token(certs="*"), before=v2(b"y" * 256)) == 0x87


def test_a_load_balancer_that_looks_through_leaves_the_name_of_the_client(customer, gate):
    token = customer.token(certs="lamp-7")
    for header in (b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 1883\r\n", v2(ssl_field=False)):
        assert code(gate, "through", token, gate.lamp, before=header) == 0
        assert code(gate, "through", token, gate.other, before=header) == 0x87
        assert code(gate, "through", token, before=header) == 0x87


def test_a_load_balancer_that_begins_tls_anew_does_not_lend_its_name(customer, gate):
    token = customer.token(certs="lamp-7")
    for header, want in ((v2(b"lamp-7"), 0), (v2(b"kettle"), 0x87), (v2(None, client=1), 0x87), (v2(b"lamp-7", verify=1), 0x87)):
        assert code(gate, "through", token, gate.lamp, before=header) == want, header
    assert code(gate, "through", token, gate.other, before=v2(b"lamp-7")) == 0


def test_an_http_proxy_does_not_lend_its_name(customer, gate):
    token = customer.token(certs="lamp-7")
    assert code(gate, "site", token, gate.lamp) == 0                                              # it speaks for itself
    for header in (("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")):
        assert code(gate, "site", token, gate.lamp, headers=[header]) == 0x87, header


# ---- Changes ----

def ends(c, seconds=5):
    watch = Stopwatch()
    packets = c.closed(seconds)
    assert watch.seconds() <= seconds * SLOW
    return [(p.kind, p.code, p.properties.get(REASON)) for p in packets]


def test_who_has_not_the_name_any_more_is_sent_away(customer, gate):
    token = customer.token()
    lamp, other, none = (come(gate, "tls", token, cert, name)[0] for name, cert in (("lamp", gate.lamp), ("other", gate.other), ("none", None)))
    customer.change_token(token, certs="kettle,lamp-*")
    assert ends(none) == [(DISCONNECT, 0x87, b"this token needs a client certificate")]
    other.sync()
    customer.change_token(token, certs="lamp-*")
    assert ends(other) == [(DISCONNECT, 0x87, b"certificate not allowed for this token")]
    lamp.sync()
    assert code(gate, "tls", token, gate.other) == 0x87
    customer.change_token(token, certs="")
    wait_for(lambda: code(gate, "tls", token, None, client_id="again") == 0, 5, 0.1)
    lamp.sync()
    lamp.close()


def test_who_is_not_at_the_address_any_more_is_sent_away(customer, gate):
    token = customer.token()
    here, far = come(gate, "tls", token, None, "here")[0], come(gate, "behind", token, None, "far", before=v2())[0]
    customer.change_token(token, ips="192.0.2.*")
    assert ends(here) == [(DISCONNECT, 0x87, b"address not allowed for this token")]
    far.sync()
    customer.change_token(token, ips="192.0.3.*")
    assert ends(far) == [(DISCONNECT, 0x87, b"address not allowed for this token")]


def test_another_token_for_a_live_connection_must_fit_its_certificate(customer, gate):
    first, fits, wrong = customer.token(), customer.token(certs="lamp-7"), customer.token(certs="kettle")

    def begin():
        c = Raw(None, 5, sock=dial(gate, "tls", gate.lamp))
        c.send(connect("c", version=5, properties=((METHOD, "token"), (DATA, first))))
        assert c.expect(CONNACK).code == 0
        return c

    def present(c, token):
        c.send(packet(AUTH, bytes([0x19]) + props((METHOD, "token"), (DATA, token))))
        return c

    with begin() as c:
        assert present(c, fits).expect(AUTH).code == 0
        c.sync()
    with begin() as c:
        assert ends(present(c, wrong)) == [(DISCONNECT, 0x87, b"certificate not allowed for this token")]


# ---- Revocations ----

@pytest.fixture
def strict(stack, tmp_path):
    """A proxy that reads its authority and revocations from files of the test: .reload(authority) takes others."""
    server = ["tls_cert = %s/tls/server.pem" % stack.state, "tls_key = %s/tls/server.key" % stack.state]
    p = Proxy(stack, tmp_path / "p", "mqtts = 127.0.0.1:0", "wss = 127.0.0.1:0", "tls_client_ca = %s/ca.pem" % tmp_path, "tls_client_crl = %s/crl.pem" % tmp_path, *server)
    p.ca, p.authority = Names(tmp_path, "strict"), stack.ready["ca"]

    def put(authority):
        for source, name in ((authority.pem, "ca.pem"), (authority.crl, "crl.pem")):
            shutil.copy(source, tmp_path / (name + ".new"))
            (tmp_path / (name + ".new")).rename(tmp_path / name)

    def reload(authority):
        before = p.log().count("ev=certificates-reloaded")
        put(authority)
        p.signal(signal.SIGHUP)
        wait_for(lambda: p.log().count("ev=certificates-reloaded") > before, 10)

    p.reload = reload
    put(p.ca)
    with p:
        p.at = {d["kind"]: int(d["port"]) for d in p.listening()}
        yield p


GONE = [(DISCONNECT, 0x87, b"certificate is not valid any more")]


@pytest.mark.parametrize("where", ["tls", "wss"])
def test_a_certificate_that_is_revoked_ends_its_connections_and_no_others(customer, strict, where):
    token, kettle = customer.token(), strict.ca.issue("kettle")
    lamps = [come(strict, where, token, strict.ca.issue("lamp-%d" % i), "lamp-%d" % i)[0] for i in range(3)]
    lost = [come(strict, where, token, kettle, "kettle-%d" % i)[0] for i in range(3)]
    strict.ca.revoke(kettle[0])
    strict.reload(strict.ca)
    for c in lost:
        assert ends(c) == GONE
    for c in lamps:
        c.sync()
        c.close()
    wait_for(lambda: strict.log().count("ev=certificate-revoked cert=kettle why=\"certificate revoked\"") == 3, 5)


def test_when_an_authority_is_taken_away_its_clients_go(customer, strict, tmp_path):
    c, _ = come(strict, "tls", customer.token(), strict.ca.issue("lamp"))
    strict.reload(Names(tmp_path, "another"))
    assert ends(c) == GONE


def test_a_list_of_revocations_that_is_out_of_date_lets_nobody_in_and_sends_nobody_away(customer, strict):
    token, lamp, kettle = customer.token(), strict.ca.issue("lamp"), strict.ca.issue("kettle")
    stays, lost = come(strict, "tls", token, lamp, "stays")[0], come(strict, "tls", token, kettle, "lost")[0]
    strict.ca.revoke(kettle[0])
    run("ca", "-config", strict.ca.config, "-gencrl", "-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z", "-out", strict.ca.crl)
    strict.reload(strict.ca)
    assert ends(lost) == GONE       # what it says counts all the same
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
        come(strict, "tls", token, lamp, "new")
    stays.sync()
    stays.close()


# ---- REST ----

def test_names_are_set_and_shown_by_rest_and_the_command(stack, customer, gate):
    def show():
        status, answer = customer.rest("GET", "/platform/tokens/%d" % token.id)
        assert status == 200
        return answer["result"][0]["certs"]

    token = customer.token()
    assert show() == ""
    for good in ("lamp-*", "a,b?c,d e", "lämp"):
        customer.change_token(token, certs=good)
        assert show() == good
    customer.change_token(token, info="renamed")
    assert show() == "lämp"
    for bad in (["lamp"], None, 7, "a,,b", "a, b", ",", " a", "a\nb", "x" * 256, ",".join("x%d" % i for i in range(65))):
        status, answer = customer.rest("PUT", "/platform/tokens/%d" % token.id, {"certs": bad})
        assert status == 400 and "certs" in answer["errors"][0]["reason"], (bad, answer)
    assert show() == "lämp"
    ctl(stack, customer, "token", "update", str(token.id), "--certs", "lamp-7")
    assert show() == "lamp-7"
    key = ctl(stack, customer, "token", "create", "--certs", "lamp-*", "--info", "lamps").stdout.strip().split("\n")[-1]
    assert "lamp-*" in ctl(stack, customer, "token", "list").stdout
    assert code(gate, "tls", key, gate.lamp) == 0 and code(gate, "tls", key) == 0x87


def test_a_token_for_certificates_is_no_good_at_the_rest_api(customer):
    token = customer.token(access={"type": 1}, certs="*")
    status, answer = customer.rest("GET", "/platform/tokens/all", token=token)
    assert status == 403 and "certificate" in answer["errors"][0]["reason"]
    assert customer.rest("GET", "/auth/info", token=token)[0] == 200


# ---- Another endpoint ----

class Asking(Pair):
    """A proxy that asks an endpoint of ours. .asked: (key, name) of each question; .judge: name -> is it a yes."""

    def __init__(self, gate, folder, switch):
        super().__init__(folder, Endpoint(), "auth_certificate = %s\nauth_no = 60s\ntls_client_ca = %s\ntls_client_required = off\n" % (switch, gate.ca.pem))
        self.asked, self.judge = [], lambda name: True
        self.endpoint.answer = lambda authorization: self.reply

    def reply(self, handler):
        name = handler.headers.get("X-MBUS-Certificate")
        self.asked.append((handler.headers["Authorization"].split()[-1], name))
        status, headers, body = Endpoint.good() if self.judge(name) else (403, {"Content-Type": "application/json"}, b'{"errors":[]}')
        handler.send_response(status)
        for k, v in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(k, v)
        handler.end_headers()
        handler.wfile.write(body)

    def __enter__(self):
        self.start()
        self.authority = self.ready["ca"]
        self.at = {"tcp": self.ready["mqtt"], "tls": self.ready["mqtts"]}
        return self

    def __exit__(self, *_):
        self.stop()
        self.endpoint.close()


def test_the_endpoint_is_told_the_name_and_its_answer_is_of_both(gate, tmp_path):
    odd = gate.ca.named("lämp 7%")
    with Asking(gate, tmp_path, "on") as p:
        p.judge = lambda name: name == "lamp-7"
        for _ in range(2):      # the second time nobody is asked
            for cert, want in ((gate.lamp, 0), (gate.other, 0x87), (None, 0x87), (odd, 0x87), (gate.lamp, 0)):
                assert code(p, "tls", "key1", cert) == want
            assert code(p, "tcp", "key1") == 0x87
        assert p.asked == [("key1", "lamp-7"), ("key1", "kettle"), ("key1", None), ("key1", "l%C3%A4mp%207%25")]
        assert code(p, "tls", "key2", gate.lamp) == 0
        assert p.asked[4:] == [("key2", "lamp-7")]


def test_auth_asks_about_the_name_too(gate, tmp_path):
    with Asking(gate, tmp_path, "on") as p:
        p.judge = lambda name: name == "lamp-7"
        with Raw(None, 5, sock=dial(p, "tls", gate.lamp)) as c:
            c.send(connect("c", version=5, properties=((METHOD, "token"), (DATA, "key1"))))
            assert c.expect(CONNACK).code == 0
            c.send(packet(AUTH, bytes([0x19]) + props((METHOD, "token"), (DATA, "key2"))))
            assert c.expect(AUTH).code == 0
        assert p.asked == [("key1", "lamp-7"), ("key2", "lamp-7")]


def test_unless_it_is_switched_on_the_endpoint_is_told_no_name(gate, tmp_path):
    with Asking(gate, tmp_path, "off") as p:
        for cert in (gate.lamp, gate.other, None):
            assert code(p, "tls", "key1", cert) == 0
        assert p.asked == [("key1", None)]
