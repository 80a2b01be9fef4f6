"""preexec_fn for a program that may not open sockets of AF_NETLINK: a seccomp filter, as sandboxes and some containers have one."""
import ctypes
import platform
import struct

AF_NETLINK, EAFNOSUPPORT = 16, 97
SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}     # audit architecture, number of socket(2)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def no_netlink():
    arch, number = SOCKET[platform.machine()]
    rows = [(LOAD, 0, 0, 4), (EQUAL, 0, 5, arch),           # of seccomp_data: arch, nr, the first argument
            (LOAD, 0, 0, 0), (EQUAL, 0, 3, number),
            (LOAD, 0, 0, 16), (EQUAL, 0, 1, AF_NETLINK),
            (RETURN, 0, 0, ERRNO | EAFNOSUPPORT), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *r) for r in rows))
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(rows), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(x) for x in call)):
            raise OSError(ctypes.get_errno(), "prctl")
