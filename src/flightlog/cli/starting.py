"""Becoming the keeper of a command, or, where monitoring is switched off, the command itself.

Invariants: the process that the user started becomes the keeper by exec, so that its pid, its signals and its exit
status are the command's as far as the caller can tell. The kill switch turns it into a plain exec. Nothing here delays
the command noticeably: no click is needed. Whatever is wrong with us, the command runs.
Owns: the decision to record. Leaves options to `run` and `quick`, everything after the exec to `process.supervision`.
"""

from __future__ import annotations

import os
import signal
import sys

from .. import identity
from ..config import compiled, switch
from ..config.gate import Gate
from ..process import launch
from ..process.spec import RunSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

KEEPER = os.path.join(os.path.dirname(os.path.abspath(launch.__file__)), "keeper.py")


def start(command: list[str], pipeline: str = "", more: dict[str, str] | None = None) -> NoReturn:
    """Become the keeper of *command*, or, when monitoring is switched off, *command* itself."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # until the keeper is there Ctrl-C ends this as it would end the command
    environment = launch.user_environment()
    if more and more.get("resume"):  # checkpoints are the pipeline's own memory: monitored or not
        environment[b"FLIGHTLOG_RESUME"] = more["resume"].encode()
    try:
        keeper = _keeper(command, pipeline, environment, more or {})
        os.execve(sys.executable, keeper, environment)
    except Exception as problem:  # whatever is wrong with us, the command runs
        reason = "%s: %s" % (sys.executable, problem.strerror) if isinstance(problem, OSError) else ascii(problem)
        _note("this run is not recorded: %s" % reason)
        _become_command(command, environment)


def _keeper(command: list[str], pipeline: str, environment: dict[bytes, bytes], more: dict[str, str]) -> list[str]:
    """Return the keeper's argument list; with monitoring switched off, or the pipeline not in the rollout, become the command."""
    config = switch.find_config()
    if not switch.file_enabled(config):
        _become_command(command, environment)
    spec = RunSpec(command, pipeline, parent=_parent(), config=config, **more)
    if not _is_in_rollout(config, spec.pipeline):
        _become_command(command, environment)
    compile_settings(config)
    ensure_agent()
    return [sys.executable, "-I", "-S", KEEPER, *spec.to_arguments()]


def _is_in_rollout(config: str, pipeline: str) -> bool:
    """Tell whether *pipeline* is in the rollout. Writes no file unless only YAML can tell."""
    gate = Gate(compiled.path_for(identity.control_path(config)), config)
    gate.look()
    if not gate.rollout.clear:
        compile_settings(config)
        gate.look()
    return gate.admits(pipeline)


def _parent() -> str:
    """Return the run around this one, when there is one."""
    return identity.run_around()


def compile_settings(config: str) -> None:
    """Hand on what the config file says to processes that cannot read it, if it has changed. A wrong file changes nothing."""
    try:
        if config and not compiled.is_current(compiled.path_for(identity.control_path(config)), config):
            from ..config import compiling

            compiling.refresh(config)
    except Exception as problem:
        if os.environ.get("FLIGHTLOG_DEBUG"):
            _note("settings are those of before: %s" % problem)


def ensure_agent() -> None:
    """Start the agent in the background if none runs. A failure must not keep the command waiting: it is recorded all
    the same.
    """
    try:
        from .. import daemons
    except ImportError:
        return
    try:
        daemons.ensure_agent()
    except Exception as problem:
        if os.environ.get("FLIGHTLOG_DEBUG"):
            _note("no agent: %s" % problem)


def _become_command(command: list[str], environment: dict[bytes, bytes]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    launch.exec_failed(command[0], launch.become(command, environment))


def _note(text: str) -> None:
    try:
        sys.stderr.write("flightlog: %s\n" % text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # closed, or its reader is gone
        pass
