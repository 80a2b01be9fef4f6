"""A wire between a client and a door that is cut when a certain packet passes: what a real network does at the worst moment."""
import socket
import threading

from doors import dial

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


class Relay:
    """Plain TCP. cut(DOWN, PUBREC): the next PUBREC to the client is lost, and the connection with it. .cuts counts."""

    def __init__(self, port):
        self.target = int(port)
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
            far = dial(self.target)
            far.settimeout(None)
            for pair in ((near, far, UP), (far, near, DOWN)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, sink, direction):
        packets = Packets()
        try:
            while True:
                more = source.recv(65536)
                if not more:
                    break
                for kind, whole in packets.take(more):
                    with self.lock:
                        lost = self.rule == (direction, kind)
                        if lost:
                            self.rule = None
                            self.cuts += 1
                    if lost:
                        return
                    sink.sendall(whole)
        except OSError:
            pass
        finally:
            for s in (source, sink):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
