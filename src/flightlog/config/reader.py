"""Reads config.yml into plain values that know their line.

Invariants: never executes anything (safe loader); duplicate top-level blocks merge key by key, the later one wins (DESIGN D14); the printed emergency
line, in the form that bash leaves behind, does not break the rest. Owns: YAML. Leaves meaning to `settings`, the kill switch to `switch`.
"""

from __future__ import annotations

import errno
import re
from typing import Any, NamedTuple

import yaml

from .. import identity
from ..errors import ConfigError

MAX_BYTES = 1 << 20
_PRINTED = re.compile(r"monitoring:\\n[ \t]+enabled:[ \t]*[\"']?(\w+)[\"']?[ \t]*$", re.M)


class Value(NamedTuple):
    """One setting as it stands in the file; lines count from 1; `items` are those of a list's items."""

    value: Any
    line: int
    items: tuple[int, ...] = ()


def read(path: str) -> dict[str, Value]:
    """Return the settings of a file by dotted key: {"agent.batch_rows": Value(500, 12)}. A missing file is an empty one.

    Raises ConfigError: not readable, no YAML, not a mapping of sections.
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
    return parse(data.decode("utf-8-sig", "replace"), path)


def parse(text: str, path: str = "config.yml") -> dict[str, Value]:
    """Return the settings in *text*; *path* is for messages. Raises ConfigError."""
    try:
        root = yaml.compose(_straighten(text), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f":{mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{path}{where}: {problem.problem or problem.context or 'not YAML'}",
            "check indentation, quotes and colons there",
        ) from problem
    except yaml.YAMLError as problem:
        raise ConfigError(f"{path}: not YAML: {problem}", "check the file's encoding") from problem
    found: dict[str, Value] = {}
    if root is not None:
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(
                f"{path}:{root.start_mark.line + 1}: sections are wanted here", "begin with `monitoring:`"
            )
        _flatten(root, "", found)
    return found


def _straighten(text: str) -> str:
    r"""Give bash's form of the printed line (a literal \n, perhaps glued to the line before) the two lines it stands for.

    The lines keep their numbers up to there.
    """
    return _PRINTED.sub(lambda found: f"\nmonitoring:\n  enabled: {found.group(1)}", text)


def _flatten(node: yaml.MappingNode, prefix: str, found: dict[str, Value]) -> None:
    loader = yaml.SafeLoader("")
    for key_node, value_node in node.value:
        key = prefix + str(getattr(key_node, "value", ""))
        if isinstance(value_node, yaml.MappingNode):
            found.setdefault(key, Value({}, key_node.start_mark.line + 1))
            _flatten(value_node, key + ".", found)
        else:
            items: tuple[int, ...] = ()
            if isinstance(value_node, yaml.SequenceNode):
                items = tuple(item.start_mark.line + 1 for item in value_node.value)
            found[key] = Value(loader.construct_object(value_node, deep=True), key_node.start_mark.line + 1, items)
