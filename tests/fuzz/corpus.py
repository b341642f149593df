"""What is damaged: segments, payloads and streams as our writers make them, the golden files among them.

Owns: these, undamaged. Leaves damage to `mutation` and `jsontext`.
"""

import glob
import os

from flightlog.journal import mark
from flightlog.journal.encode import encode
from flightlog.journal.format import frame, salt_of
from flightlog.journal.reader import read_segment

WRITER = "0123456789abcdef" * 2
SALT = salt_of(WRITER)
RUN = "01KAG01DEN0000000000000001"
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "journal")


def _golden():
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.seg"))):
        for _, _, _, payload in read_segment(path, salt_of(os.path.basename(path)[:32])):
            if payload is not None:
                yield payload


def _others():
    at = {"k": "log", "lv": 20, "lg": "etl", "f": "load.py", "ln": 3, "fn": "load"}
    yield encode({**at, "m": "plain", "t": 1_790_000_000_000_000_000, "r": RUN})
    yield encode(
        {**at, "m": "é\0\udc80\n\t\\", "t": 5, "r": RUN, "x": {"é": [1, None, {"deep": [[]]}], "n": float("nan")}}
    )
    where = [{"file": "load.py", "line": line, "func": "load", "code": "x[0] = {"} for line in range(30)]
    error = {"type": "E", "module": "m", "message": "no", "frames": where, "cause": None}
    yield encode({**at, "lv": 40, "m": "failed", "t": 7, "r": RUN, "e": {**error, "context": error}, "tr": True})
    yield encode(
        {
            "k": "event",
            "t": 9,
            "ev": "run.ended",
            "r": RUN,
            "x": {"status": "failed", "term_signal": "SIGSEGV", "error": error},
        }
    )
    yield encode(
        {
            "k": "event",
            "t": 9,
            "ev": "run.started",
            "r": RUN,
            "x": {"pipeline": "p", "command": ["a"], "uid": 1, "params": {}},
        }
    )
    yield encode({"k": "drops", "t": 3, "dropped": {"20/pressure": 3}})
    yield b"{}"


PAYLOADS = [*_golden(), *_others()]
_SHORT = [payload[:250] for payload in PAYLOADS]
SEGMENTS = [
    b"".join(frame(payload, SALT, n) for n, payload in enumerate(PAYLOADS[begin : begin + 6]))
    for begin in range(0, 30, 6)
]


def segment(chance, largest):
    """Return a segment of a few frames, not all of which are in order, ours, or as short as they should be."""
    parts = []
    for _ in range(chance.randrange(1, 9)):
        kind = chance.random()
        if kind < 0.7:
            payload = chance.choice(_SHORT if largest < 1000 else PAYLOADS)
        elif kind < 0.9:
            payload = chance.randbytes(chance.randrange(largest + 3 if largest < 1000 else 40))
        else:
            payload = b"\xa7" * chance.randrange(40)
        n = chance.randrange(20) if kind < 0.95 else chance.getrandbits(64)
        parts.append(frame(payload, SALT if chance.random() < 0.95 else SALT ^ 1, n))
    return b"".join(parts)


def _printed():
    yield b"plain\n"
    yield b"2026-11-27 10:00:00 WARNING etl: slow\r\n"
    yield b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \xff\xfe 100%\r50%\n"
    yield b'{"message":"loaded","level":"error","rows":3,"password":"hunter2","deep":[{"a":null}]}\n'
    yield b'{"msg":"a\\u0000b\\ud83d","severity":35,"n":1e400,"nan":NaN}\n'
    yield b'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\n\n  x\nValueError: no\n'
    yield b"  Traceback (most recent call last):\n    File\n  Error: no\n\nafter\n"
    yield b"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nMIIEowIBAAKCAQEA8\n-----END RSA PRIVATE KEY-----\n"
    yield b"x" * 300 + b" token=" + b"y" * 300 + b"\n"
    yield b"10 | 1234 | | | || a|b|c ERROR\n"
    yield b"\rone 10%\n\rtwo 10%\x1b[A\rone 90%\n\rtwo 90%\x1b[A\n\n"
    yield b"\x1b[?25la 10%\nb 20%\r\x1b[2K\x1b[1A\x1b[2Ka 50%\nb 60%\n\x1b[?25h"
    yield "WARNING:utf:16\n".encode("utf-16")
    yield b"thread 'main' panicked at a.rs:1:2:\nno\nstack backtrace:\n   0: a::b\n             at a.rs:1\n"
    yield b'  File "x.py", line 1\n    def (\n        ^\nSyntaxError: invalid syntax\n'
    yield b"no end"
    yield b"\0" * 300 + b"\n"
    for n, text in enumerate((b"INFO loaded\n", b"", b"ERROR failed\nTraceback\n", b"\x1b_fl;\n")):
        yield mark.make(WRITER, n, text) + text
    yield mark.make(WRITER, 1, b"another\n") + b"text\n"


OUTPUTS = list(_printed())
_COLUMNS = [b"||||| ", b"| 1a", b"[(<|]>): ", b"0123456789-:., |"]


def output(chance):
    """Return what a command may have printed, with copies of journalled records in it."""
    parts = chance.choices(OUTPUTS, k=chance.randrange(1, 12))
    if chance.random() < 0.2:  # a row of a table, or what is nearly one
        parts.append(b"1" + bytes(chance.choices(chance.choice(_COLUMNS), k=chance.randrange(120))) + b"\n")
    return b"".join(parts)
