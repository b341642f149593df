"""Every test of this folder runs over both controllers."""

import pytest

from conformance.kept import Kept


@pytest.fixture(params=["plain", "enhanced"])
def kept(request, home, monkeypatch):
    """A controller with a home of its own; what it keeps is ended afterwards."""
    monkeypatch.setenv("FLIGHTLOG_HOME", home)
    monkeypatch.setenv("FLIGHTLOG_AGENT", "never")
    for name in ("FLIGHTLOG_CONFIG", "FLIGHTLOG_RUN", "FLIGHTLOG_SPOOL", "FLIGHTLOG_DSN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(home)
    return Kept(request.param, home)
