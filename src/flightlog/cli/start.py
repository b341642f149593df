"""`flightlog start`: start a job or a daemon under a name, and keep it running; also what `flightlog run -d` does.

Owns: the options. Leaves keeping to `process.controller` and the caretaker.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from .. import identity
from ..errors import UsageError
from . import output, spans
from .keep import Elsewhere
from .starting import compile_settings, ensure_agent

if TYPE_CHECKING:
    from ..process.controller import ProcessController

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@click.command(short_help="Start a job or daemon by name and keep it running.")
@click.option("--daemon/--job", default=True, help="Restart it at any end (default), or only when it failed.")
@click.option("--no-restart", is_flag=True, help="Run it once.")
@click.option(
    "--max-restarts", type=click.IntRange(0), metavar="N", help="Quarantine it after N without a healthy time."
)
@click.option("--cwd", metavar="DIR", help="Its working directory; default: this one.")
@click.option("--env", "variables", metavar="KEY=VALUE", multiple=True, help="Set a variable; may be repeated.")
@click.option(
    "--grace", metavar="SPAN", default="10s", show_default=True, help="Between SIGTERM and SIGKILL at a stop."
)
@click.option("--watchdog", metavar="SPAN", default="0", help="Restart it when it says no WATCHDOG=1 for so long.")
@click.option(
    "--group", metavar="NAME,NAME...", help="Its group: all members, itself too, in the order of their start."
)
@click.option(
    "--strategy", type=click.Choice(["one", "all", "rest"]), help="Who is restarted with it; in a group default: all."
)
@click.option("--plain", is_flag=True, help="Output to files only; no recorded runs.")
@click.option("--foreground", is_flag=True, help="Be its caretaker: what a systemd unit does.")
@click.option("--node", metavar="NODE", help="Start again, on another node, what was kept there.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def start(
    daemon: bool,
    no_restart: bool,
    max_restarts: int | None,
    cwd: str | None,
    variables: tuple[str, ...],
    grace: str,
    watchdog: str,
    group: str | None,
    strategy: str | None,
    plain: bool,
    foreground: bool,
    node: str | None,
    form: str,
    name: str,
    command: tuple[str, ...],
) -> None:
    """Start COMMAND under NAME and keep it running, whatever becomes of this terminal. What begins with a dash in COMMAND needs -- before it.

    Each attempt is a recorded run of the pipeline NAME. Without COMMAND, what ran under NAME before is started again.

    \b
    Examples:
      flightlog start api -- ./serve --port 8000
      flightlog start import --job --max-restarts 3 -- python import.py
      flightlog start api --group db,api,web --strategy rest -- ./serve
      flightlog start api
    """
    words = list(command)
    if node is not None and node != identity.node_name():
        if words:
            raise UsageError("a command line is not sent to another node", f"flightlog start {name} --node {node}")
        output.say(Elsewhere(node).perform("start", name))
        return
    keep = controller(plain)
    if not words:
        pid = keep.start_again(name)
    else:
        options: dict[str, Any] = {
            "daemon_mode": daemon,
            "auto_restart": not no_restart,
            "max_restarts": max_restarts,
            "env": _variables(variables),
            "working_dir": cwd,
            "grace_s": spans.seconds(grace, "--grace"),
            "watchdog_s": spans.seconds(watchdog, "--watchdog"),
            "group": [member.strip() for member in (group or "").split(",") if member.strip()],
        }
        options["strategy"] = strategy or ("all" if options["group"] else "one")
        if not plain:
            ensure_agent()
        if foreground:
            keep.become_caretaker(name, words, **options)
        pid = keep.start_process(name, words, **options)
    show(keep, name, pid, form)


def controller(plain: bool) -> ProcessController:
    """Return the controller that records what it starts, or the plain one."""
    if plain:
        from ..process.controller import ProcessController

        return ProcessController()
    from ..process.enhanced import EnhancedProcessController

    return EnhancedProcessController(prepare=compile_settings)


def show(keep: ProcessController, name: str, pid: int, form: str) -> None:
    """Print what was started."""
    found = keep.get_process_status(name)
    if form == "json":
        output.say(output.json_text(found))
        return
    run = f", run {found['run'][-6:]}" if found["run"] else ""
    output.say(f"{name} started as process {pid or '-'}{run}")


def detach(command: list[str], pipeline: str) -> None:
    """Run *command* once, away from this terminal, as a job of its pipeline's name."""
    from ..process.spec import default_pipeline

    name = _NOT_IN_NAMES.sub("-", pipeline or default_pipeline(command)).lstrip(".-")[:64] or "command"
    keep = controller(False)
    ensure_agent()
    pid = keep.start_process(name, command, auto_restart=False)
    show(keep, name, pid, "short")


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--env {text}: no KEY=VALUE", "flightlog start NAME --env KEY=VALUE -- COMMAND")
        found[key] = value
    return found
