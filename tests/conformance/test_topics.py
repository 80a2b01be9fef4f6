"""Chapter 4.7: topic names and filters, and how they match."""
import random

import pytest
from proofs import V, ended, messages, payloads, proves, settled
from rawmqtt import PUBACK, PUBLISH, UNSUBACK, open_client, unsubscribe


@V
@pytest.mark.parametrize("bad", ["#/a", "a/#/b", "a#", "a/b#", "#a", "##", "a/##"])
@proves("MQTT-4.7.1-1", "v3:MQTT-4.7.1-2")
def test_a_multi_level_wildcard_not_alone_or_not_last_is_refused(stack, token, version, bad):
    with open_client(stack.port, token, version=version) as c:
        assert c.subscribe(bad, "fine/#", "#") == [0x8F if version == 5 else 0x80, 0, 0]


@V
@pytest.mark.parametrize("bad", ["a+", "+a", "a/b+", "a/+b/c", "++", "+#", "a/++/b"])
@proves("MQTT-4.7.1-2", "v3:MQTT-4.7.1-3")
def test_a_single_level_wildcard_that_is_not_a_whole_level_is_refused(stack, token, version, bad):
    with open_client(stack.port, token, version=version) as c:
        assert c.subscribe(bad, "+", "+/a", "a/+", "a/+/b", "+/+/#", "/+") == [0x8F if version == 5 else 0x80] + [0] * 6


@V
@proves("MQTT-4.7.3-1", "v3:MQTT-4.7.3-1")
def test_an_empty_filter_is_refused(stack, token, version):
    with open_client(stack.port, token, version=version) as c:
        assert c.subscribe("", "/") == [0x8F if version == 5 else 0x80, 0]
        c.send(unsubscribe("/", "", version=version))
        if version == 5:
            assert c.expect(UNSUBACK).codes == [0, 0x8F]
        else:
            assert [p.kind for p in c.closed()] == []   # UNSUBACK has no word for it


def matches(topic_filter, topic):
    """The rules of 4.7, written down naively."""
    f, t = topic_filter.split("/"), topic.split("/")
    for i, level in enumerate(f):
        if level == "#":
            return True
        if i >= len(t) or level not in ("+", t[i]):
            return False
    return len(f) == len(t)


NAMES = ["a", "A", "/", "//", "a/", "/a", "a/b", "a//b", "a/b/c", "a/b/", " a", "a ", "a b", "\u00e9", "e\u0301", "\u212b", "\u00c5", "a/\u00e9/c", "%61", "a\\b", "sport/tennis/player1"]
FILTERS = ["#", "+", "/#", "/+", "+/+", "+/", "a", "A", "a/#", "a/+", "a/+/c", "+/b", "a//#", "a/b/#", "+/b/+", "\u00e9", "e\u0301", "\u00c5", "a/+/", "//", "sport/tennis/player1/#",
           "sport/+/player1", "a b", "%61", "+/+/+", "a/b/c/#"]


@V
@pytest.mark.parametrize("topic_filter", FILTERS)
@proves("MQTT-4.7.3-4", "v3:MQTT-4.7.3-4", "MQTT-3.3.2-3", "v3:MQTT-3.3.2-3")
def test_a_filter_matches_exactly_the_names_that_the_rules_say(stack, token, version, topic_filter):
    """Live and retained, byte for byte: no case, no normal form, no trimming, no escapes."""
    expected = [n for n in NAMES if matches(topic_filter, n)]
    with open_client(stack.port, token, version=version) as c:
        c.subscribe(topic_filter)
        for i, name in enumerate(NAMES):
            c.publish(name, name, qos=1, pid=i + 1, retain=True)
        assert [(m.topic, m.payload.decode()) for m in messages(c.sync())] == [(n, n) for n in expected]
        c.send(unsubscribe(topic_filter, version=version))
        c.sync()
        c.subscribe(topic_filter)
        assert sorted(m.topic for m in messages(settled(c))) == sorted(expected)


@V
@proves("MQTT-4.7.3-4", "v3:MQTT-4.7.3-4")
def test_random_names_and_filters_match_as_the_rules_say(stack, token, version):
    rng = random.Random(47)
    level = lambda: rng.choice(["", "a", "b", "ab"])
    with open_client(stack.port, token, version=version) as c:
        for _ in range(60):
            f = [rng.choice([level(), "+"]) for _ in range(rng.randrange(1, 4))] + ["#"] * rng.randrange(2)
            f = "/".join(f)
            names = {"/".join(level() for _ in range(rng.randrange(1, 5))) for _ in range(6)} - {""}
            if not f:
                continue
            c.subscribe(f)
            for i, n in enumerate(sorted(names)):
                c.publish(n, "", qos=1, pid=i + 1)
            c.send(unsubscribe(f, version=version))
            got = []
            while True:
                p = c.read()
                if p.kind == UNSUBACK:
                    break
                got += [p.topic] if p.kind == PUBLISH else []
            assert got == [n for n in sorted(names) if matches(f, n)], f


@V
@proves("MQTT-4.7.2-1", "v3:MQTT-4.7.2-1")
def test_names_that_begin_with_a_dollar_are_not_exchanged_and_not_matched_by_wildcards(stack, token, version):
    """That a wildcard does not see such a name when the platform publishes one: T07 of the attacks."""
    with open_client(stack.port, token, "s", version) as s, open_client(stack.port, token, "p", version) as p:
        s.subscribe("#", "+/x", "+", "a/#")
        for i, topic in enumerate(("$SYS/x", "$x", "$/x", "$share/g/x")):
            p.publish(topic, "hidden", qos=1, pid=i + 1, retain=True)
        p.publish("a/$x", "seen", qos=1, pid=9)
        assert [m.kind for m in p.sync()] == [PUBACK] * 5
        assert payloads(s.sync()) == [b"seen"] * 2
        s.subscribe("#")
        assert messages(settled(s)) == []


@V
@proves("MQTT-4.7.3-3", "v3:MQTT-4.7.3-3")
def test_names_and_filters_up_to_the_configured_limit_are_served_and_longer_ones_refused(stack, token, version):
    too_long = 0x8F if version == 5 else 0x80
    with open_client(stack.port, token, version=version) as c:
        for topic in ("x" * 4096, "\u00e9" * 2048, "/".join(["l"] * 32)):
            assert c.subscribe(topic) == [0]
            c.publish(topic, "x", qos=1)
            assert [m.topic for m in messages(c.sync())] == [topic]
        assert c.subscribe("x" * 4097, "/".join(["l"] * 33), "x" * 65535) == [too_long] * 3
        c.send(unsubscribe("x" * 65535, version=version))
        c.expect(UNSUBACK)
    for topic in ("x" * 4097, "x" * 65535, "/".join(["l"] * 33)):
        c = open_client(stack.port, token, version=version)
        c.publish(topic, "x", qos=1)
        assert ended(c, 0x90) == []
