"""Where in a run we are: the scope that every record carries.

Owns: the scope object, the context variable, and the scope of threads that inherited none. A scope is immutable; entering a
run or stage makes a new one. Leaves making runs to `sdk.run`, handing scopes to threads and processes to `sdk.carry`.
"""

from __future__ import annotations

import contextvars
from json.encoder import encode_basestring_ascii as quote

from . import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token

ATTRIBUTE = "_flightlog_scope"  # of what is handed to another thread or process: the scope, or its line of text


class Scope:
    """One place in one run.

    Attributes:
        run: the run's ULID.
        stage: `extract/merge`, empty outside of any.
        tail: the two as the piece of JSON that goes into each record.
        outer: the one around it in this process, if any.
    """

    __slots__ = ("outer", "run", "stage", "tail")

    def __init__(self, run: str, stage: str = "", outer: Scope | None = None) -> None:
        if not stage.isascii():
            stage = stage.encode("utf-8", "backslashreplace").decode("utf-8")  # no lone surrogates
        stage = redact.text(stage)
        self.run, self.stage, self.outer = run, stage, outer
        self.tail = ',"r":"%s"' % run if not stage else ',"r":"%s","s":%s' % (run, quote(stage))

    def inner(self, stage: str) -> Scope:
        """Return the scope of a stage inside this one."""
        return Scope(self.run, self.stage + "/" + stage if self.stage else stage, self)


current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("flightlog_scope", default=None)
# Scopes that were left in this context while one that had begun inside of them went on. Not in others: a task that outlives its run stays in it.
_left: contextvars.ContextVar[tuple[Scope | None, ...]] = contextvars.ContextVar("flightlog_left", default=())
MOST_LEFT = 32


def leave(token: Token[Scope | None] | None, outer: Scope | None, ours: Scope | None = None) -> None:
    """Go back from *ours* to where we were when *token* was made, which is *outer*, or to what is open around that. Never raises.

    A token is worth nothing in another context than its own (a generator that somebody else goes on with), nor a second time. Generators that take
    turns leave their stages in any order: then where we were may have ended meanwhile.
    """
    if token is None:
        return
    out_of_turn = ours is not None and current.get() is not ours
    try:
        current.reset(token)
    except (ValueError, RuntimeError):
        current.set(outer)
    if out_of_turn:
        _left.set((*_left.get(), ours)[-MOST_LEFT:])
    left = _left.get()
    if left:
        here = current.get()
        while here is not None and any(here is one for one in left):
            here = here.outer
        current.set(here)


def within(outer: Scope | None) -> Scope | None:
    """Return where something new begins that belongs into *outer*: where we are, if that is inside of it, else *outer* itself."""
    here = current.get()
    if outer is None or here is None or here.run != outer.run:
        return outer or here
    inside = not outer.stage or here.stage == outer.stage or here.stage.startswith(outer.stage + "/")
    return here if inside else outer
