"""Attacks W07, A24, F27 and O05: certificates and their files that change while clients are connected, on 8883."""
import itertools
import os
import resource
import shutil
import signal
import ssl
import threading
import time

import pytest
from certs import Authority
from doors import dial, port, tls
from proxy import Proxy
from rawmqtt import PINGRESP, Closed, Raw, open_client, packet
from resources import own_memory
from stack import SLOW, wait_for

pytestmark = pytest.mark.one_door("TLS: each test names its doors")


def replace(own, cert, key):
    """As a renewing program does it: each file appears whole."""
    for source, target in ((key, own.live[1]), (cert, own.live[0])):
        shutil.copy(source, target + ".new")
        os.replace(target + ".new", target)


def serial_of(own, **more):
    p = port(own.ready, "tls")
    with tls(dial(int(p)), own.ca.pem, **more) as s:
        return s.getpeercert()["serialNumber"]


def hup(own, word):
    before = own.log("proxy").count(word)
    os.kill(own.ready["pids"]["proxy"], signal.SIGHUP)
    wait_for(lambda: own.log("proxy").count(word) > before, 10)


def damage(own, how):
    cert, key = own.live
    with open(cert, "r") as f:
        whole = f.read()
    if how == "empty":
        open(cert, "w").close()
    elif how == "gone":
        os.unlink(cert)
    elif how == "cut":
        with open(cert, "w") as f:
            f.write(whole[:len(whole) // 2])
    elif how == "nonsense":
        with open(cert, "w") as f:
            f.write("-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n")
    elif how == "no key":
        open(key, "w").close()
    elif how == "other key":
        shutil.copy(own.ca.issue("other-key")[1], key)
    elif how == "expired":
        replace(own, *own.ca.issue("late", end="20210101000000Z"))


@pytest.mark.parametrize("how", ["empty", "gone", "cut", "nonsense", "no key", "other key", "expired"])
def test_W07_a_bad_file_at_reload_leaves_the_old_certificate_in_force(own, how):
    pair = own.ca.issue("good-" + how.replace(" ", "-"))
    replace(own, *pair)
    hup(own, "certificates-reloaded")
    serial = serial_of(own)
    p = port(own.ready, "tls")
    p.ca = own.ca.pem
    with open_client(p, own.master, "stays") as c:
        try:
            damage(own, how)
            hup(own, "certificates-kept")
            assert serial_of(own) == serial
            c.sync()
        finally:
            replace(own, *pair)
            hup(own, "certificates-reloaded")
        c.sync()


def test_W07_files_are_read_again_when_they_change(own):
    serial = serial_of(own)
    replace(own, *own.ca.issue("changed"))
    wait_for(lambda: serial_of(own) != serial, 10)


def test_A24_a_reload_without_descriptors_changes_nothing(own):
    pid, serial = own.ready["pids"]["proxy"], serial_of(own)
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    replace(own, *own.ca.issue("not-read"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        hup(own, "certificates-kept")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    with Raw(own.port) as c:
        assert c.connect("c", "x" * 64).code == 4               # nobody is let in by the way
    hup(own, "certificates-reloaded")
    assert serial_of(own) != serial


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def spoil(how, live, ca):
    """One of the files of a complete set is made bad."""
    cert, key, client_ca, crl = live
    bad = {"cut": cert, "no key": key, "no authority": client_ca, "no revocations": crl, "other key": key, "expired": cert}[how]
    if how == "other key":
        source = ca.other[1]
    elif how == "expired":
        source = ca.late[0]
    else:
        source = bad + ".bad"
        with open(bad) as f, open(source, "w") as g:
            g.write(f.read()[:200] if how == "cut" else "")
    shutil.copy(source, bad + ".new")
    os.replace(bad + ".new", bad)


def test_F27_O05_a_hundred_reloads_under_load_disconnect_nobody_and_weaken_nothing(stack, customer, tmp_path):
    """Good and broken files in turn. Who is connected stays; who comes sees the old or the new certificate; who has no certificate, or a revoked one, is never let in."""
    ca, clients, token, begin = Authority(tmp_path, "servers"), Authority(tmp_path, "clients"), customer.token(), time.monotonic()
    good, ca.other, ca.late = [ca.issue("one"), ca.issue("two")], ca.issue("other"), ca.issue("late", end="20210101000000Z")
    mine, lost = clients.issue("mine"), clients.issue("lost")
    clients.revoke(lost[0])
    live = [str(tmp_path / n) for n in ("live.pem", "live.key", "clients.pem", "crl.pem")]

    def put(pair):
        for source, target in zip((pair[0], pair[1], clients.pem, clients.crl), live):
            shutil.copy(source, target + ".new")
            os.replace(target + ".new", target)

    put(good[0])
    p = Proxy(stack, tmp_path / "proxy", "mqtts = 127.0.0.1:0", "tls_cert = %s" % live[0], "tls_key = %s" % live[1], "tls_client_ca = %s" % live[2], "tls_client_crl = %s" % live[3])
    p.start()
    fds, bytes_before = descriptors(p.process.pid), own_memory(p.process.pid)
    stop, wrong, count, serials = threading.Event(), [], {"in": 0, "out": 0}, set()

    def dialled(cert):
        return tls(dial(int(p.door("tls"))), ca.pem, cert=cert)

    def stay(n):
        with Raw(p.port, sock=dialled(mine)) as c:
            assert c.connect("stay%d" % n, token).code == 0
            while not stop.is_set():
                c.send(packet(12))
                c.expect(PINGRESP)

    def come(who):
        for n in itertools.count():     # a new name each time: one name may come only so often (mqtt_client_connects)
            if stop.is_set():
                return
            with Raw(p.port, sock=dialled(mine)) as c:
                assert c.connect("come-%d-%d" % (who, n), token).code == 0
                serials.add(c.sock.getpeercert()["serialNumber"])
            count["in"] += 1

    def knock(cert):
        while not stop.is_set():
            try:
                with Raw(p.port, sock=dialled(cert)) as c:     # TLS 1.3: the refusal comes with the first answer
                    answer = c.connect("never", token)
            except (ssl.SSLError, ConnectionResetError, BrokenPipeError, Closed):
                count["out"] += 1
            else:
                raise AssertionError("let in with %r: %r" % (cert, answer))

    def run(what, *words):
        try:
            what(*words)
        except Exception as e:      # whatever it was, it is what this test is about
            wrong.append(repr(e))

    threads = [threading.Thread(target=run, args=x) for x in ((stay, 0), (stay, 1), (come, 0), (come, 1), (knock, None), (knock, lost))]
    for t in threads:
        t.start()
    try:
        for i in range(100):
            how = ("cut", "no key", "no authority", "no revocations", "other key", "expired")[i // 2 % 6]
            if i % 2:
                spoil(how, live, ca)
            else:
                put(good[i // 2 % 2])
            word = "certificates-kept" if i % 2 else "certificates-reloaded"
            before = p.log().count(word)
            p.signal(signal.SIGHUP)
            wait_for(lambda: p.log().count(word) > before or wrong, 10)
            time.sleep(0.06)    # one place in the program writes ten lines a second
            assert wrong == [], (i, how, time.monotonic() - begin)
    finally:
        stop.set()
        for t in threads:
            t.join(30 * SLOW)
        try:
            wait_for(lambda: descriptors(p.process.pid) < fds + 8, 10)      # the authentication keeps a connection open
            assert SLOW > 1 or own_memory(p.process.pid) - bytes_before < 8 << 20
        finally:
            p.stop()
    assert wrong == [] and len(serials) == 2 and count["in"] > 20 and count["out"] > 20, (wrong, serials, count)
