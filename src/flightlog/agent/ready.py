"""Which writers there is something to read from, or to close: the same question for every destination.

Invariant: whether a writer lives is asked before it is read, and one that was found dead is closed only by a look at the spool that came after
that: it may have begun segments, or said its last words, in between. Owns: this order. Leaves reading to the tails.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import FlightlogError
from .capture_tail import CaptureTail
from .journal_tail import JournalTail
from .spool import Files

Tail = JournalTail | CaptureTail


def why(problem: Exception) -> str:
    """Return in one line why a writer is held up, and what to do about it where that is known."""
    hint = problem.hint if isinstance(problem, FlightlogError) else ""
    return f"{problem}; {hint}" if hint else str(problem)


def ready(tails: Mapping[str, Tail], found: Mapping[str, Files], look_alive: bool) -> tuple[list[Tail], bool]:
    """Return the tails of writers that are *found* and have something to read or have died; and whether the spool has to be looked at once more.

    Args:
        tails: by writer.
        found: a look at the spool.
        look_alive: whether to ask of everybody; else it is asked of those who have been read to their end.
    """
    chosen: list[Tail] = []
    again = False
    for writer, tail in tails.items():
        files = found.get(writer)
        if files is None:
            continue
        more = tail.has_more(files)
        if more or look_alive:
            known = tail.wants_a_look(files)
            alive = tail.look_alive(files) if look_alive or tail.backlog(files) == 0 else True
            again = again or (tail.wants_a_look(files) and not known)
            if more or not alive:
                chosen.append(tail)
    return chosen, again
