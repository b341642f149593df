"""`flightlog run [--pipeline NAME] -- COMMAND`: run any command under the recorder.

Owns: its options. Leaves the decision to record, and becoming the keeper, to `starting`; the usual command lines, which need no click, to `quick`.
"""

from __future__ import annotations

import click

from .. import identity
from ..errors import UsageError
from . import quick
from .starting import start


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
    if record and not quick.may_be_written(record):
        raise UsageError(
            f"--record would overwrite {record}, which no run has written",
            "flightlog run --record FILE -- COMMAND, with a name that is not taken",
        )
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
