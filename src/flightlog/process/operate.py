"""What operators may ask of this node: verbs on processes that are kept here by name, and on runs that go on here; also where these are.

Invariants: only names that are known on this node, never a command line (DESIGN D20); a run that a caretaker keeps is asked of its caretaker, which
would start it again otherwise. Owns: verbs to calls. Leaves carrying the wish here to the command line and to the commands table's agent.
"""

from __future__ import annotations

from ..errors import FlightlogError, NotFound, Refused
from .controller import ProcessController
from .program import GRACE_SECONDS
from .runtree import RunTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERBS = ("start", "stop", "restart", "kill", "pause", "resume", "stacks")
LATER = ("checkpoint",)  # the table has the word; this version has no checkpoints


class Operator:
    """See the module.

    Args:
        home: FLIGHTLOG_HOME; default: the one that applies here.
        by: who asks; default: who we are.
    """

    def __init__(self, home: str | None = None, by: str = "") -> None:
        self.keep = ProcessController(home)
        self.keep.by = by or self.keep.by

    def perform(self, verb: str, program: str = "", run: str = "", grace_s: float | None = None) -> str:
        """Do it and say what was done. Raises FlightlogError when it was not.

        Args:
            verb: one of VERBS.
            program: the name of a kept process; or
            run: the whole id of a run.
            grace_s: between SIGTERM and SIGKILL; None: as the process has it.
        """
        if verb in LATER:
            raise Refused(
                "%s is not there yet: this version of flightlog cannot do it" % verb, "one of " + ", ".join(VERBS)
            )
        if verb not in VERBS:
            raise Refused("%s cannot be done here" % verb, "it is one of " + ", ".join(VERBS))
        if verb == "stacks":
            return self._stacks(program, run)
        name = program or self._keeper_of(run)
        return self._kept(verb, name, grace_s) if name else self._loose(verb, run, grace_s)

    def _stacks(self, program: str, run: str) -> str:
        """Return the document of `flightlog stacks -o json` as text."""
        from . import living, whereabouts  # an operator mostly wants something else

        if program:
            run = str(self.keep.get_process_status(program)["run"] or "")
            if not run:
                raise NotFound(
                    "%s is not recorded, so nothing says which processes are its own" % program, "flightlog ps"
                )
        known = living.runs().get(run)
        if known is None:
            raise NotFound("nothing of run %s goes on here that this account may look at" % run, "flightlog status")
        return whereabouts.text(whereabouts.look(known))

    def _keeper_of(self, run: str) -> str:
        """Return the name of the process whose present attempt is *run*; empty when it is none's."""
        for one in self.keep.list_processes():
            if one["run"] == run and one["pid"] is not None:
                return str(one["name"])
        return ""

    def _kept(self, verb: str, name: str, grace_s: float | None) -> str:
        grace = grace_s if grace_s is not None else self._grace(name)
        if verb == "start":
            return "%s runs as process %d" % (name, self.keep.start_again(name))
        if verb == "restart":
            return "%s runs as process %d" % (name, self.keep.restart_process(name, grace))
        if verb in ("pause", "resume"):
            done = self.keep.pause_process(name) if verb == "pause" else self.keep.resume_process(name)
            if not done:
                raise FlightlogError("%s is %s" % (name, self.keep.get_process_status(name)["state"]), "flightlog ps")
            return "%s is %s" % (name, "paused" if verb == "pause" else "going on")
        done = self.keep.kill_process(name) if verb == "kill" else self.keep.stop_process(name, grace)
        if not done:
            left: list[Any] = self.keep.get_process_status(name)["survivors"]
            raise stop_failed(name, left)
        return "%s is %s, and nothing of it is left" % (name, "stopped" if verb == "stop" else "killed")

    def _grace(self, name: str) -> float:
        spec = self.keep.spec(name)
        value = spec.get("grace_s")
        return float(value) if isinstance(value, (int, float)) else GRACE_SECONDS

    def _loose(self, verb: str, run: str, grace_s: float | None) -> str:
        tree = RunTree(run, self.keep.by)
        if not tree.members():
            raise NotFound("nothing of run %s runs on this node" % run, "flightlog status")
        if verb in ("start", "restart"):
            raise Refused("nobody keeps run %s, so nobody can start it again" % run, "flightlog start NAME -- COMMAND")
        if verb in ("pause", "resume"):
            tree.freeze(verb == "pause")
            return "run %s is %s" % (run, "paused" if verb == "pause" else "going on")
        left = tree.end(0.0 if verb == "kill" else GRACE_SECONDS if grace_s is None else grace_s, verb)
        if left:
            raise stop_failed("run %s" % run, left)
        return "run %s is %s, and nothing of it is left" % (run, "stopped" if verb == "stop" else "killed")


def stop_failed(what: str, left: list[Any]) -> FlightlogError:
    """Return the error that says what outlived a stop."""
    who = "; ".join(str(one) for one in left)
    return FlightlogError(
        "stop_failed: %s has not ended%s" % (what, ": still there: " + who if who else ""),
        "a process in state D waits for a device and cannot be killed before it answers; another user's only that user or root can end",
    )
