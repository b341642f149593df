"""The caretaker: the detached process that keeps one named process. It starts attempts, waits for their ends, and starts again by policy.

Started as `python -I -S caretaker.py DIRECTORY [--foreground]`, with descriptor 3 to read what to run from (nothing: adopt what is there) and 4
to answer on, once. Invariants: it works only while it holds the directory's lock; what it is about to do is on disk before it is done, so that
whoever comes after its `kill -9` finds one copy and adopts it; it takes part in nothing that its process does: no pipe of it, no terminal.
Owns: the loop, and the doing of what `machine` says. Leaves starting to `attempt`, finding processes to `family`, when to try again to `restart`.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and "flightlog" not in sys.modules:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import random
import signal
import time

from flightlog import bytecode, identity
from flightlog.process import attempt, care, family, launch, machine, notify, outfile, pidfd, rate, restart, signals
from flightlog.process.ears import Ears
from flightlog.process.keeping import Keeping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from flightlog.process.machine import Actions
    from flightlog.process.program import Program
    from flightlog.process.statedir import StateDir

LOOK_SECONDS, CLEAR_LOOK_SECONDS = 2.0, 0.05  # at output files and lingering processes; at a tree that is being ended
FREEZE_SECONDS, POLL_SECONDS = 1.0, 0.2
_CLEARING = (machine.STOPPING, machine.KILLING, machine.STUCK)


class Caretaker:
    """See the module.

    Args:
        folder: of the process, whose lock we hold.
        program: what to run.
        limits, inherited: as they were given to us.
        service: who started us as a service, if anybody did.
    """

    def __init__(
        self, folder: StateDir, program: Program, limits: launch.Limits, inherited: signals.Inherited, service: notify.Service
    ) -> None:  # fmt: skip
        self.folder, self.program, self._service = folder, program, service
        self.keeping = Keeping(folder)
        self.machine = machine.Machine()
        self.attempt: attempt.Attempt | None = None
        self._tree = family.Tree(program.mark)
        self._ears = Ears(folder)
        more = {}
        if self._ears.socket:
            more["NOTIFY_SOCKET"] = self._ears.socket
            if program.watchdog_s:
                more["WATCHDOG_USEC"] = str(int(program.watchdog_s * 1e6))
        self._starter = attempt.Starter(program, folder, limits, inherited, more)
        self._deadline = self._dog = self._looked = 0.0

    # -- beginnings -------------------------------------------------------------------------------------------------

    def begin(self, fresh: bool) -> None:
        """Start what is new, or go on where the caretaker before us was."""
        intent = self.folder.read("intent.json")
        generation = int(intent.get("generation", 1))
        self._intent_id = ""
        if not fresh:
            self._resume(generation if intent.get("want") == machine.UP else 0)
            self._look_at_intent()
        else:
            self.keeping.fresh()
            self.machine = machine.Machine(generation)
            self._intent_id = self.keeping.intent
            self._act(self.machine.begin())
        self._save()

    def _resume(self, wanted: int) -> None:
        """Find out what became of everything since the caretaker before us wrote its state; generation *wanted* is to run."""
        kept = self.keeping.load()
        self.machine = machine.Machine(kept.generation)
        self.machine.outcome = kept.outcome
        if not kept.same_boot:
            if kept.phase != machine.DONE:
                kept.end = {
                    "verdict": "host-restart",
                    "confidence": "proven",
                    "status": "failed",
                    "ended_at": time.time(),
                }
                self.machine.outcome = machine.FAILED
            self._rest(wanted)
            return
        self._tree.recorder = list(kept.process.get("recorder") or ())
        gone = attempt.Attempt()
        gone.pid, gone.run = int(kept.process.get("pid") or 0), str(kept.process.get("run") or "")
        gone.recorder = self._tree.recorder
        found = attempt.adopt(kept.process) or self._marked()
        if found is not None and found.waited is not None and found.waited.alive():
            self.attempt = found
            self._starter.find_command(found)
            kept.process, kept.problem = found.as_json(), found.problem or kept.problem
            self._tree.recorder = found.recorder
            self._tree.roots = {found.pid, found.keeper} - {0}
            self._act(self.machine.adopt(kept.frozen, self.program.grace_s))
        elif kept.phase in (machine.RUNNING, machine.LINGERING, *_CLEARING) or (
            kept.phase == machine.STARTING and (self._starter.record(gone) or self._tree.members(marked=True))
        ):
            self.machine.adopt(kept.frozen, self.program.grace_s)
            self._starter.await_record(gone, self._tree)
            self._ended(gone, None)
        elif kept.phase == machine.WAITING:
            self._act(self.machine.wait(max(0.0, kept.next_at - rate.boottime())))
        elif kept.phase == machine.DONE:
            self._rest(wanted)
        else:  # nothing had been executed yet
            self._act(self.machine.begin())

    def _rest(self, wanted: int) -> None:
        """Nothing is to be done, unless somebody has asked for it since."""
        if wanted > self.machine.current:
            self.machine = machine.Machine(wanted)
            self.keeping.history = restart.History()
            self._act(self.machine.begin())
        else:
            self._act(self.machine.rest(self.machine.outcome))

    def _marked(self) -> attempt.Attempt | None:
        """Return what bears our mark: the state may be lost, or older than the command; the process is not."""
        known = self.keeping.process
        if known.get("start") and (self.keeping.phase != machine.STARTING or known.get("pid") != known.get("keeper")):
            return None  # the command has ended: what it has left is no command
        found = attempt.recognise(self._tree.members(True, recorders=True), self.folder.file("record.json"))
        if found is not None and known.get("start"):  # its keeper was killed: a shim that lives ends the command
            self._starter.await_record(found, self._tree)
        return None if found is not None and self._starter.record(found) else found

    # -- the loop ---------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Keep it until there is nothing to keep."""
        while self.machine.phase != machine.DONE:
            ended = self._sleep()
            if self._ears.asked_to_end:
                self._end()
            self._reap()
            if ended and self.attempt is not None:
                self._stranger_ended()
            self._heed()
            self._look_at_intent()
            self._look_at_tree()
            now = time.monotonic()
            if self._dog and now >= self._dog:
                self._bark()
            if self._deadline and now >= self._deadline:
                self._deadline = 0.0
                self._act(self.machine.timer())
            if now - self._looked >= LOOK_SECONDS:
                self._looked = now
                for name in ("stdout.log", "stderr.log"):
                    outfile.rotate(self.folder.file(name), self.program.max_bytes, self.program.backups)
            self._save()
        self._ears.close()

    def _end(self) -> None:
        """SIGTERM has come: the machine goes down, a service manager stops us, or a controller has no room to write its intent."""
        self._service.say("STOPPING=1\nSTATUS=%s is being ended" % self.program.name)
        self.keeping.why, self.keeping.by = "stop", care.user()
        try:
            self.folder.intend(want=machine.DOWN, why="stop", by=care.user(), grace_s=self.program.grace_s)
        except OSError:
            self._act(self.machine.order(machine.DOWN, self.machine.generation, self.program.grace_s))

    def _sleep(self) -> bool:
        """Wait until something is to be done; tell whether what we adopted has ended."""
        one = self.attempt
        stranger = one.waited if one is not None and not one.child else None
        now = time.monotonic()
        seconds = CLEAR_LOOK_SECONDS if self.machine.phase in _CLEARING else LOOK_SECONDS
        seconds = min(seconds, self._service.bark(now))
        for moment in (self._deadline, self._dog):
            if moment:
                seconds = min(seconds, max(0.0, moment - now))
        if stranger is None or stranger.fd >= 0:
            return self._ears.listen(seconds, stranger.fd if stranger is not None else -1)
        self._ears.listen(min(seconds, POLL_SECONDS), -1)  # no pidfd tells (Python 3.8): it has to be looked at
        return not stranger.alive()

    def _reap(self) -> None:
        """Reap our child, and the strangers that come to a subreaper."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            one = self.attempt
            if one is not None and one.child and one.waited is not None and pid == one.waited.pid:
                self._waited_ended(one, status)

    def _stranger_ended(self) -> None:
        """What we adopted has ended: ask the kernel how, as soon as somebody has reaped it."""
        one = self.attempt
        assert one is not None and one.waited is not None
        deadline = time.monotonic() + 1.0
        status = pidfd.exit_status(one.waited)
        while status is None and time.monotonic() < deadline and identity.process_state(one.waited.pid) == "Z":
            time.sleep(0.005)
            status = pidfd.exit_status(one.waited)
        self._waited_ended(one, pidfd.exit_status(one.waited) if status is None else status)

    def _waited_ended(self, one: attempt.Attempt, status: int | None) -> None:
        """The process whose end is the attempt's has ended; but a keeper that was killed with its shim leaves the command running."""
        self._starter.await_record(one, self._tree)
        if one.keeper and one.waited is not None and one.waited.pid == one.keeper and one.pid != one.keeper:
            command = pidfd.find(one.pid, one.start) if one.start and not self._starter.record(one) else None
            if command is not None and command.alive():
                one.close()
                one.waited, one.keeper = command, 0
                one.child = _is_child(command.pid)
                self.keeping.process, self.keeping.problem = one.as_json(), attempt.UNRECORDED
                return
        self._ended(one, status)

    def _ended(self, one: attempt.Attempt, status: int | None) -> None:
        """Judge the end and go on by policy."""
        kept = self.keeping
        kept.end = attempt.describe_end(self.program, one, status, kept.stops, self._starter.record(one))
        ran = rate.boottime() - kept.began
        failed = kept.end.get("status") != "ok"
        end = restart.End(str(kept.end.get("verdict") or "unknown"), failed, ran, rate.boottime())
        decision = restart.decide(self.program.policy, kept.history, end, random.random())
        if decision.action == restart.RESTART:
            decision.delay_s = max(decision.delay_s, rate.turn(os.path.dirname(os.path.dirname(self.folder.path))))
        kept.history, kept.reason = decision.history, one.problem or decision.reason
        kept.process = {}
        self._dog = 0.0
        one.close()
        self.attempt = None
        if decision.action == restart.RESTART:
            self._take_group_along()
        self._act(self.machine.ended(decision, not self._tree.members(marked=True)))

    def _take_group_along(self) -> None:
        """Restart those of the group that its strategy names and that are up; who waits for its own restart goes on waiting."""
        for name in restart.affected(self.program.strategy, self.program.group, self.program.name):
            if name != self.program.name:
                other = type(self.folder)(os.path.dirname(os.path.dirname(self.folder.path)), name)
                if other.exists() and machine.goes_along(other.read("intent.json"), other.read("state.json")):
                    other.intend(newer=True, why=machine.ALONG, by="group of %s" % self.program.name)

    # -- what is wanted -----------------------------------------------------------------------------------------------

    def _look_at_intent(self) -> None:
        intent = self.folder.read("intent.json")
        if not intent or intent.get("id") == self._intent_id:
            return
        self._intent_id = self.keeping.intent = str(intent.get("id"))
        self.keeping.why, self.keeping.by = str(intent.get("why")), str(intent.get("by"))
        want = machine.DOWN if intent.get("want") == machine.DOWN else machine.UP
        anew = want == machine.UP and int(intent["generation"]) > self.machine.generation
        if anew and self.keeping.why != machine.ALONG:  # a person; members that fail in turn must come to their limit
            self.keeping.history = restart.History()
        self._act(self.machine.order(want, int(intent["generation"]), float(intent["grace_s"])))
        self._act(self.machine.freeze(bool(intent.get("frozen"))))

    def _wake_keeper(self) -> None:
        """A keeper stops when its command has stopped; when that ends instead of going on, nobody lets the keeper go."""
        one = self.attempt
        if one is None or not one.keeper or one.waited is None or identity.process_state(one.keeper) != "T":
            return
        if self.machine.phase in _CLEARING or not identity.process_alive(one.pid, one.start):
            one.waited.send(signal.SIGCONT)

    def _look_at_tree(self) -> None:
        self._wake_keeper()
        phase = self.machine.phase
        if phase not in (machine.LINGERING, *_CLEARING) or self.attempt is not None:
            if phase in (machine.KILLING, machine.STUCK):
                self._tree.kill(marked=False)
            return
        members = self._tree.members() or self._tree.members(marked=True)
        if not members:
            self._act(self.machine.empty())
        elif phase in (machine.KILLING, machine.STUCK):
            self._tree.send(signal.SIGKILL, members)

    def _heed(self) -> None:
        """Take what the process has said of itself."""
        for said in self._ears.messages:
            if said.get("READY") == "1":
                self.keeping.ready = True
            if "STATUS" in said:
                self.keeping.status = said["STATUS"]
                self._service.say("STATUS=" + said["STATUS"])
            if self.program.watchdog_s and (said.get("WATCHDOG") == "1" or said.get("READY") == "1"):
                self._dog = time.monotonic() + self.program.watchdog_s

    def _bark(self) -> None:
        self._dog = 0.0
        self.keeping.why, self.keeping.by = "hang", "flightlog"
        self._act(self.machine.hung(self.program.grace_s))

    # -- doing it -----------------------------------------------------------------------------------------------------

    def _act(self, actions: Actions) -> None:
        for action in actions:
            name = action[0]
            if name == "timer":
                seconds = float(action[1])
                self._deadline = (
                    time.monotonic() + seconds if seconds > 0 or self.machine.phase == machine.WAITING else 0.0
                )
                self.keeping.next_at = rate.boottime() + seconds if self._deadline else 0.0
            elif name == "spawn":
                self._spawn()
            elif name == "term":
                self._note("SIGTERM", self.machine.grace)
                self._tree.send(signal.SIGTERM, self._tree.members(marked=True))
            elif name == "kill":
                self._note("SIGKILL", 0.0)
                survivors = self._tree.kill(True, recorders=self.machine.phase == machine.STUCK)
                self.keeping.survivors = [family.describe(one) for one in survivors]
            elif name == "freeze":
                self._tree.freeze(FREEZE_SECONDS)
            elif name == "thaw":
                self._tree.send(signal.SIGCONT, self._tree.members(marked=True))

    def _note(self, name: str, grace: float) -> None:
        """Put it on record before it is sent."""
        if self.attempt is None:
            return
        kept = self.keeping
        stop = {"t": time.time_ns(), "pid": os.getpid(), "kind": "stop", "why": kept.why, "by": kept.by, "signal": name}
        stop["grace_s"] = grace
        kept.stops.append(stop)
        self._save()
        attempt.note_stop(self.program, self.attempt, stop)

    def _spawn(self) -> None:
        kept = self.keeping
        for name in ("stdout.log", "stderr.log"):
            outfile.rotate(self.folder.file(name), self.program.max_bytes, self.program.backups)
        kept.begin_attempt()
        self._save()
        self._tree.recorder = []
        try:
            one = self._starter.start(kept.attempt, kept.origin, self._known)
        except OSError as problem:
            one = attempt.Attempt()
            one.problem = "no process can be made: %s" % problem.strerror
            self._ended(one, None)
            return
        kept.process = one.as_json()
        kept.origin = kept.origin or one.run
        if one.problem in ("exec", "cwd"):  # else it is a keeper's word, or none
            what = self.program.cwd if one.problem == "cwd" else self.program.command[0]
            one.problem = "%s: %s" % (what, os.strerror(one.exec_errno))
        kept.problem = one.problem
        self._act(self.machine.started())  # an end that has come already is seen at the next look
        self._service.say("READY=1\nSTATUS=%s runs as process %d" % (self.program.name, one.pid))

    def _known(self, one: attempt.Attempt) -> None:
        """The process is there and waits for our word."""
        self.attempt = one
        self.keeping.process = one.as_json()
        self._tree.recorder = one.recorder
        self._tree.roots = set()
        self._save()

    def _save(self) -> None:
        self.keeping.save(self.machine)

    def answer(self) -> dict[str, Any]:
        """Return what who asked us to begin wants to know."""
        kept = self.keeping
        return {"pid": kept.process.get("pid"), "run": kept.process.get("run"), "problem": kept.problem}


def _is_child(pid: int) -> bool:
    member = family.snapshot().get(pid)
    return member is not None and member.ppid == os.getpid()


def main(arguments: Sequence[str]) -> None:
    """Be the caretaker of the directory that *arguments* name."""
    bytecode.guard()
    from flightlog.process import beginning

    beginning.main(list(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
