"""What a run was made of: the commit of its code, what is installed, the machine and the Python.

Owns: finding these, once for each process, without starting anything: `.git` is read as files, installed distributions are the names of the
`*.dist-info` directories along sys.path. Bounded: 64 directories upwards, files up to 4 MB, 20,000 names; well below a millisecond where I/O is not slow.
Whether the working tree was changed since that commit is not known. Never raises: what cannot be found is absent.
"""

from __future__ import annotations

import os
import stat
import sys
import zlib

from .. import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_UP = 64  # directories looked into for .git
MAX_PACKED = 4 << 20  # bytes read of packed-refs
MAX_NAMES = 20_000  # distributions
_HEX = frozenset("0123456789abcdef")
_found: dict[str, Any] | None = None


def facts() -> dict[str, Any]:
    """Return {host, python, git, deps, deps_count}, as far as they are known. Found once; later calls cost nothing."""
    global _found
    if _found is None:
        found = {}  # type: dict[str, Any]
        for look in (_machine, _git, _dependencies):
            try:
                look(found)
            except Exception:  # a path that is no text, a directory that went away
                continue
        _found = found
    return dict(_found)


def _machine(found: dict[str, Any]) -> None:
    found["host"] = os.uname().nodename
    found["python"] = "%s %s" % (sys.implementation.name, ".".join(map(str, sys.version_info[:3])))


def _git(found: dict[str, Any]) -> None:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    commit = commit_of(os.path.dirname(os.path.abspath(main)) if main else os.getcwd())
    if commit:
        found["git"] = commit


def _dependencies(found: dict[str, Any]) -> None:
    names = installed(sys.path)
    if names:
        found["deps"], found["deps_count"] = fingerprint(names), len(names)


def commit_of(directory: str) -> str:
    """Return the commit that is checked out in the repository around *directory*: 40 or 64 hexadecimal digits, or empty."""
    for _ in range(MAX_UP):
        entry = os.path.join(directory, ".git")
        try:
            mode = os.stat(entry).st_mode
        except OSError:
            above = os.path.dirname(directory)
            if above == directory:
                break
            directory = above
            continue
        if stat.S_ISDIR(mode):
            return _head(entry)
        said = _text(entry)  # a worktree or a submodule: "gitdir: <path>"
        return _head(os.path.join(directory, said[7:].strip())) if said.startswith("gitdir:") else ""
    return ""


def _head(place: str) -> str:
    head = _text(os.path.join(place, "HEAD"))
    if not head.startswith("ref:"):
        return _commit(head)
    name = head[4:].strip()
    if name.startswith("/") or ".." in name:
        return ""
    common = _text(os.path.join(place, "commondir"))
    places = [place, os.path.join(place, common)] if common else [place]
    for one in places:
        found = _commit(_text(os.path.join(one, name)))
        if found:
            return found
    try:
        packed = identity.read_plain(os.path.join(places[-1], "packed-refs"), MAX_PACKED).decode("utf-8", "replace")
    except OSError:
        return ""
    for line in packed.splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name:
            return _commit(commit)
    return ""


def _text(path: str) -> str:
    try:
        return identity.read_plain(path, 4096).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _commit(text: str) -> str:
    return text if len(text) in (40, 64) and _HEX.issuperset(text) else ""


def installed(path: list[str]) -> list[str]:
    """Return what is installed along *path*, as `name-version` in order; of a distribution that is there twice both."""
    names = set()  # type: set[str]
    for place in path:
        if not isinstance(place, str) or ("site-packages" not in place and "dist-packages" not in place):
            continue
        try:
            entries = os.listdir(place)
        except OSError:  # a zip, or nothing
            continue
        for entry in entries:
            if entry.endswith((".dist-info", ".egg-info")) and len(names) < MAX_NAMES:
                names.add(entry[: entry.rindex(".")])
    return sorted(names)


def fingerprint(names: list[str]) -> str:
    """Return 16 hexadecimal digits that change when one of *names* does. No defence against somebody who wants them not to."""
    text = "\n".join(names).encode("utf-8", "backslashreplace")
    return "%08x%08x" % (zlib.crc32(text), zlib.adler32(text))
