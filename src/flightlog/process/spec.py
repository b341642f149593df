"""What is to be run: the order that the command line gives to the keeper, as an argument list and back.

Owns: the keeper's options and the default name of a pipeline. Leaves reading configuration to the command line.
"""

from __future__ import annotations

import os

from .. import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

_LAUNCHERS = frozenset(("env", "nice", "nohup", "time", "stdbuf", "ionice", "setsid", "sudo"))
_VALUE_OPTIONS = frozenset(("-W", "-X", "--check-hash-based-pycs"))  # of Python: the next argument is theirs
OPTIONS = ("run", "pipeline", "parent", "config", "named", "attempt", "origin", "record", "merge", "pty", "resume")


class RunSpec:
    """One order.

    Attributes:
        command: program and arguments, as the user typed them.
        pipeline: the name the run goes under.
        named: `1` when somebody chose that name, empty when it is the default.
        run: its ULID; made here when none is given.
        parent: the run around it, or empty.
        config: absolute path of the config file that applies, or empty.
        attempt: the how-manieth try of the same work this is, as digits.
        origin: the run that was the first try, or empty.
        merge: `1` when both streams are to go through one pipe, to where standard output goes; or empty.
        pty: `1` when both streams are to be a terminal; or empty.
        resume: origin of the run that it goes on with, or empty.
        record: absolute path of the file that says how the run ended, for whoever keeps the process running; or empty.
    """

    __slots__ = (
        "attempt",
        "command",
        "config",
        "merge",
        "named",
        "origin",
        "parent",
        "pipeline",
        "pty",
        "record",
        "resume",
        "run",
    )

    def __init__(
        self,
        command: Sequence[str],
        pipeline: str = "",
        run: str = "",
        parent: str = "",
        config: str = "",
        named: str | None = None,
        attempt: str = "",
        origin: str = "",
        record: str = "",
        merge: str = "",
        pty: str = "",
        resume: str = "",
    ) -> None:
        self.command = list(command)
        self.named = ("1" if pipeline else "") if named is None else named
        self.pipeline = pipeline or default_pipeline(self.command)
        self.run = run or identity.new_ulid()
        self.parent = parent
        self.config = config
        self.attempt = attempt if attempt.isdigit() else "1"
        self.origin = origin
        self.record = record
        self.merge = merge
        self.pty = pty
        self.resume = resume

    def to_arguments(self) -> list[str]:
        """Return the keeper's arguments for this order."""
        options: list[str] = []
        for name in OPTIONS:
            value = getattr(self, name)
            if value:
                options += ["--" + name, value]
        return [*options, "--", *self.command]

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> RunSpec:
        """Read what `to_arguments` wrote. Raises ValueError for anything else."""
        values = dict.fromkeys(OPTIONS, "")
        rest = list(arguments)
        while rest and rest[0] != "--":
            name = rest.pop(0)
            if not rest or name[:2] != "--" or name[2:] not in values:
                raise ValueError("unknown option %r" % name)
            values[name[2:]] = rest.pop(0)
        command = rest[1:]
        if not command:
            raise ValueError("no command")
        return cls(command, **values)


def default_pipeline(command: Sequence[str]) -> str:
    """Return what a run of *command* is called by default: the script's name, the module's, else the program's."""
    words = list(command)
    while len(words) > 1 and os.path.basename(words[0]) in _LAUNCHERS:
        words.pop(0)
        while len(words) > 1 and (words[0].startswith("-") or "=" in words[0]):
            words.pop(0)
    name = os.path.basename(words[0]) if words else ""
    if name.startswith(("python", "pypy")):
        name = _python_target(words[1:]) or name
    for suffix in (".py", ".pyc", ".sh", ".pl", ".rb", ".R", ".js"):
        if name.endswith(suffix) and name != suffix:
            return name[: -len(suffix)]
    return name or "command"


def _python_target(arguments: Sequence[str]) -> str:
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word == "-m":
            return arguments[index + 1] if index + 1 < len(arguments) else ""
        if word in ("-c", "-") or word.startswith("-c"):
            return ""
        if not word.startswith("-"):
            name = os.path.basename(word)
            return os.path.basename(os.path.dirname(identity.absolute(word))) if name == "__main__.py" else name
        index += 2 if word in _VALUE_OPTIONS else 1
    return ""
