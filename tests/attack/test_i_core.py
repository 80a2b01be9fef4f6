"""Attacks I03, I04 and I25: one client's input that is much work for the core, beside another customer that must not notice."""
import pytest
from rawmqtt import PUBACK, PUBLISH, UNSUBACK, ack, disconnect, open_client, publish, unsubscribe
from stack import Stopwatch

GRANTS, GROUPS, OWED = 255, 199, 2000


class Beside:
    """Another customer's client: it says something to itself, and hears it."""

    def __init__(self, stack, customer):
        self.stack, self.heard = stack, 0
        self.c = open_client(stack.port, customer.token(), "beside")
        self.c.subscribe("t")

    def hears_itself(self, most):
        watch = Stopwatch(self.stack)
        self.c.publish("t", "%d" % self.heard)
        assert self.c.expect(PUBLISH, 60).payload == b"%d" % self.heard
        assert watch.seconds() < most
        self.heard += 1


def owed(stack, customer, token, filters, topic):
    """A client with these filters that was sent, and is owed, OWED messages of its last one."""
    c = open_client(stack.port, token, "a", 5, clean=False, properties=((0x11, 300), (0x21, 1000)))
    for at in range(0, len(filters), 20):
        c.subscribe(*[(f, 1) for f in filters[at:at + 20]])
    with open_client(stack.port, customer.token(), "p") as p:
        for at in range(0, OWED, 50):
            p.send(b"".join(publish(topic, b"x", qos=1, pid=at + i + 1) for i in range(50)))
            for _ in range(50):
                p.expect(PUBACK)
    return c


@pytest.mark.one_door("the core")
def test_I03_unsubscribe_with_many_messages_pending(stack, customer, other):
    """Filters x messages x inner filters were 100 million comparisons for a packet of 2.6 KB: half a minute in which nobody was served."""
    long = "a" * 180
    grants = [("%s/%03d" % (long, i), "subscribe") for i in range(GRANTS)] + [(long + "/zzz/q", "subscribe")]
    shared = ["$share/g%03d/+/+" % i for i in range(GROUPS)]
    beside = Beside(stack, other)
    c = owed(stack, customer, customer.acl(*grants), shared + [long + "/zzz/q"], long + "/zzz/q")
    beside.hears_itself(2)
    c.send(unsubscribe(*shared, pid=7, version=5))
    for _ in range(20):
        beside.hears_itself(2)
    left = OWED
    while left:    # the control: it did what it was told, and still gets what it was owed
        packet = c.read(10)
        if packet.kind == UNSUBACK:
            assert packet.codes == [0] * GROUPS
        elif packet.kind == PUBLISH:
            c.send(ack(PUBACK, packet.pid, version=5))
            left -= 1
    assert beside.heard == 21
    beside.c.close()
    c.close()


@pytest.mark.one_door("the core")
def test_I03_a_change_of_rights_with_many_messages_pending(stack, customer, other):
    """The same work, done by the sweep that judges all that waits by the new rights."""
    grants = [("a/%03d" % i, "subscribe") for i in range(GRANTS)]
    beside = Beside(stack, other)
    token = customer.acl(*grants, ("z", "subscribe"))
    c = owed(stack, customer, token, ["$share/g%03d/+/+" % i for i in range(GROUPS)] + ["z"], "z")
    customer.change_token(token, access={"type": 2, "acl": [{"uri": "mqtt", "topic": t, "actions": [a]} for t, a in grants]})
    for _ in range(20):
        beside.hears_itself(2)
    got = [p for p in c.sync(10) if p.kind == PUBLISH]
    assert len(got) == 1000    # its window; they are given up like those that waited
    for packet in got:
        c.send(ack(PUBACK, packet.pid, version=5))
    assert [p for p in c.sync(10) if p.kind == PUBLISH] == []
    with open_client(stack.port, customer.token(), "p") as p:    # the control: it has the rights that are left
        p.publish("a/001", "x", qos=1).expect(PUBACK)
    assert [p.topic for p in c.sync(10) if p.kind == PUBLISH] == ["a/001"] * GROUPS
    assert beside.heard == 20
    beside.c.close()
    c.close()


@pytest.mark.one_door("the core")
def test_I04_messages_that_are_dear_to_ask_about(stack, customer, other):
    """500 conditions that try 400 beginnings of a name each: 20,000 hashes of half a kilobyte a message, which were 40 ms for 400 steps."""
    assert customer.rest("PUT", "/platform/customer", {"flespi_extensions": True})[0] == 200
    beside = Beside(stack, other)
    path, sessions = ".".join("a" * 400), []
    payload = b"{%s}" % b",".join(b'"%c":1' % c for c in b"bcdefghijk")
    for k in range(5):
        c = open_client(stack.port, customer.master, "c%d" % k)
        for at in range(0, 100, 10):
            assert max(c.subscribe(*["$filter/payload=%s==%d/t" % (path, k * 1000 + at + i) for i in range(10)])) < 3
        sessions.append(c)
    with open_client(stack.port, customer.master, "all") as all_of_it, open_client(stack.port, customer.master, "p") as p:
        all_of_it.subscribe("t")
        beside.hears_itself(2)
        p.send(publish("t", payload) * 400)
        for _ in range(20):
            beside.hears_itself(2)
        for _ in range(400):    # the control: they were published, and asked about
            assert all_of_it.expect(PUBLISH, 20).payload == payload
    assert beside.heard == 21
    for c in sessions:
        assert [m for m in c.sync(20) if m.kind == PUBLISH] == []
        c.close()
    beside.c.close()


@pytest.mark.one_door("the core")
@pytest.mark.parametrize("anew", [False, True])
def test_I25_the_end_of_a_session_that_has_much(stack, customer, other, anew):
    """A thousand subscriptions and two thousand messages were freed in one step, and so were ten thousand. Starting anew is an end, too."""
    beside, token = Beside(stack, other), customer.token()
    c = owed(stack, customer, token, ["own/%d" % i for i in range(900)] + ["z"], "z")
    beside.hears_itself(2)
    if anew:
        fresh = open_client(stack.port, token, "a", 5)
        c.closed(5)
    else:
        c.send(disconnect(0, properties=((0x11, 0),)))
        c.closed(5)
        fresh = open_client(stack.port, token, "a", 5, clean=False)
    beside.hears_itself(2)
    assert not fresh.present    # the control: nothing of it is left
    assert fresh.subscribe("z", "own/1") == [0, 0]
    with open_client(stack.port, customer.token(), "p") as p:
        p.publish("z", "new", qos=1).expect(PUBACK)
        p.publish("own/2", "new", qos=1).expect(PUBACK)
    assert [m.payload for m in fresh.sync(10) if m.kind == PUBLISH] == [b"new"]
    beside.hears_itself(2)
    beside.c.close()
    fresh.close()
