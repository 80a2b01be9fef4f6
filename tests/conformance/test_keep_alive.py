"""Chapters 3.1.2.10 and 3.12: keep alive, PINGREQ and PINGRESP."""
import time

from proofs import SERVER_KEEP_ALIVE, V, ended, proves
from rawmqtt import PINGREQ, PINGRESP, PUBLISH, Closed, open_client, packet, publish
from stack import SLOW, Stopwatch


@V
@proves("MQTT-3.12.4-1", "v3:MQTT-3.12.4-1")
def test_every_pingreq_is_answered_with_a_pingresp(stack, token, version):
    with open_client(stack.port, token, version=version) as c:
        for n in (1, 5):
            c.send(packet(PINGREQ) * n)
            assert [(p.kind, p.body) for p in (c.read() for _ in range(n))] == [(PINGRESP, b"")] * n
        assert c.sync() == []


@V
@proves("MQTT-3.1.2-22", "v3:MQTT-3.1.2-24", "MQTT-3.2.2-22", "v3:MQTT-3.1.2-8")
def test_silence_of_one_and_a_half_keep_alives_ends_as_a_failed_network(stack, token, version):
    with open_client(stack.port, token) as watch:
        watch.subscribe("will")
        c = open_client(stack.port, token, "k", version, keepalive=1, will=("will", "lost", 0, False))
        start, clock = time.monotonic(), Stopwatch(stack)
        if version == 5:
            assert SERVER_KEEP_ALIVE not in c.connack.properties
        ended(c, 0x8D)
        assert 1.4 <= time.monotonic() - start and clock.seconds() <= 2.7 * SLOW
        assert watch.expect(PUBLISH).payload == b"lost"


@V
@proves("MQTT-3.1.2-22", "v3:MQTT-3.1.2-24")
def test_any_packet_keeps_a_connection_alive(stack, token, version):
    with open_client(stack.port, token, "k", version, keepalive=1) as c:
        for data in (packet(12), publish("a", "x", version=version), packet(12)):
            time.sleep(0.9)
            c.send(data)
        c.sync()


@proves("MQTT-3.1.2-22", "MQTT-3.2.2-22")
def test_a_keep_alive_that_is_lowered_is_told(stack, token):
    for asked in (0, 301, 65535):
        with open_client(stack.port, token, "k", 5, keepalive=asked) as c:
            assert c.connack.properties[SERVER_KEEP_ALIVE] == 300
    with open_client(stack.port, token, "k", 5, keepalive=300) as c:
        assert SERVER_KEEP_ALIVE not in c.connack.properties


@V
@proves("MQTT-3.1.2-22", "v3:MQTT-3.1.2-24")
def test_what_the_server_sends_does_not_keep_a_silent_client_alive(stack, token, version):
    c = open_client(stack.port, token, "k", version, keepalive=1)
    c.subscribe("a")
    start, clock = time.monotonic(), Stopwatch(stack)
    with open_client(stack.port, token, "p") as p:
        try:
            for _ in range(12):
                p.publish("a", "x", qos=1).sync()
                try:
                    while c.read(0.3 / SLOW).kind == PUBLISH:
                        pass
                    break
                except TimeoutError:
                    pass
        except (Closed, ConnectionError):
            pass
    assert 1.4 <= time.monotonic() - start and clock.seconds() <= 2.7 * SLOW
    c.close()
