"""Limits that are the server's alone (docs/limits.md): all connections, the answer to a CONNECT, half-received packets, what waits for slow
readers, records of the log. Small settings, real sockets."""
import json
import socket
import threading
import time

import pytest
from doors import connect_door
from endpoint import Endpoint, Pair
from rawmqtt import CONNACK, DISCONNECT, PUBACK, PUBLISH, UNSUBACK, Closed, Raw, ack, connect, open_client, packet, publish, unsubscribe
from stack import SLOW, Stack, Stopwatch, wait_for

V = pytest.mark.parametrize("version", [4, 5])
FEW = """[proxy]
workers = 1
connections_max = 12
partial_bytes = 256k
waiting_bytes = 1m
out_high = 64m
out_low = 1k
write_deadline = 60s
[core]
customer_subscriptions = 100
"""


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    s = Stack(tmp_path_factory.mktemp("few"), config=FEW)
    s.start()
    yield s
    s.check_alive()
    s.stop()


def accepted(port, token, version):
    try:
        c = Raw(port, version)
        return c if c.connect("", token).code == 0 else None
    except (Closed, ConnectionError):
        return None


@V
def test_there_are_so_many_connections_in_all(few, version):
    tokens = [few.new_customer().token() for _ in range(3)]
    wait_for(lambda: take_all(few, tokens, version) == 12, 5)
    assert "not-accepted" in few.log("proxy")


def take_all(stack, tokens, version):
    """How many get in; those of another test may not have gone yet."""
    kept = []
    while len(kept) < 20:
        c = accepted(stack.port, tokens[len(kept) % 3], version)
        if not c:
            break
        kept.append(c)
    for c in kept:
        c.send(packet(DISCONNECT)).close()
    return len(kept)


@V
def test_half_received_packets_of_all_have_a_limit_and_the_oldest_makes_room(few, version):
    token = few.new_customer().token()
    body = publish("t", b"x" * 120000, version=version)

    def began():
        c = open_client(few.port, token, "", version)
        return c.send(body[:110000])
    wait_for(lambda: accepted(few.port, token, version), 5).close()
    first, second = began(), began()
    with open_client(few.port, token, "", version) as w:
        w.subscribe("t")
        third = began()    # 330 kB of 256
        told = [p.code for p in first.closed() if p.kind == DISCONNECT]
        assert told == ([0x97] if version == 5 else [])
        for c in (second, third):
            c.send(body[110000:])
            assert len(w.expect(PUBLISH).payload) == 120000
            c.close()


def deaf(stack, token, version, qos):
    c = Raw(stack.port, version, sock=small_socket(stack.port))
    assert c.connect("", token).code == 0
    c.subscribe(("big", qos))
    return c


def small_socket(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", int(port)))
    return connect_door(port, sock=s)


def resident(stack):
    with open("/proc/%d/status" % stack.ready["pids"]["proxy"]) as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))


@V
def test_what_waits_for_all_slow_readers_together_has_a_limit(few, version):
    """QoS 0 is dropped; nobody else is slowed down."""
    customer = few.new_customer()
    token = customer.token()
    wait_for(lambda: accepted(few.port, token, version), 5).close()
    slow = [deaf(few, token, version, 0) for _ in range(4)]
    with open_client(few.port, token, "", version) as p, open_client(few.port, token, "", version) as w:
        w.subscribe("small")
        before = resident(few)
        for i in range(150):
            p.publish("big", b"x" * 100000)
            p.sync()
        assert SLOW > 1 or resident(few) - before < 8 << 20    # four times 15 MB was sent
        p.publish("small", "yes")
        assert w.expect(PUBLISH).payload == b"yes"
    for c in slow:
        c.close()


@V
@pytest.mark.parametrize("qos", [0, 1])
def test_over_that_limit_who_reads_still_gets_everything(few, version, qos):
    token = few.new_customer().token()
    wait_for(lambda: accepted(few.port, token, version), 5).close()
    slow = [deaf(few, token, version, 0) for _ in range(4)]
    with open_client(few.port, token, "", version) as p, open_client(few.port, token, "", version) as w:
        w.subscribe(("big", qos))
        for i in range(150):
            p.publish("big", b"%03d" % i + b"x" * 100000, qos=qos, pid=i + 1)
            if qos:
                p.expect(PUBACK)
            got = w.expect(PUBLISH)
            assert got.payload[:3] == b"%03d" % i
            if qos:
                w.send(ack(PUBACK, got.pid, version=version))
    for c in slow:
        c.close()


@V
def test_over_that_limit_a_slow_reader_of_qos_1_is_closed_and_its_session_keeps_the_messages(few, version):
    customer = few.new_customer()
    # much more under way than the sockets of this machine can hold
    few.rest("PUT", "/platform/subaccounts/%d" % customer.cid, {"limits": {"mqtt_session_storage": 64 << 20}})
    token = customer.token()
    wait_for(lambda: accepted(few.port, token, version), 5).close()
    slow = []
    for i in range(2):
        c = Raw(few.port, version, sock=small_socket(few.port))
        assert c.connect("slow%d" % i, token, clean=False, properties=((0x11, 600),) if version == 5 else ()).code == 0
        c.subscribe(("big", 1))
        slow.append(c)
    # the customer's own log: in the program's, closes of the tests before may have used up the lines of this second
    with open_client(few.port, customer.master) as w, open_client(few.port, token, "", version) as p:
        w.subscribe("flespi/log/mqtt/sessions/+/disconnected")
        for i in range(100):
            p.publish("big", b"%03d" % i + b"x" * 200000, qos=1, pid=i + 1).expect(PUBACK)
        assert json.loads(w.expect(PUBLISH).payload)["close_code"] == 0x83
    for c in slow:
        c.close()
    with open_client(few.port, token, "slow0", version, clean=False, properties=((0x11, 600),) if version == 5 else ()) as c:
        assert c.present and c.expect(PUBLISH).payload[:3] == b"000"


# ---- No answer ----

@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    """A proxy whose endpoint takes long for tokens that begin with "slow"."""
    endpoint = Endpoint()
    stop = threading.Event()

    def answer(auth):
        if "slow" in auth:
            stop.wait(30)
        return endpoint.good()
    endpoint.answer = answer
    pair = Pair(tmp_path_factory.mktemp("silent"), endpoint, config="auth_timeout = 60s\nanswer_deadline = 1s\n")
    pair.start()
    yield pair
    stop.set()
    pair.check_alive()
    pair.stop()
    endpoint.close()


@V
def test_who_gets_no_verdict_in_time_is_told_so(silent, version):
    begin, watch = time.monotonic(), Stopwatch(silent)
    with Raw(silent.port, version) as c:
        assert c.connect("", "slow%d" % version).code == (0x88 if version == 5 else 3)
        assert c.closed() == []
    assert 0.8 < time.monotonic() - begin and watch.seconds() < 5 * SLOW
    open_client(silent.port, "quick", "", version).close()


def test_bytes_that_come_while_an_answer_is_awaited_do_not_prolong_it(silent):
    begin, watch = time.monotonic(), Stopwatch(silent)
    with Raw(silent.port, 5) as c:
        c.send(connect("", username="slow-more", version=5))
        while watch.seconds() < 10 * SLOW:
            try:
                c.send(b"\xc0\0")
                c._fill(0.1)
                break
            except (socket.timeout, TimeoutError):
                pass
        assert c.expect(CONNACK).code == 0x88
    assert 0.8 < time.monotonic() - begin and watch.seconds() < 5 * SLOW


# ---- Records of the log ----

def refused(port, token, client_id):
    with Raw(port, 5) as c:
        assert c.connect(client_id, token).code == 0x87


def records(w, seconds=1.0):
    """What comes until it is quiet for so long."""
    out = []
    while True:
        try:
            p = w.read(seconds)
        except TimeoutError:
            return out
        if p.kind == PUBLISH:
            out.append(json.loads(p.payload))


def test_a_connection_has_60_records_of_its_subscriptions_a_minute(few):
    customer = few.new_customer()
    wait_for(lambda: accepted(few.port, customer.master, 4), 5).close()
    with open_client(few.port, customer.master, "w", 5) as w:
        w.subscribe("flespi/log/mqtt/sessions/many/#")
        c = open_client(few.port, customer.token(), "many")
        count = 0
        for at in range(0, 80, 8):
            c.subscribe(*["f/%d" % i for i in range(at, at + 8)])
            time.sleep(0.3)    # those of a token have a limit per second, too
        c.send(packet(DISCONNECT)).closed()
        got = records(w)
        count = len([r for r in got if r["event_code"] == 520])
        last = [r for r in got if r["event_code"] == 503][0]
        # a minute may have ended meanwhile
        assert count + last.get("subscriptions_not_logged", 0) == 80 and 60 <= count < 80 or count == 80


def test_a_token_has_50_records_a_second_and_the_next_says_how_many_were_left_out(few):
    customer = few.new_customer()
    token = customer.token()
    wait_for(lambda: accepted(few.port, token, 4), 5).close()
    with open_client(few.port, customer.master, "w", 5) as w:
        w.subscribe("flespi/log/mqtt/sessions/flap/#")
        begin = time.monotonic()
        for _ in range(60):
            open_client(few.port, token, "flap").send(packet(DISCONNECT)).closed()
        seconds = time.monotonic() - begin
        time.sleep(1.1)
        open_client(few.port, token, "flap").send(packet(DISCONNECT)).closed()
        got = records(w)
        left_out = sum(r.get("suppressed", 0) for r in got)
        assert len(got) + left_out == 122
        if seconds < 1:
            assert left_out > 0
        assert len(got) <= 50 * (seconds + 2) + 2


def test_refused_tokens_of_one_customer_cost_another_no_record_and_tell_it_nothing(few):
    loud, quiet = few.new_customer(), few.new_customer()
    flood = [loud.token(enabled=False) for _ in range(81)]
    mine = [quiet.token(enabled=False) for _ in range(34)]
    with open_client(few.port, quiet.master, "log", 5) as w, open_client(few.port, loud.master, "log", 5) as v:
        w.subscribe("flespi/log/mqtt/sessions/+/blocked")
        v.subscribe("flespi/log/mqtt/sessions/+/blocked")
        begin = time.monotonic()
        for i in range(80):
            refused(few.port, flood[i], "loud%d" % i)
            if i % 2 and i // 2 < 30:
                refused(few.port, mine[i // 2], "quiet%d" % i)
        seconds = time.monotonic() - begin
        time.sleep(1.1)
        for i in range(30, 34):
            refused(few.port, mine[i], "late%d" % i)
        refused(few.port, flood[80], "loud")
        got, theirs = records(w), records(v)
        assert len(got) == 34 and not any("suppressed" in r for r in got)
        assert len(theirs) + sum(r.get("suppressed", 0) for r in theirs) == 81
        assert seconds > 1 or any("suppressed" in r for r in theirs)


@V
def test_a_filter_that_the_core_refuses_does_not_count_as_a_subscription_of_the_session(few, version):
    customer, over = few.new_customer(), 0x97 if version == 5 else 0x80
    with open_client(few.port, customer.token(), "all", version) as a, \
            open_client(few.port, customer.token(limits={"mqtt_subscriptions": 3}), "", version) as b:
        names = ["f/%d" % i for i in range(100)]
        for at in range(0, 100, 20):
            assert a.subscribe(*names[at:at + 20]) == [0] * 20
        for _ in range(2):
            assert b.subscribe("a", "b", "c") == [over] * 3
        a.send(unsubscribe(*names[:3], version=version)).expect(UNSUBACK)
        assert b.subscribe("d", "e", "f", "g") == [0, 0, 0, over]
