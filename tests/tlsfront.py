"""TLS before a server that has none: speaks PostgreSQL's SSLRequest, then passes bytes to a Unix socket. For tests, on the loopback address given."""

import contextlib
import os
import socket
import ssl
import struct
import threading

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


@contextlib.contextmanager
def running(address, behind, key=None, certificate=None):
    """Listen on *address*, any port (yielded), until the end; without a *certificate* say that there is no TLS, as a server does."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    listener = socket.create_server((address, 0))
    seen = []
    thread = threading.Thread(target=_serve, args=(listener, behind, context, seen), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _serve(listener, behind, context, seen):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_one, args=(client, behind, context, seen), daemon=True).start()


def _one(client, behind, context, seen):
    with contextlib.suppress(OSError), client:
        while True:
            head = client.recv(8, socket.MSG_WAITALL)
            if len(head) < 8:
                return
            code = struct.unpack("!II", head)[1]
            if code == _GSS_REQUEST or (code == _SSL_REQUEST and context is None):
                client.sendall(b"N")
            elif code == _SSL_REQUEST:
                client.sendall(b"S")
                client = context.wrap_socket(client, server_side=True)
                head = b""
                break
            else:
                break
        seen.append(head)
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(os.path.join(behind, ".s.PGSQL.5432"))
            server.sendall(head)
            back = threading.Thread(target=_pass, args=(server, client), daemon=True)
            back.start()
            _pass(client, server)
            back.join(10)


def _pass(source, target):
    with contextlib.suppress(OSError):
        while True:
            data = source.recv(65536)
            if not data:
                break
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
