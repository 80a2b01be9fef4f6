"""What a person sees of `make run`: first start, second start, second instance, busy port, stop; and of the programs' own options."""
import json
import os
import re
import signal
import socket
import stat
import subprocess

import pytest
from rawmqtt import DISCONNECT, PUBLISH, open_client
from stack import BUILD, ROOT, SLOW, Stack, wait_for

pytestmark = pytest.mark.one_door("starting and stopping")

PROGRAMS = ("mbus-core", "mbus-proxy", "mbus-admin")


@pytest.fixture
def own(tmp_path):
    s = Stack(tmp_path / "state")
    s.start()
    yield s
    s.stop()


def test_the_printed_lines_work_as_printed(own):
    said = own.said()
    sub_line = re.search(r"^ +(\S+ mosquitto_sub .*)$", said, re.M).group(1)
    pub_line = re.search(r"^ +(\S+ mosquitto_pub .*)$", said, re.M).group(1)
    sub = subprocess.Popen(["bash", "-c", sub_line + " -C 1 -W 20"], stdout=subprocess.PIPE, text=True)
    out = ""
    for _ in range(40):
        assert subprocess.run(["bash", "-c", pub_line]).returncode == 0
        try:
            out = sub.communicate(timeout=0.5)[0]
            break
        except subprocess.TimeoutExpired:
            continue
    assert out == "hello/world it works\n"
    assert "token" not in sub_line + pub_line and "-u" not in sub_line + pub_line     # ps shows command lines to all users
    for name in ("mosquitto_sub", "mosquitto_pub"):
        path = os.path.join(own.state, "clients", name)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and own.ready["token"] in open(path).read()


def test_ready_json_is_private_and_complete(own):
    path = os.path.join(own.state, "ready.json")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    r = own.ready
    assert set(r) == {"mqtt", "mqtts", "ws", "wss", "ca", "api", "core", "auth", "token", "cid", "pids"}
    assert r["cid"] == 1 and len(r["token"]) == 64 and os.path.exists(r["core"])
    assert stat.S_IMODE(os.stat(r["auth"]).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(os.path.dirname(r["auth"])).st_mode) & 0o007 == 0
    assert set(r["pids"]) == {"proxy", "core", "admin"}
    for name, pid in r["pids"].items():
        with open("/proc/%d/cmdline" % pid) as f:
            assert "mbus-" + name in f.read()
    assert stat.S_IMODE(os.stat(own.state).st_mode) == 0o700


def test_the_token_is_shown_at_the_first_start_only_and_the_data_is_kept(tmp_path):
    s = Stack(tmp_path / "s")
    s.start()
    token = s.master
    try:
        assert s.said().count(token) == 1
        child = s.new_customer()
        key = child.token(info="kept")
    finally:
        s.stop()
    s.start()
    try:
        assert token not in s.said() and "ept the data" in s.said()
        assert s.master == token
        with open_client(s.port, key):
            pass
    finally:
        s.stop()


def test_a_second_start_on_the_same_state_says_so_in_one_line(own):
    r = subprocess.run([os.path.join(ROOT, "scripts", "stack"), "--build", BUILD, "--state", own.state, "--port-offset", "40000"], capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and r.stdout == ""
    assert re.fullmatch(r"mbus: already running on .*\n", r.stderr)
    own.check_alive()


@pytest.mark.parametrize("which", ["mqtt", "api"])
def test_a_busy_port_is_named_in_one_line(own, tmp_path, which):
    offset = own.ready["mqtt"] - 1883
    r = subprocess.run([os.path.join(ROOT, "scripts", "stack"), "--build", BUILD, "--state", str(tmp_path / "second"), "--port-offset", str(offset)],
                       capture_output=True, text=True, timeout=60 * SLOW)
    lines = r.stderr.strip().split("\n")
    assert r.returncode == 1 and len(lines) == 1, r.stderr
    # admin starts before the proxy, so with both busy its port is the one that is named
    assert str(own.ready["api"].split(":")[-1]) in lines[0] and "in use" in lines[0]


def test_a_busy_mqtt_port_is_named_in_one_line(tmp_path):
    from stack import free_offset
    offset = free_offset()
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
        s.bind(("::", 1883 + offset))
        s.listen(1)
        r = subprocess.run([os.path.join(ROOT, "scripts", "stack"), "--build", BUILD, "--state", str(tmp_path / "x"), "--port-offset", str(offset)],
                           capture_output=True, text=True, timeout=60 * SLOW)
    lines = r.stderr.strip().split("\n")
    assert r.returncode == 1 and len(lines) == 1 and str(1883 + offset) in lines[0] and "in use" in lines[0]


def test_sigterm_stops_everything_and_v5_clients_are_told(tmp_path):
    s = Stack(tmp_path / "s")
    s.start()
    pids = s.ready["pids"].values()
    c = open_client(s.port, s.master, version=5)
    s.process.send_signal(signal.SIGTERM)
    assert [(p.kind, p.code) for p in c.closed(10)] == [(DISCONNECT, 0x8B)]
    assert s.process.wait(30) == 0
    assert not any(os.path.exists("/proc/%d" % p) for p in pids)
    assert not os.path.exists(os.path.join(s.state, "ready.json"))
    s.stop()


def test_ctrl_c_stops_everything(tmp_path):
    s = Stack(tmp_path / "s")
    s.start()
    os.killpg(s.process.pid, signal.SIGINT)
    assert s.process.wait(30) == 0
    s.stop()


def test_when_one_program_dies_all_end_and_the_reason_is_told(tmp_path):
    s = Stack(tmp_path / "s")
    s.start()
    os.kill(s.ready["pids"]["core"], signal.SIGKILL)
    assert s.process.wait(40) == 1
    assert "mbus-core ended by itself" in s.said()
    s.stop()


def test_several_homes_and_workers_serve_alike(tmp_path):
    s = Stack(tmp_path / "s", workers=3, homes=3)
    s.start()
    try:
        customers = [s.new_customer() for _ in range(6)]
        tokens = [c.token() for c in customers]
        subs = [open_client(s.port, t, "s%d" % i) for i, t in enumerate(tokens) for _ in range(1)]
        log = open_client(s.port, customers[0].master, "log")
        log.subscribe("flespi/log/#")
        for c in subs:
            c.subscribe("#")
        for i, t in enumerate(tokens):
            with open_client(s.port, t, "p") as p:
                p.publish("x", str(i), qos=1).sync()
        for i, c in enumerate(subs):
            assert c.expect(PUBLISH).payload == b"%d" % i
            assert c.sync() == []
        wait_for(lambda: [p for p in log.sync() if p.kind == PUBLISH and p.topic.endswith("/p/disconnected")])
        sub = subprocess.run(["mosquitto_sub", "--unix", s.ready["core"], "-t", "customer/+/x", "-v", "-W", "1"], capture_output=True, text=True)
        assert sub.returncode in (0, 27)
    finally:
        s.stop()


def test_a_trusted_reader_gets_the_messages_of_customers_on_every_home(tmp_path):
    from clients import MosquittoSub
    s = Stack(tmp_path / "s", homes=4)
    s.start()
    try:
        customers = [s.new_customer() for _ in range(8)]
        with MosquittoSub(0, "", "customer/+/t", unix=s.ready["core"]) as sub:
            for c in customers:
                with open_client(s.port, c.master, "p") as p:
                    p.publish("t", "m", qos=1).sync()
            for c in customers:
                sub.expect("customer/%d/t m" % c.cid)
    finally:
        s.stop()


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version(program):
    r = subprocess.run([os.path.join(BUILD, program), "--help"], capture_output=True, text=True, timeout=20)
    assert r.returncode == 0 and "--config" in r.stdout and "--check-config" in r.stdout
    r = subprocess.run([os.path.join(BUILD, program), "--version"], capture_output=True, text=True, timeout=20)
    assert r.returncode == 0 and re.match(r"mbus-\w+ \d+\.\d+\.\d+", r.stdout)


@pytest.mark.parametrize("program,section", zip(PROGRAMS, ("core", "proxy", "admin")))
@pytest.mark.parametrize("text,says", [("nonsense = 1\n", "nonsense"), ("log_level = loud\n", "log_level"), ("log_level\n", ":2:"), ("log_level = info\nlog_level = info\n", "log_level")])
def test_a_wrong_configuration_stops_the_start_with_file_and_line(tmp_path, program, section, text, says):
    path = tmp_path / "mbus.conf"
    path.write_text("[%s]\n%s" % (section, text))
    r = subprocess.run([os.path.join(BUILD, program), "--config", str(path)], capture_output=True, text=True, timeout=20)
    assert r.returncode not in (0, None) and says in r.stderr
    assert re.search(r"mbus\.conf:[23]", r.stderr)
    assert len(r.stderr.strip().split("\n")) == 1


@pytest.mark.parametrize("program,section", zip(PROGRAMS, ("core", "proxy", "admin")))
def test_check_config_says_ok_and_starts_nothing(tmp_path, program, section):
    path = tmp_path / "mbus.conf"
    path.write_text("[%s]\nlog_level = warn\n[core]\n" % section if section != "core" else "[core]\nlog_level = warn\n")
    r = subprocess.run([os.path.join(BUILD, program), "--config", str(path), "--check-config"], capture_output=True, text=True, timeout=20)
    assert r.returncode == 0 and "ok" in r.stdout
    path.write_text("[%s]\nlog_level = 7x\n" % section)
    r = subprocess.run([os.path.join(BUILD, program), "--config", str(path), "--check-config"], capture_output=True, text=True, timeout=20)
    assert r.returncode != 0


def test_a_damaged_token_database_is_a_clear_error_and_nothing_is_overwritten(tmp_path):
    s = Stack(tmp_path / "s")
    s.start()
    s.stop()
    databases = [os.path.join(d, f) for d, _, fs in os.walk(os.path.join(s.state, "admin")) for f in fs if f.endswith((".db", ".sqlite"))]
    assert databases
    for path in databases:
        with open(path, "r+b") as f:
            f.seek(0)
            f.write(b"\xff" * 8192)
        with open(path, "rb") as f:
            before = f.read()
    s.process = None
    r = subprocess.run([os.path.join(ROOT, "scripts", "stack"), "--build", BUILD, "--state", s.state, "--port-offset", "39000"], capture_output=True, text=True, timeout=60 * SLOW)
    assert r.returncode == 1
    assert len(r.stderr.strip().split("\n")) == 1 and "mbus-admin" in r.stderr
    with open(databases[-1], "rb") as f:
        assert f.read() == before


def test_ready_json_is_json_for_programs(own):
    with open(os.path.join(own.state, "ready.json")) as f:
        assert json.load(f) == own.ready
