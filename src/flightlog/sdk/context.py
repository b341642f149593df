"""Where in a run we are: the scope that every record carries.

Owns: the scope object, the context variable, and the scope of threads that inherited none. A scope is immutable; entering a
run or stage makes a new one. Leaves making runs to `sdk.run`.
"""

from __future__ import annotations

import contextvars
from json.encoder import encode_basestring_ascii as quote

from . import redact


class Scope:
    """One place in one run.

    Attributes:
        run: the run's ULID.
        stage: `extract/merge`, empty outside of any.
        tail: the two as the piece of JSON that goes into each record.
    """

    __slots__ = ("run", "stage", "tail")

    def __init__(self, run: str, stage: str = "") -> None:
        if not stage.isascii():
            stage = stage.encode("utf-8", "backslashreplace").decode("utf-8")  # no lone surrogates
        stage = redact.text(stage)
        self.run, self.stage = run, stage
        self.tail = ',"r":"%s"' % run if not stage else ',"r":"%s","s":%s' % (run, quote(stage))

    def inner(self, stage: str) -> Scope:
        """Return the scope of a stage inside this one."""
        return Scope(self.run, self.stage + "/" + stage if self.stage else stage)


current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("flightlog_scope", default=None)
