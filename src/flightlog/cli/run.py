"""`flightlog run [--pipeline NAME] -- COMMAND`: run any command under the recorder.

Invariants: the process that the user started becomes the keeper by exec, so that its pid, its signals and its exit
status are the command's as far as the caller can tell. The kill switch turns it into a plain exec. Nothing here delays
the command noticeably.
Owns: options and the decision to record. Leaves everything after the exec to `process.keeper`.
"""

from __future__ import annotations

import os
import signal
import sys

import click

from .. import identity
from ..config import compiled, switch
from ..config.gate import Gate
from ..errors import UsageError
from ..process import launch
from ..process.spec import RunSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

KEEPER = os.path.join(os.path.dirname(os.path.abspath(launch.__file__)), "keeper.py")


@click.command(
    "run",
    short_help="Run a command and record it.",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
)
@click.option("-n", "--pipeline", metavar="NAME", default="", help="Name of the pipeline; default: the script's name.")
@click.option("-d", "--detach", is_flag=True, help="Away from this terminal, once; see flightlog ps.")
@click.option(
    "--merge", is_flag=True, help="One pipe for standard output and error: their exact order, all on standard output."
)
@click.option(
    "--pty", is_flag=True, help="Let COMMAND write to a terminal: it shows colours, bars, and lines as they come."
)
@click.option("--record", hidden=True, default="", help="Write how it ended into this file; for who measures.")
@click.option("--resume", metavar="RUN", default="", help="Go on with what RUN has left, also on another node.")
@click.option("-y", "--yes", is_flag=True, help="With --resume: although RUN may still go on elsewhere.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    pipeline: str, detach: bool, merge: bool, pty: bool, record: str, resume: str, yes: bool, command: tuple[str, ...]
) -> None:
    """Run COMMAND and record its output, its log records and its end.

    The exit status is COMMAND's, also death by a signal. Everything after -- belongs to COMMAND.

    \b
    Examples:
      flightlog run -- python pipeline.py
      flightlog run -n orders -- ./load.sh --fast
      flightlog run --pty -- rsync -a --info=progress2 a/ b/
      flightlog run --merge -- make 2>/dev/null
      flightlog run -d -- python backfill.py
      flightlog run --resume orders -- python orders.py
    """
    if pipeline.startswith("-"):
        raise UsageError(f"--pipeline needs a name, and got {pipeline}", "flightlog run --pipeline NAME -- COMMAND")
    if detach:
        if merge or pty or resume:
            raise UsageError("--detach goes with none of --merge, --pty, --resume", "flightlog run -d -- COMMAND")
        from .start import detach as apart

        apart(list(command), pipeline)
        return
    more = {
        "merge": "1" if merge else "",
        "pty": "1" if pty else "",
        "record": identity.absolute(record) if record else "",
    }
    if yes and not resume:
        raise UsageError("--yes goes with --resume", "flightlog run --resume RUN -- COMMAND")
    if resume:
        from .. import wiring
        from .resuming import begin

        more.update(begin(wiring.fetch_checkpoints, resume, yes))
    start(list(command), pipeline, more)


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
        click.echo("flightlog: this run is not recorded: %s" % reason, err=True)
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
            click.echo("flightlog: settings are those of before: %s" % problem, err=True)


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
            click.echo("flightlog: no agent: %s" % problem, err=True)


def _become_command(command: list[str], environment: dict[bytes, bytes]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    launch.exec_failed(command[0], launch.become(command, environment))
