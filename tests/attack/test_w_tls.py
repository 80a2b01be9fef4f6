"""Attacks W01 to W10 and W22: TLS, on 8883 and (where it is the same code) on 443. What a reload does is in test_w_reload.py."""
import os
import re
import signal
import ssl
import struct
import subprocess
import time

import pytest
from certs import Authority
from clients import MqttJs, Paho, mosquitto_pub
from doors import WebSocket, context, dial, port, read_all, tls
from proxy import Proxy
from resources import own_memory
from rawmqtt import CONNACK, PUBACK, PUBLISH, Closed, Raw, connect, open_client, publish
from stack import SLOW, Stack, Stopwatch, wait_for

pytestmark = pytest.mark.one_door("TLS: each test names its doors")

TLS_DOORS = pytest.mark.parametrize("where", ["tls", "wss"])


def ended(sock, timeout=5):
    """What came until the server closed; fails when it does not."""
    sock.settimeout(timeout * SLOW)
    return read_all(sock)


def shake(p, **more):
    """A handshake by a client with these attributes; it is closed again."""
    with tls(dial(int(p)), p.ca, **more) as s:
        return s.version(), s.cipher()[0], s.selected_alpn_protocol()


def refuses(p, **more):
    with pytest.raises((ssl.SSLError, ConnectionResetError)) as e:
        shake(p, **more)
    return str(e.value)


def old(c, low, high, ciphers="ALL:@SECLEVEL=0"):
    c.minimum_version, c.maximum_version = low, high
    c.set_ciphers(ciphers)
    return c


def handshake_with(p, c):
    with dial(int(p)) as s, c.wrap_socket(s, server_hostname="localhost") as t:
        return t.version(), t.cipher()[0]


@TLS_DOORS
def test_W01_old_versions_and_weak_suites_are_refused(stack, where):
    p = port(stack.ready, where)
    with pytest.warns(DeprecationWarning):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                handshake_with(p, old(context(p.ca), version, version))
    for suites in ("AES128-SHA:AES256-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8", "eNULL", "AES128-GCM-SHA256", "aNULL"):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            handshake_with(p, old(context(p.ca), ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, suites + ":@SECLEVEL=0"))
    for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"):
        assert handshake_with(p, old(context(p.ca), ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, suite)) == ("TLSv1.2", suite)
    assert shake(p)[0] == "TLSv1.3"
    with dial(int(p)) as s:
        t = context(p.ca).wrap_socket(s, server_hostname="localhost")
        assert t.compression() is None
        t.close()


def s_client(p, *more):
    return subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % p, "-CAfile", p.ca, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace")


def test_W02_renegotiation_is_refused(stack):
    c = s_client(port(stack.ready, "tls"), "-tls1_2")
    time.sleep(0.3 * SLOW)
    c.stdin.write("R\n")
    c.stdin.flush()
    said = c.communicate(timeout=20 * SLOW)[0]
    assert "RENEGOTIATING" in said and "no renegotiation" in said
    assert "Secure Renegotiation IS supported" in said


# W02, changes of keys: tests/unit/proxy_tls.c; no command line client sends them alone.


def client_hello(extensions=b"", random_bytes=None):
    body = b"\x03\x03" + (random_bytes or os.urandom(32)) + b"\0" + struct.pack(">H", 4) + b"\xc0\x2b\xc0\x2f" + b"\x01\0" + struct.pack(">H", len(extensions)) + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def records(message, size=16384):
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(message[i:i + size])) + message[i:i + size] for i in range(0, len(message), size))


@TLS_DOORS
def test_W03_a_hello_of_many_kilobytes_and_one_of_a_thousand_extensions(stack, where):
    p = port(stack.ready, where)
    padding = struct.pack(">HH", 21, 40000) + bytes(40000)
    with dial(int(p)) as s:
        try:
            s.sendall(records(client_hello(padding)))
        except (BrokenPipeError, ConnectionResetError):
            pass
        ended(s)
    wait_for(lambda: "handshake too long" in stack.log("proxy"), 5)
    many = b"".join(struct.pack(">HH", 0x5000 + i, 0) for i in range(1000))
    with dial(int(p)) as s:
        s.sendall(records(client_hello(many)))
        s.settimeout(5 * SLOW)
        assert s.recv(5)[:1] in (b"\x16", b"\x15")      # an answer or an alert, at once
    shake(p)


def test_W03_a_hello_that_trickles_is_closed_at_half_the_deadline(own):
    start, watch = time.monotonic(), Stopwatch(own)
    with dial(own.ready["mqtts"]) as s:
        for byte in records(client_hello()):
            try:
                s.sendall(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                break
            if time.monotonic() > start + 3 * SLOW:
                break
            time.sleep(0.1)
        ended(s, 1)
    assert 0.9 <= time.monotonic() - start and watch.seconds() < 2 * SLOW


def test_W04_a_storm_of_handshakes_does_not_starve_who_is_connected(stack, customer):
    p = port(stack.ready, "tls")
    out = ssl.MemoryBIO()
    try:
        context(p.ca).wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = out.read()
    with open_client(p, customer.token(), "steady") as c:
        c.sync()
        storm, worst = [dial(int(p)) for _ in range(400)], 0
        try:
            for s in storm:
                s.sendall(hello)
            for _ in range(20):
                begin = time.monotonic()
                c.sync()
                worst = max(worst, time.monotonic() - begin)
        finally:
            for s in storm:
                s.close()
    assert worst < 0.25 * SLOW, worst


def mutual(tmp_path, crl=True):
    ca = Authority(tmp_path, "clients")
    crl_line = "tls_client_crl = %s\n" % ca.crl if crl else ""
    return ca, Stack(tmp_path / "state", "[proxy]\ntls_client_ca = %s\n%s" % (ca.pem, crl_line))


def connects(s, where, cert):
    """CONNACK, or None: the door did not open."""
    p = port(s.ready, where)
    try:
        sock = tls(dial(int(p)), p.ca, cert=cert)
        if where == "wss":
            sock = WebSocket(sock)
        with Raw(p, sock=sock) as c:
            c.send(connect("c", s.master))
            return c.expect(CONNACK).code
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError, Closed):
        return None


def test_W05_W06_client_certificates_on_both_tls_doors(tmp_path):
    ca, s = mutual(tmp_path)
    good, lost, old_one = ca.issue("good"), ca.issue("lost"), ca.issue("expired", end="20210101000000Z")
    foreign = Authority(tmp_path, "foreign").issue("good")
    odd = ca.issue("*.com")
    ca.revoke(lost[0])
    s.start()
    try:
        for where in ("tls", "wss"):
            assert connects(s, where, good) == 0
            assert connects(s, where, odd) == 0                 # a name grants nothing: the token says who it is
            for bad in (None, lost, old_one, foreign):
                assert connects(s, where, bad) is None, (where, bad)
        with open_client(s.port, s.master):
            pass                                                # 1883 asks for none
        ca.revoke(good[0])                                      # also for who was in a moment ago
        reloads = s.log("proxy").count("certificates-reloaded")
        wait_for(lambda: s.log("proxy").count("certificates-reloaded") > reloads, 10)
        for where in ("tls", "wss"):
            wait_for(lambda: connects(s, where, good) is None, 5)
    finally:
        s.stop()


def test_W06_there_are_no_tickets_where_certificates_are_asked_for(tmp_path):
    ca, s = mutual(tmp_path, crl=False)
    good = ca.issue("good")
    s.start()
    try:
        p = port(s.ready, "tls")
        with tls(dial(int(p)), p.ca, cert=good, maximum_version=ssl.TLSVersion.TLSv1_2) as c:
            assert not c.session.has_ticket
    finally:
        s.stop()


def test_W08_a_wrong_language_is_closed_on_every_port(stack):
    tcp, mqtts, ws, wss = (port(stack.ready, d) for d in ("tcp", "tls", "ws", "wss"))
    hello = records(client_hello())
    for p, words in ((mqtts, connect("c", "x")), (mqtts, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), (tcp, hello), (tcp, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                     (ws, hello), (ws, connect("c", "x")), (wss, connect("c", "x")), (wss, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), (tcp, b"PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n")):
        with dial(int(p)) as s:
            s.sendall(words)
            said = ended(s)
            assert b"\x20\x02\0\0" not in said and b" 101 " not in said, (p.door, words[:20])


def test_W09_only_the_protocol_of_the_door_is_spoken(stack):
    mqtts, wss = port(stack.ready, "tls"), port(stack.ready, "wss")
    assert shake(mqtts)[2] is None and shake(wss)[2] is None
    assert shake(mqtts, alpn=["mqtt"])[2] == "mqtt" and shake(mqtts, alpn=["x", "mqtt"])[2] == "mqtt"
    assert shake(wss, alpn=["h2", "http/1.1"])[2] == "http/1.1"
    for p, names in ((mqtts, ["http/1.1"]), (mqtts, ["h2"]), (mqtts, ["mqt"]), (mqtts, ["mqtt2"]), (wss, ["mqtt"]), (wss, ["h2"])):
        assert "no application protocol" in refuses(p, alpn=names).lower().replace("_", " "), names


def test_W10_tickets_allow_no_early_data_and_a_resumed_session_is_judged_again(stack, customer, tmp_path):
    p, token = port(stack.ready, "tls"), customer.token()
    path = tmp_path / "ticket"
    ticket = str(path)
    c = s_client(p, "-tls1_3", "-sess_out", ticket, "-ign_eof")
    wait_for(lambda: path.exists() and path.read_text().rstrip().endswith("-----END SSL SESSION PARAMETERS-----"), 10)     # it is there before it is whole
    c.kill()
    c.communicate()
    said = subprocess.run(["openssl", "sess_id", "-in", ticket, "-noout", "-text"], capture_output=True, text=True).stdout
    assert "Max Early Data: 0" in said and "TLSv1.3" in said
    early = tmp_path / "early"
    early.write_bytes(connect("early", token))
    c = s_client(p, "-tls1_3", "-sess_in", ticket, "-early_data", str(early))
    time.sleep(0.3 * SLOW)
    out = c.communicate(timeout=10 * SLOW)[0]
    assert "Early data was not sent" in out and "Reused" in out
    customer.delete_token(token)
    tls12 = context(p.ca)
    tls12.maximum_version = ssl.TLSVersion.TLSv1_2
    first = tls12.wrap_socket(dial(int(p)), server_hostname="localhost")
    again = tls12.wrap_socket(dial(int(p)), server_hostname="localhost", session=first.session)
    assert again.session_reused
    with Raw(p, sock=again) as r:
        r.send(connect("c", token))
        assert r.expect(CONNACK).code in (4, 5)
    first.close()


@TLS_DOORS
def test_who_does_not_know_the_authority_does_not_speak_to_us(stack, customer, where):
    token, p = customer.token(), port(stack.ready, where)
    p.ca = "/etc/ssl/certs/ca-certificates.crt"
    if where == "tls":
        assert mosquitto_pub(p, token, "a", "x")[0] != 0
    with MqttJs(p, token, "js") as j:
        assert j.first["event"] == "error" and "certificate" in j.first["text"]
    with pytest.raises(ssl.SSLError, match="certificate"):
        Paho(p, token, "paho")
    assert token not in stack.log("proxy")


def test_tickets_are_good_on_every_worker(tmp_path):
    s = Stack(tmp_path / "s", workers=4)
    s.start()
    try:
        p = port(s.ready, "tls")
        c = context(p.ca)
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        with c.wrap_socket(dial(int(p)), server_hostname="localhost") as first:
            session = first.session
        for _ in range(16):
            with c.wrap_socket(dial(int(p)), server_hostname="localhost", session=session) as again:
                assert again.session_reused
    finally:
        s.stop()


def test_certificates_are_chosen_by_name_and_by_kind_of_key(tmp_path):
    ca = Authority(tmp_path)
    pairs = [ca.issue("first", "DNS:localhost,IP:127.0.0.1"), ca.issue("rsa", "DNS:localhost", kind="rsa"), ca.issue("other", "DNS:*.other.example")]
    s = Stack(tmp_path / "s", "[proxy]\ntls_cert = %s\ntls_key = %s\n" % (", ".join(p[0] for p in pairs), ", ".join(p[1] for p in pairs)))
    s.start()
    try:
        number = s.ready["mqtts"]

        def common_name(host, suites=None):
            c = context(ca.pem)
            c.check_hostname = False
            if suites:
                c.maximum_version = ssl.TLSVersion.TLSv1_2
                c.set_ciphers(suites)
            with c.wrap_socket(dial(number), server_hostname=host) as t:
                return dict(x[0] for x in t.getpeercert()["subject"])["commonName"]

        assert common_name("localhost") == "first" and common_name("localhost", "ECDHE-RSA-AES128-GCM-SHA256") == "rsa"
        assert common_name("a.other.example") == "other" and common_name("A.OTHER.example") == "other"
        assert common_name(None) == "first" and common_name("nobody.example") == "first"
        with pytest.raises(ssl.SSLError):
            common_name("a.other.example", "ECDHE-RSA-AES128-GCM-SHA256")       # that host has no RSA certificate
    finally:
        s.stop()


@TLS_DOORS
def test_idle_memory_of_a_tls_connection(stack, customer, tmp_path, where):
    """OpenSSL's state and everything else of a connection, no buffers: 16 KiB at most."""
    if SLOW > 1:
        pytest.skip("sanitizers keep freed memory")
    kind, token, count = {"tls": "mqtts", "wss": "wss"}[where], customer.token(), 1000
    # a process of its own: memory that others gave back would be used first
    with Proxy(stack, tmp_path, "workers = 1", kind + " = 127.0.0.1:0", "tls_cert = %s/tls/server.pem" % stack.state, "tls_key = %s/tls/server.key" % stack.state) as p:
        warm = [open_client(p.door(where), token) for _ in range(50)]
        before = own_memory(p.process.pid)
        clients = [open_client(p.door(where), token) for _ in range(count)]
        used = (own_memory(p.process.pid) - before) / count
        for c in clients + warm:
            c.close()
    assert 8 * 1024 < used < 16 * 1024, used


# ---- W22: many records that bring next to nothing ----

class Records:
    """A client whose TLS records have as many bytes as it likes."""

    def __init__(self, p):
        self.come, self.go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context(p.ca).wrap_bio(self.come, self.go, server_hostname="localhost")
        self.sock = dial(int(p))
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.come.write(self.sock.recv(65536))
        self.flush()

    def flush(self):
        self.sock.sendall(self.go.read())

    def write(self, data, size):
        for at in range(0, len(data), size):
            self.tls.write(data[at:at + size])

    def read(self):
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.come.write(self.sock.recv(65536))


def longest_turn_us(stack):
    """Of its proxy, since the last time."""
    before = stack.log("proxy").count("ev=numbers")
    os.kill(stack.ready["pids"]["proxy"], signal.SIGUSR2)
    wait_for(lambda: stack.log("proxy").count("ev=numbers") > before, 10)
    return int(re.findall(r"longest_turn_cpu_us=(\d+)", stack.log("proxy"))[-1])


def test_W22_records_of_a_byte_are_charged_to_whose_they_are(tmp_path):
    """40 connections of one customer send 2,600 records each at once: each read takes a millisecond, and was as good as free."""
    one = Stack(tmp_path, config="[proxy]\nworkers = 1\n")
    one.start()
    try:
        where, token = port(one.ready, "tls"), one.new_customer().token()
        big = publish("t", b"x" * 10000, qos=1, pid=1, version=5)
        clients = []
        for i in range(40):
            r = Records(where)
            r.write(connect("c%d" % i, token, version=5), 65536)
            r.flush()
            assert r.read()[0] >> 4 == CONNACK
            r.write(big[:2600], 1)
            clients.append(r)
        with open_client(one.port, one.new_customer().token(), "b", 5) as b:
            b.subscribe("t")
            longest_turn_us(one)
            for r in clients:
                r.flush()
            for i in range(50):
                b.publish("t", b"%d" % i)
                assert b.expect(PUBLISH).payload == b"%d" % i
            assert longest_turn_us(one) < 30000 * SLOW    # it was 100000
        for r in clients:    # none of it is lost
            r.write(big[2600:], 16384)
            r.flush()
            assert r.read()[0] >> 4 == PUBACK
            r.sock.close()
        one.check_alive()
    finally:
        one.stop()
