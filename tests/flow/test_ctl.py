"""mbusctl: the same from the shell, tables for people, --json for programs."""
import json
import os
import subprocess

import pytest
from rawmqtt import open_client
from stack import BUILD, SLOW, wait_for

pytestmark = pytest.mark.one_door("mbusctl speaks to the REST API")


def ctl(stack, customer, *args, fail=False, key=None):
    env = dict(os.environ, MBUS_API=stack.ready["api"], MBUS_TOKEN=key or customer.master)
    r = subprocess.run([os.path.join(BUILD, "mbusctl")] + list(args), capture_output=True, text=True, env=env, timeout=30 * SLOW)
    assert (r.returncode != 0) == fail, (r.returncode, r.stdout, r.stderr)
    return r


def test_a_token_is_made_listed_changed_and_deleted(stack, customer):
    out = ctl(stack, customer, "token", "create", "--acl", "sub:a/#", "--acl", "pub:b", "--ttl", "1h", "--info", "from the shell").stdout
    key = out.strip().split("\n")[-1]
    assert len(key) == 64
    with open_client(stack.port, key, version=5) as c:
        assert c.subscribe("a/x", "b") == [0, 0x87]
        listed = ctl(stack, customer, "token", "list").stdout
        assert "from the shell" in listed and "acl (2)" in listed and key not in listed
        rows = json.loads(ctl(stack, customer, "token", "list", "--json").stdout)["result"]
        token = [t for t in rows if t["info"] == "from the shell"][0]
        ctl(stack, customer, "token", "update", str(token["id"]), "--info", "renamed")
        ctl(stack, customer, "token", "delete", str(token["id"]))
        c.closed()
    assert "renamed" not in ctl(stack, customer, "token", "list").stdout


def test_a_customer_is_made_and_listed(stack, customer):
    assert "branch" in ctl(stack, customer, "customer", "create", "branch").stdout
    assert "branch" in ctl(stack, customer, "customer", "list").stdout
    assert str(customer.cid) in ctl(stack, customer, "customer", "show").stdout


def test_the_log_is_followed_live(stack, customer):
    env = dict(os.environ, MBUS_API=stack.ready["api"], MBUS_TOKEN=customer.master)
    p = subprocess.Popen([os.path.join(BUILD, "mbusctl"), "log", "follow"], stdout=subprocess.PIPE, text=True, env=env)
    lines = []
    try:
        os.set_blocking(p.stdout.fileno(), False)

        def seen():
            with open_client(stack.port, customer.token(), "followed"):
                pass
            lines.extend(p.stdout.readlines() or [])
            return [x for x in lines if "followed" in x and " 500 " in x]
        wait_for(seen, 10, 0.3)
    finally:
        p.terminate()
        p.wait(10)


def test_a_wrong_command_line_is_told_and_ends_with_2(stack, customer):
    for args in (["token", "explode"], ["token", "create", "--acl", "what"], ["token", "create", "--ttl", "soon"], ["--nope"], ["token", "delete"]):
        r = ctl(stack, customer, *args, fail=True)
        assert r.returncode == 2 and r.stderr, args


def test_a_refusal_of_the_server_is_told_and_ends_with_1(stack, customer):
    r = ctl(stack, customer, "token", "delete", "999999999", fail=True)
    assert r.returncode == 1 and r.stderr
    r = ctl(stack, customer, "token", "list", fail=True, key="x" * 64)
    assert r.returncode == 1 and "x" * 64 not in r.stderr


def test_help_lists_every_command(stack, customer):
    out = ctl(stack, customer, "--help").stdout
    for word in ("token create", "token list", "token delete", "customer create", "log follow"):
        assert word in out
