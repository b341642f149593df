"""`python -m flightlog` and the `flightlog` command: the command line needs Python 3.11, the SDK does not.

Owns: the check that a command line can run here at all, and what to say when it cannot; `run` then runs its command all the same, and where nothing is
wrong it does without click. Leaves everything else to `cli`.
"""

from __future__ import annotations

import sys

from . import bytecode

try:
    # What signal is made of, without the enums, which take as long to load as much of ours.
    import _signal  # type: ignore[import-not-found]
except ImportError:
    _signal = None

OLDEST = (3, 11)
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Run the command line; exits the process (2 when this Python or installation has none)."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "Error: the flightlog command needs Python 3.11 or newer; this is %d.%d\n" % sys.version_info[:2]
        )
        sys.stderr.write("Try: a newer Python for the command; pipelines may stay on 3.8 or newer\n")
        sys.exit(2)
    heard = sys.argv[1:2] == ["run"] and _let_interrupts_end_it()
    bytecode.guard()
    _begin_quickly()
    try:
        import click  # noqa: F401
    except ImportError:
        _run_bare("the package click is missing", "pip install 'flightlog[server]'")
        sys.stderr.write("Error: the flightlog command needs the package click\nTry: pip install 'flightlog[server]'\n")
        sys.exit(2)
    except Exception:  # its compiled files are damaged, maybe: see below
        pass
    try:
        command_line = _load()
    except Exception:
        command_line = _again()
    if heard:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    command_line(prog_name="flightlog")


def _let_interrupts_end_it() -> bool:
    """Let Ctrl-C end `flightlog run` while it loads as it would end the command, by the signal and without a traceback; tell whether that was changed."""
    if _signal is None or _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler:
        return False
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    return True


def _begin_quickly() -> None:
    """Become what a usual `flightlog run` asks for. Returns where it is none, or something of ours is damaged: then the long way finds out."""
    if sys.argv[1:2] != ["run"]:
        return
    try:
        from .cli import quick, starting

        order = quick.read(sys.argv[1:])
    except Exception:
        return
    if order is not None:
        starting.start(*order)


def _load() -> Any:
    """Return the command line, with the command that is asked for imported, before anything has begun."""
    import importlib

    from .cli import group

    if sys.argv[1:2] and sys.argv[1] in group.COMMANDS:
        importlib.import_module("flightlog.cli." + group.COMMANDS[sys.argv[1]])
    return group.main


def _again() -> Any:
    """Import the command line from source: what is compiled may be damaged, others' included, which our loader does not load."""
    try:
        with bytecode.from_source():
            return _load()
    except Exception as problem:
        why = "this installation is damaged: %s: %s" % (type(problem).__name__, problem)
        _run_bare(why)
        sys.stderr.write("Error: %s\nTry: pip install --force-reinstall flightlog\n" % why)
        sys.exit(70)


def _run_bare(why: str, *remedy: str) -> None:
    """Become the command of `flightlog run`, if that is what was asked for: it must run whatever is wrong with us."""
    from .process import bare

    command = bare.command_of(sys.argv[1:])
    if command:
        bare.run(command, why, *remedy)


if __name__ == "__main__":
    main()
