"""One attempt of a kept process: the fork that begins it, and what is known of its end.

Invariants: the child executes nothing before the caretaker has its pid on disk, and ends when the caretaker dies before that, so that there is no copy
nobody knows of; it is a session of its own, with the caller's environment, umask and limits, default signals, output to files.
Owns: starting, plain or under a keeper, finding the command's pid below a keeper, the verdict of an end. Leaves waiting to the caretaker.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from .. import identity
from ..config.gate import is_monitored
from ..journal import evidence as notes
from . import evidence, family, launch, outfile, pidfd, signals
from .family import DETACHED, MARK
from .spec import RunSpec
from .verdict import judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn

    from .proctree import Process
    from .program import Program
    from .statedir import StateDir

KEEPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keeper.py")
BEGIN_SECONDS, RECORD_SECONDS = 5.0, 5.0
UNRECORDED = "keeper and shim were killed: it runs on, unrecorded, and its output goes nowhere"
_CWD, _EXEC = b"c", b"e"


class Attempt:
    """See the module.

    Attributes:
        pid, start: of the command's own process.
        keeper, keeper_start: of its keeper; 0 without one.
        run: id of the run; empty without a keeper.
        recorder: the keeper's argument list.
        waited: the process whose end is the attempt's.
        child: `waited` is a child of ours.
        exec_errno, problem: why the command could not be executed; or that it runs unrecorded.
        oom_before: OOM kills in its memory cgroup when it began.
    """

    def __init__(self) -> None:
        self.pid = self.start = self.keeper = self.keeper_start = 0
        self.run = ""
        self.recorder: list[str] = []
        self.waited: pidfd.Process | None = None
        self.child = True
        self.exec_errno = 0
        self.problem = ""
        self.oom_before = evidence.oom_kills()

    def as_json(self) -> dict[str, Any]:
        """Return it for state.json."""
        return {name: getattr(self, name) for name in ("pid", "start", "keeper", "keeper_start", "run", "recorder")}

    def close(self) -> None:
        """Let go of its descriptor."""
        if self.waited is not None:
            self.waited.close()


def adopt(found: dict[str, Any]) -> Attempt | None:
    """Return the attempt that state.json speaks of, if any of it lives; it is not our child."""
    one = Attempt()
    for name, value in one.as_json().items():
        if isinstance(found.get(name), type(value)):
            setattr(one, name, found[name])
    one.child = False
    one.oom_before = None
    for pid, start in ((one.keeper, one.keeper_start), (one.pid, one.start)):
        one.waited = pidfd.find(pid, start) if start else None
        if one.waited is not None and one.waited.alive():
            if one.keeper not in (0, pid):
                one.keeper, one.keeper_start, one.problem = 0, 0, UNRECORDED
            return one
        one.close()
    return None


def recognise(members: list[Process], record: str) -> Attempt | None:
    """Return the attempt that these processes are, by nothing but how they look: a keeper that writes *record*, else the oldest."""
    found: dict[str, Any] = {}
    for one in members:
        words = [os.fsdecode(word) for word in family.arguments(one.pid)]
        if KEEPER in words and record in words and not found:
            at = words.index(KEEPER)
            found = {"keeper": one.pid, "keeper_start": one.start, "recorder": ["", "", "", *words[at:]]}
            found["run"] = RunSpec.from_arguments(words[at + 1 :]).run
    if found:
        members = [one for one in members if not family.is_recorder(one.pid, found["recorder"])]
    if members:
        oldest = min(members, key=lambda one: (one.start, one.pid))
        found.update(pid=oldest.pid, start=oldest.start)
    return adopt(found) if found else None


class Starter:
    """Starts attempts.

    Args:
        program: what.
        folder: where its files are.
        limits, inherited: as they were before the caretaker changed its own.
        environment: variables of the caretaker's to add.
    """

    def __init__(
        self,
        program: Program,
        folder: StateDir,
        limits: launch.Limits,
        inherited: signals.Inherited,
        environment: dict[str, str],
    ) -> None:
        self._program, self._folder, self._limits, self._inherited = program, folder, limits, inherited
        self._more = environment

    def start(self, number: int, origin: str, known: Callable[[Attempt], None]) -> Attempt:
        """Begin attempt *number*; *known* is called with it before anything is executed. Raises OSError when nothing could be begun."""
        program, one = self._program, Attempt()
        command = program.command
        recorded = program.recorded and is_monitored(program.config, program.pipeline)
        if recorded:
            record = self._folder.file("record.json")
            try:
                os.unlink(record)
            except OSError:
                pass
            spec = RunSpec(
                command,
                program.pipeline,
                parent=program.parent,
                config=program.config,
                attempt=str(number),
                origin=origin,
                record=record,
            )
            one.run = spec.run
            command = one.recorder = [sys.executable, "-I", "-S", KEEPER, *spec.to_arguments()]
        outputs = [outfile.open_output(self._folder.file(name)) for name in ("stdout.log", "stderr.log")]
        go, word = os.pipe()
        errors, failing = os.pipe()
        try:
            child = os.fork()
            if child == 0:
                self._become(command, outputs, (go, word), (errors, failing))
        except OSError:
            for fd in (word, errors):
                os.close(fd)
            raise
        finally:
            for fd in (*outputs, go, failing):
                os.close(fd)
        start = identity.process_start_time(child)
        one.pid, one.start = child, start
        if recorded:
            one.keeper, one.keeper_start = child, start
        one.waited = pidfd.find(child, start)
        known(one)
        os.write(word, b"!")
        os.close(word)
        _hear(one, errors)
        os.close(errors)
        if not one.problem:
            self.find_command(one)
        return one

    def _become(self, command: list[str], outputs: list[int], go: tuple[int, int], errors: tuple[int, int]) -> NoReturn:
        """In the child: wait for the word, then become the command."""
        try:
            os.close(go[1])
            os.close(errors[0])
            if os.read(go[0], 1) != b"!":
                os._exit(0)  # the caretaker has died, and nobody knows of us
            os.setsid()
            null = os.open(os.devnull, os.O_RDONLY)
            for number, fd in enumerate((null, *outputs)):
                os.dup2(fd, number)
            os.umask(self._program.umask)
            environment = {os.fsencode(key): os.fsencode(value) for key, value in self._program.environment.items()}
            environment.update({os.fsencode(key): os.fsencode(value) for key, value in self._more.items()})
            environment[MARK] = os.fsencode(self._program.mark)
            environment.pop(DETACHED, None)
            self._limits.restore()
            self._inherited.mask = set()
            self._inherited.restore()
            for number in signals.CATCHABLE:
                if signal.getsignal(number) not in (signal.SIG_DFL, None):
                    signal.signal(number, signal.SIG_DFL)
            try:
                os.chdir(self._program.cwd)
            except OSError as problem:
                os.write(errors[1], _CWD + b"%d" % (problem.errno or 2))
                os._exit(126)
            code = launch.become(command, environment)
            os.write(errors[1], _EXEC + b"%d" % code)
            os._exit(127 if code == 2 else 126)
        finally:
            os._exit(126)

    def find_command(self, one: Attempt) -> None:
        """Find the command's own process below its keeper, or in its record when it has ended already; where it is known, do nothing."""
        if not one.keeper or one.pid != one.keeper:
            return
        deadline = time.monotonic() + BEGIN_SECONDS
        tree = family.Tree("", one.recorder)
        tree.roots = {one.keeper}
        over = False
        while time.monotonic() < deadline:
            record = self.record(one)
            if record:
                one.pid, one.start = int(record.get("pid") or 0), 0
                code = record.get("exec_errno")
                if isinstance(code, int) and code:
                    one.exec_errno, one.problem = code, "exec"
                return
            if over:  # before this look at the record, which was the last
                return
            found = [
                member
                for member in tree.members()
                if family.arguments(member.pid)  # else it is about to be a zombie, and may never have been the command
                and (member.pid == one.keeper or family.is_recorder(member.ppid, one.recorder))
            ]
            if found:  # the keeper's own pid: it has become the command, which runs unrecorded
                one.pid, one.start = found[0].pid, found[0].start
                return
            over = identity.process_state(one.keeper) in ("", "Z", "X")
            if not over:
                time.sleep(0.005)

    def record(self, one: Attempt) -> dict[str, Any]:
        """Return what the keeper has put on record of its end; empty when it has not."""
        found = self._folder.read("record.json") if one.run else {}
        return found if found.get("run") == one.run else {}

    def await_record(self, one: Attempt, tree: family.Tree) -> None:
        """Wait until it is there, or nobody of *tree* is left to write it: a shim whose keeper was killed does a moment later."""
        deadline = time.monotonic() + RECORD_SECONDS
        while one.run and not self.record(one) and time.monotonic() < deadline:
            members = tree.members(marked=True, recorders=True)
            if not any(family.is_recorder(member.pid, one.recorder) for member in members):
                return
            time.sleep(0.01)


def _hear(one: Attempt, errors: int) -> None:
    """Wait until the command is executed, or could not be."""
    poll = select.poll()
    poll.register(errors, select.POLLIN)
    if not poll.poll(int(BEGIN_SECONDS * 1000)):
        return  # a program on a file system that does not answer
    answer = os.read(errors, 16)
    if answer:
        one.exec_errno = int(answer[1:])
        one.problem = "cwd" if answer[:1] == _CWD else "exec"


def note_stop(program: Program, one: Attempt | None, stop: dict[str, Any]) -> None:
    """Put on record that we are about to end it. Never raises."""
    if one is None or not one.run:
        return
    spool = program.environment.get("FLIGHTLOG_SPOOL") or ""
    home = program.environment.get("FLIGHTLOG_HOME") or identity.home()
    spool = identity.own_spool(spool) if spool else os.path.join(home, "spool", str(os.geteuid()))
    data = {name: value for name, value in stop.items() if name not in ("t", "pid", "kind")}
    notes.note(notes.path_of(identity.absolute(spool), one.run), "stop", **data)


def describe_end(
    program: Program, one: Attempt, status: int | None, stops: list[dict[str, Any]], record: dict[str, Any]
) -> dict[str, Any]:
    """Return how an attempt ended, for state.json: its record's words, else judged from what the caretaker saw itself."""
    if record:
        found = record
    else:
        seen: dict[str, Any] = {"command": program.command, "stops": stops, "status": "failed"}
        if status is not None:
            seen.update(evidence.describe(status))
        if one.exec_errno:
            seen["exec_errno"] = one.exec_errno
        now = evidence.oom_kills()
        if now is not None and one.oom_before is not None:
            seen["oom_kills"] = now - one.oom_before
        found = dict(seen, **judge(seen))
    end = {name: found.get(name) for name in ("verdict", "confidence", "because", "exit_code", "term_signal", "status")}
    return dict(end, pid=one.pid, run=one.run or None, ended_at=time.time())
