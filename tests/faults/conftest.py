"""For the campaigns: a PostgreSQL of the test's own, which may be killed and whose memory may be taken away."""

import os
import shutil
import tempfile

import pytest

from flightlog.store.embedded import EmbeddedServer
from flightlog.store.migrate import migrate


@pytest.fixture
def own_server():
    """A migrated server that flushes as usual; `dsn` is its DSN."""
    folder = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
    os.chmod(folder, 0o711 if os.geteuid() == 0 else 0o700)
    server = EmbeddedServer(folder)
    server.dsn = server.start()
    migrate(server.dsn)
    yield server
    server.stop(immediate=True)
    shutil.rmtree(folder, ignore_errors=True)
