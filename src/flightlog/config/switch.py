r"""The kill switch: what the raw text of a config file says last about `monitoring.enabled`.

Found by a scan of the text, before and independent of YAML, because a broken file must not keep a pipeline from being
switched off, and because of what the printed emergency line leaves behind (ADR: DESIGN D14):

    echo "monitoring:\n  enabled: false" >> config.yml
    sh, zsh   two lines            bash   one line with a backslash and an n            no final newline   glued to the last line

Last match wins. Standard library only; never raises.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from .. import identity

TRUE, FALSE = ("true", "yes", "on", "1", "y"), ("false", "no", "off", "0", "n")
_WORDS = "(%s)" % "|".join(TRUE + FALSE)
_PRINTED = re.compile(
    r"monitoring:(?:\\n|\r?\n)[ \t]+enabled:[ \t]*[\"']?" + _WORDS + r"\b[\"']?[ \t]*(?:#[^\n]*)?(?:\r?\n|\\n|$)", re.I
)
_NAME = r"[\"']?monitoring[\"']?[ \t]*:[ \t]*"
_BLOCK = re.compile(_NAME + r"(?:#.*)?$")
_SCALAR = re.compile(
    _NAME + r"[\"']?" + _WORDS + r"\b[\"']?[ \t]*(?:#.*)?$", re.I
)  # `monitoring: false`: what else could be meant
_WHOLE = re.compile(  # a file that is one mapping in braces, JSON for one
    r"[\"']?\bmonitoring[\"']?\s*:\s*(?:\{(?:[^{}]|\{[^{}]*\})*?\benabled[\"']?\s*:\s*)?[\"']?" + _WORDS + r"\b", re.I
)
_FLOW = re.compile(_NAME + r"\{([^}]*)(\}[ \t]*(?:#.*)?)?$")
_WORD = re.compile(r"[\w.-]*")
_FLOW_KEY = re.compile(r"\benabled[\"']?\s*:\s*[\"']?" + _WORDS + r"\b", re.I)
_KEY = re.compile(r"([ \t]+)[\"']?enabled[\"']?[ \t]*:[ \t]*[\"']?" + _WORDS + r"\b", re.I)
MAX_LINE = 4096  # characters looked at before a printed line
MAX_BYTES = 1 << 20  # a larger file is not a config file


def enabled(text: str) -> bool | None:
    """Return what *text* says last about `monitoring.enabled`; None when it says nothing. Linear in the text."""
    best = -1
    answer: bool | None = None
    for match in _PRINTED.finditer(text):
        line_start = text.rfind("\n", max(0, match.start() - MAX_LINE), match.start()) + 1
        if not _is_printed(text[line_start or max(0, match.start() - MAX_LINE) : match.start()]):
            continue
        best, answer = match.start(), _truth(match.group(1))
    if text.lstrip("\ufeff \t\r\n")[:1] == "{":
        for match in _WHOLE.finditer(text):
            if match.start() > best:
                best, answer = match.start(), _truth(match.group(1))
    inside, flow, indent, position = False, False, "", 0
    for line in text.splitlines(True):
        content = line.rstrip("\r\n")
        found = None
        opened = _FLOW.match(content)
        if opened:
            inside, flow = False, opened.group(2) is None
            found = _FLOW_KEY.search(opened.group(1))
        elif _BLOCK.match(content):
            inside, flow, indent = True, False, ""
        elif _SCALAR.match(content):
            inside, flow = False, False
            found = _SCALAR.match(content)
        elif flow:
            found = _FLOW_KEY.search(content.partition("}")[0].partition("#")[0])
            flow = "}" not in content
        elif content and not content[0].isspace() and content[0] != "#":
            inside = False
        elif inside and content.strip() and not content.lstrip().startswith("#"):
            indent = indent or content[: len(content) - len(content.lstrip())]
            found = _KEY.match(content)
            if found and found.group(1) != indent:  # deeper keys belong to somebody else
                found = None
        if found and position > best:
            best, answer = position, _truth(found.group(found.lastindex or 0))
        position += len(line)
    return answer


def _is_printed(before: str) -> bool:
    """Tell whether a printed line that stands behind *before*, in the same line, was appended there.

    Appended to a last line without an end it is; but a comment that speaks of it, somebody's `gpu_monitoring:`, and a block
    of that name inside another one are none of ours.
    """
    if not before:
        return True
    if "#" in before:
        return before[-1] not in " \t#\"'`("
    return _WORD.fullmatch(before.strip()) is None


def _truth(word: str) -> bool:
    return word.lower() in TRUE


def read_plain(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return the first *limit* bytes of a regular file. Raises OSError, also for anything else: reading a fifo would wait for a writer,
    reading /dev/stdin would take away what is meant for the command.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", path)
        parts = []
        while limit > 0:
            part = os.read(fd, limit)
            if not part:
                break
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def file_enabled(path: str) -> bool:
    """Tell whether the config file *path* leaves monitoring on: yes when there is none, or it cannot be read."""
    if not path:
        return True
    try:
        text = read_plain(path).decode("utf-8-sig", "replace")
    except (OSError, ValueError):
        return True
    return enabled(text) is not False


def find_config() -> str:
    """Return the path of the config file that applies here, or an empty string.

    FLIGHTLOG_CONFIG, else ./config.yml when it is ours (has a `monitoring:`, `logging:` or `database:` block at its
    beginning of a line), else the XDG one, else the system's.
    """
    chosen = os.environ.get("FLIGHTLOG_CONFIG")
    if chosen:
        return identity.absolute(chosen)
    local = identity.absolute("config.yml")
    if os.path.isfile(local) and _is_ours(local):
        return local
    xdg = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    for path in (os.path.join(xdg, "flightlog", "config.yml"), "/etc/flightlog/config.yml"):
        if os.path.isfile(path):
            return path
    return ""


def _is_ours(path: str) -> bool:
    try:
        text = read_plain(path)
    except (OSError, ValueError):
        return False
    return re.search(rb"^(monitoring|logging|database)[ \t]*:|monitoring:\\n", text, re.M) is not None
