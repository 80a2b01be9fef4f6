#!/usr/bin/python3
"""storm.py PORT COUNT < packets: COUNT connections one after the other, each sends one packet of the list and waits for the end.

Packets come as lines of hex digits. Source addresses turn round in 127.1.0.0/16, so that no pair of ports is used twice while the kernel still
remembers it. Prints how many were closed by the server without a word, and how many were told something first."""
import socket
import sys


def main(port, count, packets):
    silent = told = 0
    for i in range(count):
        with socket.socket() as s:
            s.settimeout(60)
            s.bind(("127.1.%d.%d" % (i // 200 % 250, 1 + i % 200), 0))
            s.connect(("127.0.0.1", port))
            heard = b""
            try:
                s.sendall(packets[i % len(packets)])
                s.shutdown(socket.SHUT_WR)
                while more := s.recv(4096):
                    heard += more
            except ConnectionResetError:
                pass    # closed before it was read to the end
            told += bool(heard)
            silent += not heard
            assert not heard or heard[0] == 0x20 and heard[3] != 0, heard    # never a yes
    print(silent, told)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [bytes.fromhex(line) for line in sys.stdin])
