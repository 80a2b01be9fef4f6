"""Every version and every suite that the openssl command knows, one handshake each: exactly those of the documentation are accepted."""
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from certs import Authority
from proxy import Proxy
from stack import SLOW

pytestmark = pytest.mark.one_door("TLS")

SUITES_12 = {"ECDHE-%s-%s" % (key, how) for key in ("ECDSA", "RSA") for how in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")}
SUITES_13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
GROUPS = {"X25519", "P-256", "P-384"}


@pytest.fixture(scope="module")
def door(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suites")
    ca = Authority(folder)
    pairs = [ca.issue(kind, kind=kind) for kind in ("ec", "rsa")]
    p = Proxy(stack, folder / "p", "mqtts = 127.0.0.1:0", "tls_cert = " + ", ".join(c for c, _ in pairs), "tls_key = " + ", ".join(k for _, k in pairs))
    p.start()
    yield p.door("tls")
    p.stop()


def shake(door, *words):
    """(version, suite) or None."""
    r = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % door, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=30 * SLOW)
    m = re.search(r"^New, (\S+), Cipher is (\S+)", r.stdout, re.M)
    if not m or m.group(2) == "(NONE)":
        return None
    return re.search(r"Protocol *: *(\S+)|^New, (TLSv1\.3)", r.stdout, re.M).group(0).split()[-1].strip(","), m.group(2)


def known(*words):
    """Names of suites that this openssl can offer."""
    r = subprocess.run(["openssl", "ciphers", *words], capture_output=True, text=True, check=True)
    return set(r.stdout.strip().split(":"))


def accepted(tries):
    with ThreadPoolExecutor(4) as pool:
        return {name for name, got in zip(tries, pool.map(lambda t: t(), tries.values())) if got}


def test_exactly_these_versions_are_spoken(door):
    old = ["-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    tries = {v: lambda v=v: shake(door, "-" + v, *old) for v in ("tls1", "tls1_1", "tls1_2", "tls1_3")}
    assert accepted(tries) == {"tls1_2", "tls1_3"}
    assert shake(door)[0] == "TLSv1.3"


def test_exactly_these_suites_are_spoken(door):
    every = known("-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0") | known("-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    old = {s for s in every if not s.startswith("TLS_")}
    assert len(old) > 60 and SUITES_12 < old
    assert accepted({s: lambda s=s: shake(door, "-tls1_2", "-cipher", s + ":@SECLEVEL=0") for s in sorted(old)}) == SUITES_12
    new = SUITES_13 | {"TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"}
    assert accepted({s: lambda s=s: shake(door, "-tls1_3", "-ciphersuites", s) for s in sorted(new)}) == SUITES_13


def test_exactly_these_groups_are_spoken(door):
    every = GROUPS | {"P-521", "X448", "brainpoolP256r1", "secp256k1", "ffdhe2048", "ffdhe3072"}
    for version in ("-tls1_2", "-tls1_3"):
        tries = {g: lambda g=g: shake(door, version, "-groups", g, "-cipher", "ECDHE:DHE:@SECLEVEL=0") for g in sorted(every)}
        assert accepted(tries) == GROUPS, version
