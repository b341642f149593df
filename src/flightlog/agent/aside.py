"""Writers whose records our own code stumbles over: set aside, so that a mistake of ours holds up one writer and not a whole node.

Invariants: what is set aside is not shipped and not removed, it is said why, and it is tried again by the next agent, which may know better; a batch in
which the mistake was made is given up as a whole, because nobody knows what of that writer is in it. Owns: which writers these are. Leaves saying it to the shippers'
`unreadable`.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection

from ..errors import FlightlogError

REMEDY = "its files stay in the spool; update flightlog, or report this"


class Mistake(FlightlogError):
    """Reading a writer's files raised what it must not raise.

    Attributes:
        writer: whose.
    """

    def __init__(self, writer: str, problem: Exception) -> None:
        frame = traceback.extract_tb(problem.__traceback__)[-1]
        place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        super().__init__(f"a mistake of flightlog's own in reading it: {type(problem).__name__} at {place}", REMEDY)
        self.writer = writer


class Aside:
    """The writers set aside by one agent."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def __contains__(self, writer: str) -> bool:
        return writer in self._why

    def put(self, mistake: Mistake) -> None:
        """Set its writer aside."""
        self._why[mistake.writer] = f"{mistake.message}; {mistake.hint}"

    def among(self, found: Collection[str]) -> dict[str, str]:
        """Return why, for those that are *found*; the others have gone, and are forgotten."""
        self._why = {writer: why for writer, why in self._why.items() if writer in found}
        return dict(self._why)
