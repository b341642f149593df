"""When looking at processes goes wrong by a mistake of our own, that is said, once, and the run goes on."""

import os
import types

from flightlog.process.metrics import LOGGER, Metrics


def test_a_mistake_in_looking_is_said_and_ends_the_looking(tmp_path, monkeypatch):
    said = []
    report = types.SimpleNamespace(say=lambda message, data, logger: said.append((message, data, logger)))
    setup = types.SimpleNamespace(
        control_page=str(tmp_path / "page"),
        keeper=0,
        spool=str(tmp_path),
        evidence=-1,
        spec=types.SimpleNamespace(run="0" * 26),
    )
    metrics = Metrics(setup, report, os.getpid())

    def stumble():
        raise KeyError("nobody thought of this")

    monkeypatch.setattr(metrics._sampler, "look", stumble)
    metrics._look_at = 0.0
    metrics.look(())
    metrics._look_at = 0.0
    metrics.look(())
    ((message, data, logger),) = said
    assert "KeyError" in message and data == {"error": "KeyError"} and logger == LOGGER
    assert metrics.bound(None) is None and metrics.end() == []
