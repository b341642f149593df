"""What one kept process does next: one pure state machine, with an intent that stands above where it is.

    starting -> running -> (lingering) -> waiting -> starting ...      stopping -> killing -> stuck      done

Events are methods; each returns actions for the caretaker to do:
    ("spawn",) ("term",) ("kill",) ("freeze",) ("thaw",) ("timer", seconds) ("finish", outcome)
Invariants: nothing is spawned while anything of the attempt before may live; the newest order wins, whatever is going on when it comes (a stop
during a start, a restart during a back-off, a stop during a stop); after a stop nothing is spawned until an order of a newer generation says so.
`timer` replaces the timer before. Owns: phases and intent. Leaves processes, clocks and what an end means to others.
"""

from __future__ import annotations

from .restart import QUARANTINE, RESTART

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Mapping, Tuple, Union

    from .restart import Decision

    Action = Tuple[Union[str, float], ...]
    Actions = List[Action]

STARTING, RUNNING, LINGERING, WAITING = "starting", "running", "lingering", "waiting"
STOPPING, KILLING, STUCK, DONE = "stopping", "killing", "stuck", "done"
STOPPED, SUCCEEDED, FAILED, QUARANTINED = "stopped", "succeeded", "failed", "quarantined"
UP, DOWN = "up", "down"
ALONG = "group"  # why it is restarted: a member of its group was
CLEAR_SECONDS, KILL_SECONDS = 10.0, 5.0


class Machine:
    """See the module.

    Args:
        generation: the order that it begins under.
        want: `up` or `down`.

    Attributes:
        phase: where it is.
        outcome: of the last end; what `finish` says.
        frozen: the process is paused.
    """

    def __init__(self, generation: int = 1, want: str = UP) -> None:
        self.phase = STARTING
        self.want = want
        self.generation = generation
        self.frozen = False
        self.outcome = STOPPED
        self._current = generation  # the generation that what runs, or waits to, belongs to
        self._main = False  # the command's own process may live
        self._next: float | None = None  # seconds until the next attempt, once the tree is empty
        self._grace = CLEAR_SECONDS

    @property
    def current(self) -> int:
        """The generation that what runs, or waits to, belongs to."""
        return self._current

    @property
    def grace(self) -> float:
        """The seconds between SIGTERM and SIGKILL of the stop that goes on."""
        return self._grace

    # -- beginnings -------------------------------------------------------------------------------------------------

    def begin(self) -> Actions:
        """Nothing runs: do what is wanted."""
        return self._finish(STOPPED) if self.want == DOWN else self._spawn()

    def rest(self, outcome: str) -> Actions:
        """Nothing runs, and nothing is to."""
        return self._finish(outcome)

    def wait(self, seconds: float) -> Actions:
        """Nothing runs, and the caretaker before had meant to wait that long."""
        if self.want == DOWN:
            return self._finish(STOPPED)
        self._next = seconds
        return self._settle()

    def adopt(self, frozen: bool, grace: float) -> Actions:
        """The command runs already: somebody else started it."""
        self.phase, self._main, self.frozen = RUNNING, True, frozen
        return self._stop(grace) if self.want == DOWN else []

    # -- events -----------------------------------------------------------------------------------------------------

    def order(self, want: str, generation: int, grace: float) -> Actions:
        """Somebody wants it `up` (anew, when *generation* is newer) or `down`."""
        self.want, self.generation = want, max(generation, self.generation)
        wanted = want == DOWN or self.generation > self._current
        if not wanted or self.phase in (STARTING, DONE):  # a start that is under way is waited for
            self._grace = grace
            return []
        if self.phase in (RUNNING, LINGERING):
            return self._stop(grace)
        if self.phase == WAITING:
            return self._settle()
        if self.phase == STOPPING and grace < self._grace:
            self._grace = grace
            return self._kill() if grace <= 0 else [("timer", grace)]
        return self._kill() if self.phase == STUCK else []

    def started(self) -> Actions:
        """The attempt has begun."""
        self.phase = RUNNING
        return self._stop(self._grace) if self.want == DOWN or self.generation > self._current else []

    def ended(self, decision: Decision, empty: bool) -> Actions:
        """The command's own process has ended; *empty*: nothing of its tree is left. Also for an attempt that could not begin."""
        self._main = False
        self._next = decision.delay_s if decision.action == RESTART else None
        self.outcome = QUARANTINED if decision.action == QUARANTINE else SUCCEEDED
        if decision.action != RESTART and decision.failed:
            self.outcome = self.outcome if decision.action == QUARANTINE else FAILED
        if empty:
            return self._settle()
        if self.phase in (STOPPING, KILLING, STUCK):
            return []
        if self._next is not None or self.want == DOWN or self.generation > self._current:
            return self._stop(CLEAR_SECONDS)  # what it left behind must not meet the next one
        self.phase = LINGERING
        return []

    def empty(self) -> Actions:
        """Nothing of the tree is left."""
        if self._main or self.phase not in (STOPPING, KILLING, STUCK, LINGERING):
            return []
        return self._settle()

    def timer(self) -> Actions:
        """The time is up that the last `timer` gave."""
        if self.phase == STOPPING:
            return self._kill()
        if self.phase in (KILLING, STUCK):
            self.phase = STUCK
            return [("kill",), ("timer", KILL_SECONDS)]
        if self.phase == WAITING:
            return self._spawn()
        return []

    def hung(self, grace: float) -> Actions:
        """It no longer does its work: end it; what comes then the policy says."""
        return self._stop(grace) if self.phase == RUNNING else []

    def freeze(self, on: bool) -> Actions:
        """Pause it, or let it go on."""
        if self.phase not in (RUNNING, LINGERING) or on == self.frozen:
            return []
        self.frozen = on
        return [("freeze",) if on else ("thaw",)]

    # -- transitions ------------------------------------------------------------------------------------------------

    def _spawn(self) -> Actions:
        self.phase, self._main, self.frozen, self._next = STARTING, True, False, None
        self._current = self.generation
        return [("timer", 0.0), ("spawn",)]

    def _stop(self, grace: float) -> Actions:
        if grace <= 0:
            return self._kill()
        self.phase, self._grace = STOPPING, grace
        actions: Actions = [("term",)]
        if self.frozen:  # what is stopped cannot end itself
            self.frozen = False
            actions.append(("thaw",))
        return [*actions, ("timer", grace)]

    def _kill(self) -> Actions:
        self.phase, self.frozen = KILLING, False
        return [("kill",), ("timer", KILL_SECONDS)]

    def _settle(self) -> Actions:
        if self.want == DOWN:
            return self._finish(STOPPED)
        if self.generation > self._current:
            return self._spawn()
        if self._next is None:
            return self._finish(self.outcome)
        self.phase = WAITING
        return [("timer", self._next)]

    def _finish(self, outcome: str) -> Actions:
        self.phase, self.outcome, self._main = DONE, outcome, False
        return [("timer", 0.0), ("finish", outcome)]


def goes_along(intent: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Tell whether a member of a group is restarted with another one: when it is meant to be up, and runs.

    One that waits for its own restart is not: members that fail in turn would wake each other out of every back-off.
    """
    return intent.get("want") == UP and state.get("phase") in (STARTING, RUNNING, LINGERING)
