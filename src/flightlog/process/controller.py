"""`ProcessController`: named jobs and daemons, started, kept, stopped, looked at. Plain files, no monitoring.

    with ProcessController() as keep:
        pid = keep.start_process("import", ["python", "import.py"])           # a job: restarted when it fails; stopped at the end of the block
        keep.start_process("api", ["./serve"], daemon_mode=True)              # a daemon: restarted whenever it ends; stays

Invariants: a controller holds nothing that a process needs: it may be killed at any time, any other one finds, shows and stops what it started. Every
call first sees to it that what runs has a caretaker. Two that start the same name: one does, the other gets Refused with the pid that holds it.
Owns: this interface and its errors. Leaves all keeping to the caretaker.
"""

from __future__ import annotations

import os
import signal
import time

from .. import identity
from ..errors import FlightlogError, NotFound, Refused, UsageError
from . import care, machine, pidfd
from .program import Program, environment_here, umask_here
from .restart import ONE, STRATEGIES, Policy
from .statedir import NAME, StateDir, names
from .view import view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Mapping, NoReturn, Sequence, Union

    Command = Union[str, List[str], Sequence[str]]

KILL_SECONDS = machine.KILL_SECONDS + 5.0  # what a stop may take beyond its grace
LOOK_SECONDS = 0.02


class ProcessController:
    """See the module.

    Args:
        home: FLIGHTLOG_HOME; default: the one that applies here.
        policy: when processes are started again (`restart.Policy`, its `auto`, `daemon` and `max_restarts` are each process's own).
    """

    recorded = False

    def __init__(self, home: str | None = None, policy: Policy | None = None) -> None:
        self.home = identity.absolute(home or identity.home())
        self._policy = policy or Policy()
        self.by = care.user()  # who is said to have asked
        self._jobs: list[str] = []

    # -- starting and ending --------------------------------------------------------------------------------------------

    def start_process(
        self,
        name: str,
        command: Command,
        daemon_mode: bool = False,
        auto_restart: bool = True,
        max_restarts: int | None = None,
        env: Mapping[str, str] | None = None,
        working_dir: str | None = None,
        **more: Any,
    ) -> int:
        """Start *command* under *name*; return its pid.

        Args:
            name: letters, digits, dot, dash, underscore; at most 64.
            command: program and arguments; a string is run by `/bin/sh -c`.
            daemon_mode: meant to run for ever: restarted at any end that nobody asked for. Else a job: only when it failed.
            auto_restart: restart at all.
            max_restarts: so many without a healthy time between; then it is quarantined. None: the policy's window alone counts.
            env: variables to set besides ours.
            working_dir: default: ours.
            more: fields of `program.Program`: grace_s, watchdog_s, max_bytes, backups, group, strategy.

        Raises Refused when it runs already, UsageError, and FlightlogError when it cannot be executed.
        """
        folder, program = self._program(
            name, command, daemon_mode, auto_restart, max_restarts, env, working_dir, **more
        )
        answer = self._start(folder, program)
        if answer.get("problem"):
            raise FlightlogError(
                "%s cannot be started: %s" % (name, answer["problem"]), "give a program that exists and may be executed"
            )
        if not daemon_mode:
            self._jobs.append(name)
        return int(answer.get("pid") or 0)

    def become_caretaker(self, name: str, command: Command, **options: Any) -> NoReturn:
        """Become the caretaker of *command* in place of this process, as a service of systemd's does; *options* as of `start_process`.

        It ends when the process is not to be started again. Raises as `start_process`.
        """
        folder, program = self._program(name, command, **options)
        try:
            folder.make()
            care.become(folder, program)
        except OSError as problem:
            where = problem.filename or folder.path
            raise FlightlogError("%s: %s" % (where, problem.strerror or problem), "set FLIGHTLOG_HOME") from problem

    def _program(
        self,
        name: str,
        command: Command,
        daemon_mode: bool = False,
        auto_restart: bool = True,
        max_restarts: int | None = None,
        env: Mapping[str, str] | None = None,
        working_dir: str | None = None,
        **more: Any,
    ) -> tuple[StateDir, Program]:
        words = _words(command)
        folder = self._folder(name, True)
        policy = Policy(
            **dict(self._policy.as_json(), auto=auto_restart, daemon=daemon_mode, max_restarts=max_restarts)
        )
        cwd = identity.absolute(working_dir or ".")
        program = Program(
            name,
            words,
            cwd=cwd,
            environment=environment_here(self.home, env),
            umask=umask_here(),
            policy=policy,
            **self._recording(name),
            **more,
        )
        _check_group(program)
        return folder, program

    def _recording(self, name: str) -> dict[str, Any]:
        """Return what makes attempts recorded runs; nothing here."""
        return {}

    def _start(self, folder: StateDir, program: Program | None) -> dict[str, Any]:
        """Start a caretaker; say what is wrong when it does not take the work."""
        try:
            folder.make()
            answer = care.start(folder, program)
        except OSError as problem:
            where = problem.filename or folder.path
            raise FlightlogError("%s: %s" % (where, problem.strerror or problem), "set FLIGHTLOG_HOME") from problem
        held = answer.get("held")
        if held is not None and program is not None:
            state = folder.read("state.json")
            pid = (state.get("process") or {}).get("pid") or answer.get("adopted")
            runs = "as process %s, " % pid if pid else ""
            raise Refused(
                "%s runs already, %skept by process %s" % (folder.name, runs, held.get("pid", "?")),
                "flightlog stop %s" % folder.name,
            )
        if answer.get("error"):
            raise FlightlogError("%s: %s" % (folder.name, answer["error"]), "read %s" % folder.file("caretaker.log"))
        return answer

    def stop_process(self, name: str, timeout: float = 30.0) -> bool:
        """End the process and all that descends from it: SIGTERM, after *timeout* seconds SIGKILL.

        Tell whether nothing of it is left. Raises NotFound.
        """
        return self._end(name, timeout, "stop")

    def kill_process(self, name: str) -> bool:
        """The same without grace. Raises NotFound."""
        return self._end(name, 0.0, "kill")

    def _end(self, name: str, grace: float, why: str) -> bool:
        folder = self._folder(name)
        wish = {"want": machine.DOWN, "frozen": False, "grace_s": float(max(0.0, grace)), "why": why, "by": self.by}
        try:
            intent = folder.intend(**wish)
        except OSError as problem:  # a full disk: the caretaker takes a signal as well
            self._kept(folder)  # which gives it a caretaker, when it has lost its own
            holder = folder.holder() or {}
            caretaker = pidfd.find(int(holder.get("pid") or 0), int(holder.get("start") or 0))
            if caretaker is None or not caretaker.send(signal.SIGTERM):
                raise FlightlogError(
                    "%s cannot be stopped: %s: %s" % (name, folder.path, problem.strerror), "make room there"
                ) from problem
            intent = {"id": ""}
        deadline = time.monotonic() + grace + KILL_SECONDS
        while True:
            state = self._kept(folder)
            done = state.get("phase") == machine.DONE and folder.holder() is None
            if done and not _lives(state):
                return True
            if state.get("phase") == machine.STUCK and state.get("intent") == intent["id"]:
                return False
            if folder.read("intent.json").get("want") == machine.UP:  # somebody wants it up again since
                return not _lives(state)
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)

    def restart_process(self, name: str, timeout: float = 30.0) -> int:
        """End it, as `stop_process` does, and start it again as it was started; return the new pid. Also starts one that has ended.

        Raises NotFound, and FlightlogError when that did not work.
        """
        folder = self._folder(name)
        intent = folder.intend(
            want=machine.UP, newer=True, frozen=False, grace_s=float(max(0.0, timeout)), why="restart", by=self.by
        )
        deadline = time.monotonic() + timeout + KILL_SECONDS
        while True:
            state = self._kept(folder, intent)
            reached = int(state.get("generation") or 0) >= int(intent["generation"])
            pid = int((state.get("process") or {}).get("pid") or 0)
            if reached and state.get("problem"):
                raise FlightlogError("%s cannot be started: %s" % (name, state["problem"]), "flightlog ps")
            if reached and state.get("phase") == machine.RUNNING and pid:
                return pid
            if reached and state.get("phase") in (machine.DONE, machine.WAITING, machine.LINGERING):  # it was quick
                return int((state.get("end") or {}).get("pid") or 0)
            if time.monotonic() > deadline:
                raise FlightlogError("%s was not restarted within %g s" % (name, timeout), "flightlog ps")
            time.sleep(LOOK_SECONDS)

    def start_again(self, name: str) -> int:
        """Start a process that has ended, as it was started before; return its pid. Raises NotFound, and Refused when it runs."""
        folder = self._folder(name)
        state = self._kept(folder)
        if state.get("phase", machine.DONE) != machine.DONE and not _of_other_boot(state):
            pid = (state.get("process") or {}).get("pid")
            raise Refused(
                "%s runs already%s" % (name, ", as process %s" % pid if pid else ""), "flightlog restart %s" % name
            )
        return self.restart_process(name)

    # -- pausing ------------------------------------------------------------------------------------------------------

    def pause_process(self, name: str) -> bool:
        """Stop the process and its descendants where they are (SIGSTOP); tell whether they are. Raises NotFound."""
        return self._freeze(name, True)

    def resume_process(self, name: str) -> bool:
        """Let them go on. Raises NotFound."""
        return self._freeze(name, False)

    def _freeze(self, name: str, on: bool) -> bool:
        folder = self._folder(name)
        state = self._kept(folder)
        if state.get("phase") not in (machine.RUNNING, machine.LINGERING):
            return False
        intent = folder.intend(frozen=on, by=self.by)
        deadline = time.monotonic() + KILL_SECONDS
        while time.monotonic() < deadline:
            state = self._kept(folder)
            if state.get("intent") == intent["id"] or state.get("phase") == machine.DONE:
                return state.get("phase") != machine.DONE and bool(state.get("frozen")) == on
            time.sleep(LOOK_SECONDS)
        return False

    # -- looking ------------------------------------------------------------------------------------------------------

    def get_process_status(self, name: str) -> dict[str, Any]:
        """Return what is known of it (docs/reference/controller.md). Raises NotFound."""
        folder = self._folder(name)
        return view(folder, self._kept(folder))

    def spec(self, name: str) -> dict[str, Any]:
        """Return how it is started, as spec.json has it. Raises NotFound."""
        return self._folder(name).read("spec.json")

    def list_processes(self) -> list[dict[str, Any]]:
        """Return what is known of each process of this home, by name."""
        found = []
        for name in names(self.home):
            folder = StateDir(self.home, name)
            state = self._kept(folder)
            if state:
                found.append(view(folder, state))
        return found

    def _kept(self, folder: StateDir, intent: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the state, after seeing to it that what is not at its end has a caretaker."""
        state = folder.read("state.json")
        wanted = intent is not None and int(state.get("generation") or 0) < int(intent["generation"])
        settled = state.get("phase", machine.DONE) == machine.DONE or _of_other_boot(state)
        if (settled and not wanted) or folder.holder() is not None:
            return state
        state = folder.read("state.json")  # it may just have come to its end
        if state.get("phase") == machine.DONE and not wanted:
            return state
        try:
            care.start(folder, None)
        except OSError:  # no process to be had: what is known is shown
            return state
        return folder.read("state.json")

    def _folder(self, name: str, new: bool = False) -> StateDir:
        if not isinstance(name, str) or not NAME.match(name):
            raise UsageError(
                "%.80r is no name of a process" % (name,),
                "a name has letters, digits, dot, dash and underscore, at most 64",
            )
        folder = StateDir(self.home, name)
        if not new and not folder.read("spec.json"):
            raise NotFound("there is no process %s" % name, "flightlog ps")
        return folder

    # -- the block ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> ProcessController:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the jobs that were started here; daemons stay."""
        for name in reversed(self._jobs):
            try:
                self.stop_process(name)
            except FlightlogError:  # somebody has removed it
                continue
        del self._jobs[:]


def _words(command: Command) -> list[str]:
    words = ["/bin/sh", "-c", command] if isinstance(command, str) else [os.fspath(word) for word in command]
    if not words or not words[-1 if isinstance(command, str) else 0]:
        raise UsageError("there is no command to start", "give the program and its arguments")
    if any("\0" in word for word in words):
        raise UsageError("a command cannot contain NUL bytes", "give the program and its arguments")
    return words


def _check_group(program: Program) -> None:
    """Raise UsageError for a group that would never do anything: nobody would notice before the day that it is needed."""
    if program.strategy not in STRATEGIES:
        raise UsageError(
            "%.80r is no strategy of a group" % (program.strategy,), "it is one of " + ", ".join(STRATEGIES)
        )
    for member in program.group:
        if not NAME.match(member):
            raise UsageError(
                "%.80r in the group is no name of a process" % (member,), "give names, in the order of their start"
            )
    if program.group and program.name not in program.group:
        raise UsageError(
            "%s is not in its own group (%s)" % (program.name, ", ".join(program.group)),
            "name all members, in the order of their start, at each of them",
        )
    if program.strategy != ONE and not program.group:
        raise UsageError(
            "the strategy %s needs a group" % program.strategy, "name its members, in the order of their start"
        )


def _lives(state: dict[str, Any]) -> bool:
    process = state.get("process") or {}
    return bool(process.get("start")) and identity.process_alive(int(process.get("pid") or 0), int(process["start"]))


def _of_other_boot(state: dict[str, Any]) -> bool:
    return bool(state) and state.get("boot") != identity.boot_id()
