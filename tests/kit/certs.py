"""A certificate authority for tests, by the openssl command."""
import atexit
import functools
import os
import shutil
import subprocess
import tempfile

from stack import ROOT


def run(*words, **more):
    r = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, **more)
    assert r.returncode == 0, (words, r.stderr)
    return r.stdout


@functools.cache
def throwaway():
    """Folder with ca.pem, server.pem and server.key for this machine, as `make run` makes them; gone with this process."""
    folder = tempfile.mkdtemp(prefix="mbus-certs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([os.path.join(ROOT, "scripts", "certs"), folder], check=True, stdout=subprocess.DEVNULL)
    return folder


class Authority:
    def __init__(self, folder, name="authority"):
        self.dir = os.path.join(str(folder), name)
        os.makedirs(os.path.join(self.dir, "issued"))
        self.pem, self.key, self.crl = (os.path.join(self.dir, f) for f in ("ca.pem", "ca.key", "crl.pem"))
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30, "-subj", "/CN=%s" % name,
            "-keyout", self.key, "-out", self.pem)
        self.config = os.path.join(self.dir, "ca.conf")
        with open(self.config, "w") as f:
            f.write("[ca]\ndefault_ca=x\n[x]\ndatabase=%s/index.txt\nnew_certs_dir=%s/issued\ncertificate=%s\nprivate_key=%s\nserial=%s/serial\n"
                    "default_md=sha256\npolicy=any\nunique_subject=no\ncopy_extensions=copy\ndefault_crl_days=5\n[any]\ncommonName=supplied\n"
                    % (self.dir, self.dir, self.pem, self.key, self.dir))
        open(os.path.join(self.dir, "index.txt"), "w").close()
        with open(os.path.join(self.dir, "serial"), "w") as f:
            f.write("01\n")
        self.make_crl()

    def issue(self, name, san="DNS:localhost,IP:127.0.0.1", kind="ec", start=None, end=None):
        """(certificate, key), files. start, end: YYYYMMDDHHMMSSZ."""
        base = os.path.join(self.dir, name)
        keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
        run("req", *keys, "-nodes", "-subj", "/CN=%s" % name, "-addext", "subjectAltName=" + san, "-keyout", base + ".key", "-out", base + ".csr")
        times = ["-startdate", start or "20200101000000Z", "-enddate", end] if end else ["-days", 20]
        run("ca", "-batch", "-config", self.config, "-notext", *times, "-in", base + ".csr", "-out", base + ".pem")
        return base + ".pem", base + ".key"

    def make_crl(self):
        run("ca", "-config", self.config, "-gencrl", "-out", self.crl + ".new")
        os.replace(self.crl + ".new", self.crl)

    def revoke(self, cert):
        run("ca", "-config", self.config, "-revoke", cert)
        self.make_crl()
