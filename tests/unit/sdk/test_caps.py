"""Whatever is logged, and however: a record stays below the caps, is cut visibly, and every reader can decode it."""

import pytest
from test_recording import run

from flightlog.journal.format import MAX_PAYLOAD_BYTES

WAYS = {
    "logging": "import logging; flightlog.init(); say = lambda m, **x: logging.warning('%s', m, extra=x)",
    "logging, structlog": "import logging, structlog; flightlog.init(); std = structlog.stdlib\n"
    "structlog.configure(processors=[structlog.processors.KeyValueRenderer()], logger_factory=std.LoggerFactory(), wrapper_class=std.BoundLogger)\n"
    "say = lambda m, **x: structlog.get_logger().warning(m, **x)",
    "structlog": "import structlog; flightlog.init(); say = lambda m, **x: structlog.get_logger().warning(m, **x)",
    "loguru": "import loguru; flightlog.init(); say = lambda m, **x: loguru.logger.bind(**x).warning(m)",
    "native": "say = lambda m, **x: flightlog.get_logger('n').warning(m, **x)",
}
# Each escape of this character takes twelve bytes in JSON.
VALUES = {
    "a long message": "say('\\U0001f600' * 100_000)",
    "a long field": "say('m', text='\\U0001f600' * 100_000)",
    "many long fields": "say('m', **{'k%d' % i: '\\u00e9' * 30_000 for i in range(20)})",
    "a long message and many fields": "say('\\u00e9' * 60_000, **{'k%d' % i: 'x' * 10_000 for i in range(20)})",
    "a deep field": "x = []\nfor i in range(100): x = [x, 'y' * 1000]\nsay('m', x=x)",
    "a long stage": "with flightlog.stage('\\u00e9' * 60_000): say('m', x=1)",
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("way", WAYS)
def test_payload_is_below_the_cap_and_cut_visibly(tmp_path, way, value, monkeypatch):
    import json

    sizes = []
    loads = json.loads
    monkeypatch.setattr("test_recording.json.loads", lambda data: sizes.append(len(data)) or loads(data))
    done, found = run(tmp_path, "import flightlog\n%s\n%s\n" % (WAYS[way], VALUES[value]))
    assert done.returncode == 0, done.stderr[-500:]
    (record,) = [record for record in found if record["k"] == "log"]
    assert max(sizes) <= MAX_PAYLOAD_BYTES
    text = record["m"]
    if value.startswith("a long message"):
        assert text[:1000] in ("\U0001f600" * 1000, "\u00e9" * 1000)
        assert record["tr"] is True
    else:
        assert text == "m"
    if value == "a long field":
        assert record.get("tr") is True or record["x"]["text"].endswith("...")


@pytest.mark.parametrize("way", WAYS)
def test_lone_surrogates_are_text_wherever_they_are(tmp_path, way):
    code = """
import threading
with flightlog.stage('st\\udc80'):
    t = threading.Thread(target=say, args=('m\\udc80',), kwargs={'x': 'v\\udc80', 'y': ['\\udc80']}, name='th\\udc80')
    t.start(); t.join()
    say('k', **{'k\\udc80': 1})
"""
    said = {"PYTHONIOENCODING": "utf-8:backslashreplace"}  # of the child, so that its console can be read here
    done, found = run(tmp_path, "import flightlog\n" + WAYS[way] + code, **said)
    assert done.returncode == 0, done.stderr[-500:]
    for record in found:
        assert "\udc80" not in repr_of(record)
    assert "m\\udc80" in [record.get("m") for record in found]
    assert "st\\udc80" in [record.get("s") for record in found if record["k"] == "event"]


def repr_of(record):
    """All strings of a record in one, lone surrogates as they are."""
    if isinstance(record, dict):
        return " ".join([repr_of(item) for pair in record.items() for item in pair])
    if isinstance(record, list):
        return " ".join([repr_of(item) for item in record])
    return str(record)
