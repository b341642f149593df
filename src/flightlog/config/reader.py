"""Reads config.yml into plain values that know their line.

Invariants: never executes anything (safe loader); duplicate top-level blocks merge key by key, the later one wins (DESIGN D14); the printed emergency
line, in the form that bash leaves behind, does not break the rest. Blocks that are not ours are not looked into: what stands there is no reason to fail.
Whatever the file is, what comes is values or a ConfigError, after a bounded time. Owns: YAML. Leaves meaning to `settings`, the kill switch to `switch`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import yaml

from .. import identity
from ..errors import ConfigError

MAX_BYTES = 1 << 20
MAX_VALUES = 20_000  # in our blocks, aliases followed
_PRINTED = re.compile(r"monitoring:\\n[ \t]+enabled:[ \t]*[\"']?(\w+)[\"']?[ \t]*$", re.M)


class Value(NamedTuple):
    """One setting as it stands in the file; lines count from 1; `items` are those of a list's items."""

    value: Any
    line: int
    items: tuple[int, ...] = ()


class Odd:
    """A value that YAML cannot make, by its own tag or a date that is none: wrong for each of our keys.

    Args:
        text: as it is written.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    __str__ = __repr__


class Twice(NamedTuple):
    """A key that stands twice in one block: the later counts."""

    key: str
    first: int
    line: int


def read(path: str, ours: Collection[str] = (), twice: list[Twice] | None = None) -> dict[str, Value]:
    """Return the settings of a file by dotted key: {"agent.batch_rows": Value(500, 12)}. A missing file is an empty one.

    Raises ConfigError: not readable, no YAML, not a mapping of sections.

    Args:
        path: the file.
        ours: blocks that are looked into; of others only the name is returned. Empty: all.
        twice: gets keys that stand twice in one block.
    """
    try:
        data = identity.read_plain(path, MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as problem:
        remedy = "name a file" if problem.errno == errno.EINVAL else "check its rights"
        raise ConfigError(f"{path} cannot be read: {problem.strerror}", remedy) from problem
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes", "is it a config file?")
    return parse(data.decode("utf-8-sig", "replace"), path, ours, twice)


def parse(
    text: str, path: str = "config.yml", ours: Collection[str] = (), twice: list[Twice] | None = None
) -> dict[str, Value]:
    """Return the settings in *text*; *path* is for messages. Raises ConfigError."""
    straight = _Straight(text)
    try:
        root = yaml.compose(straight.text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f":{straight.line(mark)}" if mark else ""
        raise ConfigError(f"{path}{where}: {_said(problem, straight)}", _remedy(straight.text, problem)) from problem
    except yaml.YAMLError as problem:
        raise ConfigError(f"{path}: not YAML: {problem}", "check the file's encoding") from problem
    except (RecursionError, ValueError) as problem:
        raise ConfigError(f"{path}: not YAML: nested too deeply, or not text", "is it a config file?") from problem
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(
            f"{path}:{straight.line(root.start_mark)}: sections are wanted here", "begin with a line `monitoring:`"
        )
    one = _Flat(path, [] if twice is None else twice, straight.line)
    try:
        one.flatten(root, "", ours)
    except RecursionError as problem:
        raise ConfigError(f"{path}: an alias stands inside of what it names", "write it out") from problem
    return one.found


def _said(problem: yaml.MarkedYAMLError, straight: _Straight) -> str:
    words = str(problem.problem or problem.context or "not YAML")
    began, ended = problem.context_mark, problem.problem_mark
    if problem.context and problem.problem and began and ended and began.line != ended.line:
        words += f", {problem.context} that begins in line {straight.line(began)}"
    return words


def _remedy(text: str, problem: yaml.MarkedYAMLError) -> str:
    """Return what most likely has to be done."""
    mark = problem.problem_mark or problem.context_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "\\t" in str(problem.problem):
        return "indent with blanks, not with tabs"
    if re.search(r"(?:^|[\s,\[])[*&][^\s]*", line) and ("alias" in str(problem) or "anchor" in str(problem)):
        return 'put quotes around a text that begins with a star: "*-nightly"'
    if "@" in str(problem.problem) or "`" in str(problem.problem) or "%" in str(problem.problem):
        return "put quotes around the text"
    return "check indentation, quotes and colons there, and in the line before"


class _Straight:
    r"""A text in which bash's form of the printed line (a literal \n, perhaps glued to the line before) is the two lines it stands for.

    Attributes:
        text: such a text.
    """

    def __init__(self, text: str) -> None:
        self._added: list[int] = []  # lines of `text`, counted from 0, that are none in the file
        self._original = text
        self.text = _PRINTED.sub(self._apart, text)

    def line(self, mark: yaml.Mark) -> int:
        """Return the line in the file, counted from 1."""
        return int(mark.line) + 1 - sum(1 for line in self._added if line <= mark.line)

    def _apart(self, found: re.Match[str]) -> str:
        glued = found.start() > 0 and self._original[found.start() - 1] != "\n"
        at = self._original.count("\n", 0, found.start()) + len(self._added)
        self._added += [at + 1, at + 2] if glued else [at + 1]
        return f"{chr(10) if glued else ''}monitoring:\n  enabled: {found.group(1)}"


class _Flat:
    """Values by dotted key."""

    def __init__(self, path: str, twice: list[Twice], line: Callable[[yaml.Mark], int]) -> None:
        self.found: dict[str, Value] = {}
        self._path, self._twice, self._line, self._left = path, twice, line, MAX_VALUES
        self._loader = yaml.SafeLoader("")

    def flatten(self, node: yaml.MappingNode, prefix: str, ours: Collection[str] = ()) -> None:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = prefix + str(getattr(key_node, "value", ""))[:200]
            line = self._line(key_node.start_mark)
            if not prefix and ours and key not in ours:
                self.found.setdefault(key, Value({}, line))
                continue
            self._left -= 1
            if self._left < 0:
                raise ConfigError(f"{self._path} has more than {MAX_VALUES} values", "is it a config file?")
            if prefix and key in seen:
                self._twice.append(Twice(key, seen[key], line))
            seen[key] = line
            if isinstance(value_node, yaml.MappingNode):
                self.found.setdefault(key, Value({}, line))
                self.flatten(value_node, key + ".")
            else:
                items: tuple[int, ...] = ()
                if isinstance(value_node, yaml.SequenceNode):
                    items = tuple(self._line(item.start_mark) for item in value_node.value)
                self.found[key] = Value(self._made(value_node), line, items)

    def _made(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, TypeError, OverflowError):
            return Odd(str(node.value)[:80] if isinstance(node, yaml.ScalarNode) else str(node.tag)[:80])
