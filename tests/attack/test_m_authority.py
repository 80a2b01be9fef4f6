"""The token authority: where it listens, who is asked, and what customers learn of each other."""
import os
import resource
import socket
import subprocess

import pytest
from sandbox import no_netlink
from stack import BUILD, free_offset, wait_for

pytestmark = pytest.mark.one_door("mbus-admin's own socket")


def listening(pid):
    """{(address, port)} of the TCP sockets on which this process listens, as the kernel says."""
    mine = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            mine.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            pass
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with open("/proc/%d/net/%s" % (pid, table)) as f:
            for row in f.readlines()[1:]:
                _, local, _, state, *_, inode = row.split()[:10]
                if state == "0A" and "socket:[%s]" % inode in mine:
                    raw = bytes.fromhex(local.split(":")[0])
                    raw = b"".join(raw[i:i + 4][::-1] for i in range(0, len(raw), 4))   # words in the byte order of the machine
                    found.add((socket.inet_ntop(family, raw), int(local.split(":")[1], 16)))
    return found


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Admin:
    """mbus-admin alone."""

    def __init__(self, folder, listen, preexec=None):
        self.said = str(folder / "log")
        with open(self.said, "w") as log:
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "mbus-admin"), "--dir", str(folder / "admin"), "--listen", listen, "--core", ""],
                stdout=log, stderr=subprocess.STDOUT, preexec_fn=preexec)

    def log(self):
        with open(self.said) as f:
            return f.read()

    def __enter__(self):
        wait_for(lambda: "ev=ready" in self.log() or self.process.poll() is not None, 20)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        assert "Sanitizer" not in self.log(), self.log()


@pytest.mark.parametrize("preexec", [None, no_netlink])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "0.0.0.0"])
def test_M30_the_rest_api_listens_on_the_configured_address_with_and_without_netlink(tmp_path, host, preexec):
    port = 9005 + free_offset()
    with Admin(tmp_path, "%s:%d" % (host, port), preexec) as admin:
        assert admin.process.poll() is None, admin.log()
        assert listening(admin.process.pid) == {(host, port)}
        with socket.create_connection(("127.0.0.1" if host == "0.0.0.0" else host, port), 5) as s:
            s.sendall(b"GET /auth/info HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("preexec", [None, no_netlink])
def test_M30_an_address_that_the_machine_does_not_have_ends_the_start(tmp_path, preexec):
    with Admin(tmp_path, "192.0.2.1:%d" % (9005 + free_offset()), preexec) as admin:
        assert admin.process.wait(20) == 1
        assert "this machine has no such address" in admin.log()
        assert "ev=ready" not in admin.log()


def test_M31_without_descriptors_nobody_is_accepted_and_nothing_spins_until_there_are_some(tmp_path):
    port = 9005 + free_offset()
    with Admin(tmp_path, "127.0.0.1:%d" % port) as admin:
        pid = admin.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir("/proc/%d/fd" % pid)), before[1]))
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.sendall(b"GET /auth/info HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: "ev=accept-paused" in admin.log())
            used = cpu_seconds(pid)
            s.settimeout(2)
            with pytest.raises(TimeoutError):
                s.recv(100)
            assert cpu_seconds(pid) - used < 0.5
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            s.settimeout(5)
            assert s.recv(100).startswith(b"HTTP/1.1 401 ")
