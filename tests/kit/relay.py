"""A wire between a client and a door that is cut when a certain packet passes: what a real network does at the worst moment."""
import select
import socket
import threading

from doors import connect_door, waiting

UP, DOWN = 0, 1


class Packets:
    """Cuts one direction of a stream into MQTT packets; yields (type, bytes)."""

    def __init__(self):
        self.data = b""

    def take(self, more):
        self.data += more
        while len(self.data) >= 2:
            length = shift = 0
            for i in range(1, min(len(self.data), 5)):
                length |= (self.data[i] & 127) << shift
                shift += 7
                if not self.data[i] & 128:
                    break
            else:
                return
            whole = i + 1 + length
            if len(self.data) < whole:
                return
            yield self.data[0] >> 4, self.data[:whole]
            self.data = self.data[whole:]


def come(s):
    """What has come, b"" at the end; None if it was for TLS itself (a ticket), which select() does not know."""
    s.settimeout(0.05)
    try:
        return s.recv(65536)
    except TimeoutError:
        return None
    finally:
        s.settimeout(None)


class Relay:
    """Plain TCP on the client's side, the door that port stands for on the other. cut(DOWN, PUBREC): the next PUBREC to the client is lost, and the
    connection with it. .cuts counts."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.rule = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, direction, kind):
        with self.lock:
            self.rule = (direction, kind)

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near):
        """Both directions in one thread: a TLS socket is not for two."""
        far = None
        try:
            far = connect_door(self.target)
            ways = {near: (far, UP, Packets()), far: (near, DOWN, Packets())}
            while True:
                for source in [far] if waiting(far) else select.select([near, far], [], [])[0]:
                    sink, direction, packets = ways[source]
                    more = come(source)
                    if more == b"":
                        return
                    for kind, whole in packets.take(more or b""):
                        if self._lost(direction, kind):
                            return
                        sink.sendall(whole)
        except OSError:
            pass
        finally:
            for s in (near, far):
                if s:
                    s.close()

    def _lost(self, direction, kind):
        with self.lock:
            if self.rule != (direction, kind):
                return False
            self.rule = None
            self.cuts += 1
            return True

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
