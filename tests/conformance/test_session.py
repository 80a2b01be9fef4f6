"""Chapters 3.1.2.11.2 and 4.1: how long a session lives, what belongs to it, and being taken over."""
import time

from proofs import SESSION_EXPIRY, V, durable, ended, messages, payloads, proves
from rawmqtt import PUBLISH, PUBREC, PUBREL, ack, disconnect, open_client


def leave(c, *data):
    c.send(disconnect(*data))
    assert c.closed() == []
    c.close()


def kept(stack, token, client_id, version=5):
    """Is there a session? Asking makes one."""
    with open_client(stack.port, token, client_id, **durable(version)) as c:
        return bool(c.present)


@V
@proves("MQTT-4.1.0-2", "v3:MQTT-3.1.2-6")
def test_a_session_without_expiry_ends_with_its_connection(stack, token, version):
    clean = {"version": version, "clean": True}
    for how in ("cut", "disconnect"):
        c = open_client(stack.port, token, "c", **clean)
        c.subscribe(("a", 1))
        c.sync()
        leave(c) if how == "disconnect" else c.close()
        with open_client(stack.port, token, "p") as p:
            p.publish("a", "x", qos=1).sync()
        with open_client(stack.port, token, "c", **durable(version)) as c:
            assert c.present == 0 and c.sync() == []
        with open_client(stack.port, token, "c", **clean):      # away with what asking made
            pass


@proves("MQTT-4.1.0-2", "MQTT-3.1.2-23")
def test_a_session_without_expiry_ends_even_if_it_was_a_resumed_one(stack, token):
    with open_client(stack.port, token, "c", **durable(5)) as c:
        c.subscribe("a")
    with open_client(stack.port, token, "c", 5, clean=False) as c:
        assert c.present == 1
    assert not kept(stack, token, "c")


@proves("MQTT-4.1.0-2", "MQTT-3.1.2-23", "MQTT-3.2.2-3")
def test_a_session_lives_as_long_as_its_expiry_and_no_longer(stack, token):
    for name, expiry in (("short", 1), ("long", 60)):
        with open_client(stack.port, token, name, **durable(5, expiry)) as c:
            c.subscribe(("a", 1))
    assert kept(stack, token, "long")
    time.sleep(2.2)
    with open_client(stack.port, token, "short", **durable(5)) as c:
        assert c.present == 0 and c.sync() == []
    assert kept(stack, token, "long")


@proves("MQTT-4.1.0-1", "v3:MQTT-4.1.0-2")
def test_a_session_stays_while_its_connection_is_open_whatever_its_expiry(stack, token):
    with open_client(stack.port, token, "c", **durable(5, 1)) as c:
        c.subscribe(("a", 1))
        time.sleep(2.2)
        c.publish("a", "x", qos=1)
        assert payloads(c.sync()) == [b"x"]


@V
@proves("v3:MQTT-4.1.0-2", "MQTT-4.1.0-1", "v3:MQTT-4.1.0-1")
def test_state_of_an_open_connection_is_not_lost_with_clean_start_either(stack, token, version):
    with open_client(stack.port, token, "c", version) as c, open_client(stack.port, token, "p", version) as p:
        c.subscribe(("a", 2))
        p.publish("a", "x", qos=2, pid=5)
        m = c.expect(PUBLISH)
        c.send(ack(PUBREC, m.pid, version=version))
        assert c.expect(PUBREL).pid == m.pid
        p.expect(PUBREC)
        p.publish("a", "x", qos=2, pid=5, dup=True)
        p.expect(PUBREC)
        assert c.sync() == []


@proves("MQTT-4.1.0-2", "MQTT-3.1.2-23")
def test_disconnect_changes_the_expiry(stack, token):
    c = open_client(stack.port, token, "ended", **durable(5))
    leave(c, 0, ((SESSION_EXPIRY, 0),))
    assert not kept(stack, token, "ended")
    c = open_client(stack.port, token, "longer", **durable(5, 1))
    leave(c, 0, ((SESSION_EXPIRY, 60),))
    c = open_client(stack.port, token, "shorter", **durable(5, 60))
    leave(c, 0, ((SESSION_EXPIRY, 1),))
    time.sleep(2.2)
    assert kept(stack, token, "longer") and not kept(stack, token, "shorter")


@proves("MQTT-4.13.1-1")
def test_disconnect_cannot_keep_a_session_that_was_to_end(stack, token):
    for properties in ((), ((SESSION_EXPIRY, 0),)):
        c = open_client(stack.port, token, "c", 5, properties=properties)
        c.send(disconnect(0, ((SESSION_EXPIRY, 60),)))
        ended(c, 0x82)
        assert not kept(stack, token, "c")
        with open_client(stack.port, token, "c", 5):
            pass


@proves("MQTT-3.1.2-23")
def test_an_expiry_that_is_lowered_is_told_and_one_that_is_not_is_not(stack, token):
    for asked in (0xFFFFFFFF, 8 * 86400):
        with open_client(stack.port, token, "c", **durable(5, asked)) as c:
            assert c.connack.properties[SESSION_EXPIRY] == 7 * 86400
    with open_client(stack.port, token, "c", **durable(5, 3600)) as c:
        assert c.connack.properties.get(SESSION_EXPIRY, 3600) == 3600


@V
@proves("MQTT-3.1.4-3", "v3:MQTT-3.1.4-2", "MQTT-3.1.2-5", "v3:MQTT-3.1.2-4", "MQTT-4.4.0-1", "v3:MQTT-4.4.0-1")
def test_a_take_over_goes_on_with_the_session(stack, token, version):
    a = open_client(stack.port, token, "same", **durable(version))
    a.subscribe(("x", 1))
    a.publish("x", "1", qos=1)
    first = messages(a.sync())
    b = open_client(stack.port, token, "same", **durable(version))
    assert b.present == 1
    ended(a, 0x8E)
    assert [(m.payload, m.pid, m.dup) for m in messages(b.sync())] == [(b"1", first[0].pid, True)]
    b.close()


@V
@proves("MQTT-3.1.4-3", "v3:MQTT-3.1.4-2")
def test_the_later_of_many_connections_stays(stack, token, version):
    clients = [open_client(stack.port, token, "same", version) for _ in range(6)]
    for c in clients[:-1]:
        ended(c, 0x8E)
    clients[-1].sync()
    clients[-1].close()


@V
@proves("MQTT-3.1.2-23", "v3:MQTT-3.1.2-5", "v3:MQTT-4.1.0-1")
def test_subscriptions_with_their_options_belong_to_the_session(stack, token, version):
    with open_client(stack.port, token, "c", **durable(version)) as c:
        if version == 5:
            c.subscribe(("a", 0x04 | 0x08 | 0x20 | 1), properties=((0x0B, 42),))
        else:
            c.subscribe(("a", 1))
    with open_client(stack.port, token, "c", **durable(version)) as c, open_client(stack.port, token, "p", version) as p:
        c.publish("a", "own", qos=2)
        c.sync()
        p.publish("a", "theirs", qos=2, retain=True)
        p.sync()
        got = [m for m in messages(c.sync()) if m.payload == b"theirs"]
        assert [(m.qos, m.retain, m.properties.get(0x0B)) for m in got] == [(1, version == 5, [42] if version == 5 else None)]


@proves("MQTT-3.1.2-4", "v3:MQTT-3.1.2-6")
def test_a_session_of_one_version_goes_on_in_the_other(stack, token):
    with open_client(stack.port, token, "c", **durable(4)) as c:
        c.subscribe(("a", 1))
    with open_client(stack.port, token, "p", 5) as p:
        p.publish("a", "x", qos=1, properties=((0x26, "k", "v"),)).sync()
    with open_client(stack.port, token, "c", **durable(5)) as c:
        assert c.present == 1
        assert [m.user for m in messages(c.sync())] == [[("k", "v")]]
    with open_client(stack.port, token, "c", **durable(4)) as c:
        assert [(m.payload, m.dup) for m in messages(c.sync())] == [(b"x", True)]
