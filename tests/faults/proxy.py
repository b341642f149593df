"""A line to the server that can be cut, slowed and held: two Unix sockets and threads between them.

Each connection is a pair of directions; a test sees the messages of PostgreSQL's protocol that go by and says what becomes of the bytes.
"""

import contextlib
import os
import random
import re
import shutil
import socket
import tempfile
import threading
import time

NAME = ".s.PGSQL.5432"


class Proxy:
    """Listens in a directory of its own; `dsn` leads there.

    Attributes:
        refuse: the share of new connections that are closed at once.
        forward_limit: bytes from the client after which a connection is cut, None: none; counted per connection.
        hold: nothing is read or passed on any more, and nobody is told.
        bytes_per_second: to the server; 0: as fast as it goes.
        cut_commit: "before": the next COMMIT is not passed on, the connection is cut; "after": it is, and its answer is not.
        sent: bytes that went to the server over the newest connection.
    """

    def __init__(self, dsn, choose=None):
        self.folder = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
        self._behind = os.path.join(re.search(r"host='?([^' ]+)'?", dsn)[1], NAME)
        self.dsn = re.sub(r"host='?[^' ]+'?", f"host={self.folder}", dsn)
        self.refuse, self.forward_limit, self.bytes_per_second, self.cut_commit = 0.0, None, 0, ""
        self.hold = False
        self.sent = self.cuts = self.refused = self.accepted = 0
        self._choose = choose or random.Random()
        self._pairs = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.path.join(self.folder, NAME))
        self._listener.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self):
        """End all connections at once."""
        for pair in [*self._pairs]:
            _end(*pair)

    def close(self):
        """End everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hold = False
        self.cut()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._choose.random() < self.refuse:
                self.refused += 1
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._behind)
            except OSError:
                client.close()
                server.close()
                continue
            pair = (client, server)
            self._pairs.append(pair)
            self.sent = 0
            lost = threading.Event()  # the answer to this connection's COMMIT is not to be passed on
            threading.Thread(target=self._forward, args=(client, server, pair, lost), daemon=True).start()
            threading.Thread(target=self._back, args=(server, client, pair, lost), daemon=True).start()

    def _wait(self):
        while self.hold:
            time.sleep(0.01)

    def _forward(self, client, server, pair, lost):
        passed = 0
        with contextlib.suppress(OSError):
            while True:
                data = client.recv(4096 if self.bytes_per_second else 65536)
                self._wait()
                if not data:
                    break
                if self.cut_commit and b"COMMIT\0" in data:
                    when, self.cut_commit = self.cut_commit, ""
                    if when == "before":
                        self.cuts += 1
                        break
                    lost.set()
                if self.forward_limit is not None and passed + len(data) > self.forward_limit:
                    server.sendall(data[: self.forward_limit - passed])
                    self.forward_limit = None
                    self.cuts += 1
                    break
                server.sendall(data)
                passed += len(data)
                self.sent = passed
                if self.bytes_per_second:
                    time.sleep(len(data) / self.bytes_per_second)
        self._finish(pair)

    def _back(self, server, client, pair, lost):
        with contextlib.suppress(OSError):
            while True:
                data = server.recv(65536)
                self._wait()
                if not data:
                    break
                if lost.is_set():
                    self.cuts += 1
                    break
                client.sendall(data)
        self._finish(pair)

    def _finish(self, pair):
        with contextlib.suppress(ValueError):
            self._pairs.remove(pair)
        _end(*pair)


def _end(*sockets):
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
