"""Chapter 4.8: shared subscriptions."""
import pytest
from proofs import RECEIVE_MAXIMUM, SUBSCRIPTION_ID, V, durable, messages, payloads, proves, settled
from rawmqtt import PUBACK, PUBLISH, PUBREC, PUBREL, ack, disconnect, open_client, unsubscribe


@V
@pytest.mark.parametrize("bad", ["$share", "$share/", "$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/#/a", "$share/a+b/x", "$share/g#/a", "$share/g/a#", "$share/g/#/a"])
@proves("MQTT-4.8.2-1", "MQTT-4.8.2-2")
def test_a_share_without_a_name_or_a_filter_or_with_wildcards_in_its_name_is_refused(stack, token, version, bad):
    with open_client(stack.port, token, version=version) as c:
        codes = c.subscribe(bad, "$share/g/a", "$share/g/#", "$share/ g/+/a", "$share/\u00e9/a")
        assert codes[0] in ((0x8F, 0x87) if version == 5 else (0x80,)) and codes[1:] == [0] * 4


@V
@proves("MQTT-4.8.2-1", "MQTT-4.8.2-2", "MQTT-4.5.0-1")
def test_each_message_goes_to_one_member_of_each_group_and_to_everybody_else(stack, token, version):
    a, b, c, d = (open_client(stack.port, token, n, version) for n in "abcd")
    a.subscribe(("$share/g/x/#", 1))
    b.subscribe(("$share/g/x/#", 1))
    c.subscribe(("$share/h/x/#", 1), ("$share/g/x/+", 1), ("$share/g/X/#", 1))       # three groups of one member
    d.subscribe(("x/#", 1))
    for i in range(12):
        d.publish("x/1", str(i), qos=1, pid=i + 1)
    d_got = payloads(d.sync())
    a_got, b_got, c_got = (payloads(m.sync()) for m in (a, b, c))
    every = [b"%d" % i for i in range(12)]
    assert sorted(a_got + b_got) == sorted(every) and len(a_got) == len(b_got) == 6
    assert d_got == every and c_got == [x for x in every for _ in range(2)]
    for m in (a, b, c, d):
        m.close()


@V
@proves("MQTT-4.8.2-3", "MQTT-3.8.4-8", "v3:MQTT-3.8.4-6")
def test_each_member_gets_messages_with_its_own_granted_qos(stack, token, version):
    members = [open_client(stack.port, token, "m%d" % q, version) for q in (0, 1, 2)]
    for q, m in enumerate(members):
        assert m.subscribe(("$share/g/x", q)) == [q]
    with open_client(stack.port, token, "p") as p:
        for i in range(30):
            p.publish("x", str(i), qos=i % 3, pid=i + 1)
        p.sync()
    got = [messages(m.sync()) for m in members]
    assert sum(len(g) for g in got) == 30 and all(got)
    for q, g in enumerate(got):
        assert all(m.qos == min(q, int(m.payload) % 3) for m in g)
    for m in members:
        m.close()


@proves("MQTT-3.3.1-9", "MQTT-3.3.4-3")
def test_a_shared_subscription_gets_no_retained_messages_and_its_identifier(stack, token):
    with open_client(stack.port, token, "c", 5) as c:
        c.publish("x", "kept", qos=1, retain=True).sync()
        c.subscribe("$share/g/x", properties=((SUBSCRIPTION_ID, 9),))
        assert settled(c) == []
        c.publish("x", "live", qos=1)
        assert [m.properties[SUBSCRIPTION_ID] for m in messages(c.sync())] == [[9]]


def group(stack, token, version, qos, *names, **more):
    """Durable members of one group; the message "1" sent to the first, with nothing acknowledged. Returns the members and that delivery."""
    members = []
    for name in names:
        c = open_client(stack.port, token, name, **durable(version, **more))
        c.subscribe(("$share/g/x", 2))
        c.client_name = name
        members.append(c)
    with open_client(stack.port, token, "p") as p:
        p.publish("x", "1", qos=qos, pid=1).sync()
    got = [messages(c.sync()) for c in members]
    chosen = [i for i, g in enumerate(got) if g]
    assert len(chosen) == 1
    members.insert(0, members.pop(chosen[0]))
    return members, got[chosen[0]][0]


@V
@pytest.mark.parametrize("released", [False, True])
@proves("MQTT-4.8.2-4", "MQTT-4.4.0-1", "v3:MQTT-4.4.0-1")
def test_a_qos_2_delivery_is_completed_to_the_member_that_it_was_begun_with(stack, token, version, released):
    (first, second), m = group(stack, token, version, 2, "a", "b")
    if released:
        first.send(ack(PUBREC, m.pid, version=version))
        first.expect(PUBREL)
    first.close()
    assert second.sync() == []
    with open_client(stack.port, token, first.client_name, **durable(version)) as c:
        assert c.present == 1
        assert [(p.kind, p.pid) for p in c.sync()] == [(PUBREL if released else PUBLISH, m.pid)]
    assert second.sync() == []
    second.close()


@V
@pytest.mark.parametrize("how", ["unsubscribe-all", "clean-start", "expires"])
@proves("MQTT-4.8.2-5")
def test_a_qos_2_delivery_goes_to_nobody_else_when_the_session_ends(stack, token, version, how):
    (first, second), m = group(stack, token, version, 2, "a", "b")
    name = first.client_name
    if how == "expires" and version == 5:
        first.send(disconnect(0, ((0x11, 0),)))
        first.closed()
    elif how == "unsubscribe-all":
        first.send(unsubscribe("$share/g/x", version=version))
        first.sync()
    first.close()
    if how != "unsubscribe-all":
        with open_client(stack.port, token, name, version) as c:
            assert c.sync() == []
    assert second.sync() == []
    second.close()


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("code", [0x80, 0x87, 0x97])
@proves("MQTT-4.8.2-6", "MQTT-4.4.0-2")
def test_a_refused_delivery_goes_to_nobody_else(stack, token, qos, code):
    (first, second), m = group(stack, token, 5, qos, "a", "b")
    first.send(ack(PUBACK if qos == 1 else PUBREC, m.pid, code, version=5))
    assert first.sync() == []
    name = first.client_name
    first.close()
    assert second.sync() == []
    with open_client(stack.port, token, name, **durable(5)) as c:
        assert c.present == 1 and c.sync() == []
    second.close()


@V
@proves("MQTT-4.5.0-1", "v3:MQTT-4.5.0-1")
def test_a_qos_1_delivery_goes_to_another_member_when_the_session_ends(stack, token, version):
    (first, second), m = group(stack, token, version, 1, "a", "b")
    name = first.client_name
    first.close()
    assert second.sync() == []                  # may still come back
    with open_client(stack.port, token, name, version):
        assert second.expect(PUBLISH).payload == b"1"
    second.close()


@V
@proves("MQTT-4.5.0-1", "v3:MQTT-4.5.0-1")
def test_messages_wait_while_all_members_are_away(stack, token, version):
    for name in "ab":
        with open_client(stack.port, token, name, **durable(version)) as c:
            c.subscribe(("$share/g/x", 1))
    with open_client(stack.port, token, "p") as p:
        for i in range(6):
            p.publish("x", str(i), qos=1, pid=i + 1)
        p.sync()
    got = []
    for name in "ab":
        with open_client(stack.port, token, name, **durable(version)) as c:
            for m in messages(c.sync()):
                got.append(m.payload)
                c.send(ack(PUBACK, m.pid, version=version))
            got += payloads(c.sync())
    assert sorted(got) == [b"%d" % i for i in range(6)]


@proves("MQTT-4.9.0-2", "MQTT-3.3.4-9")
def test_a_member_whose_window_is_full_is_passed_over(stack, token):
    full = open_client(stack.port, token, "full", 5, properties=((RECEIVE_MAXIMUM, 1),))
    free = open_client(stack.port, token, "free", 5)
    for c in (full, free):
        c.subscribe(("$share/g/x", 1))
    with open_client(stack.port, token, "p") as p:
        for i in range(9):
            p.publish("x", str(i), qos=1, pid=i + 1)
        p.sync()
    assert (len(messages(full.sync())), len(messages(free.sync()))) == (1, 8)
    full.close()
    free.close()
