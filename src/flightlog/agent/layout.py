"""The spool that all users of a machine share: making it, and seeing whether it is as it should be.

    HOME         1775  root:flightlog            HOME/spool          3773  root:flightlog, with a default ACL
    HOME/spool/<uid>  2770  uid:flightlog        segments            0640  uid:flightlog

Everybody may make a directory in the spool, nobody can remove or read another one's; the agent, an ordinary account in the group, reads and
removes everybody's. The default ACL (owner and group rwx, others nothing) stands above the umask of pipelines, which is not ours to change.
Invariants: nothing is changed through a link; what somebody made in another one's name is moved aside, never handed over.
Owns: modes and owners. Leaves using them to `identity` (writers) and `spool` (agent).
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import struct
from typing import NamedTuple

from .. import identity
from ..errors import NotFound, Refused
from ..journal import evidence, reserve
from ..journal.format import parse_name
from .spool import is_plain

HOME_MODE, SPOOL_MODE, USER_MODE, FILE_MODE = 0o1775, 0o3773, 0o2770, 0o640
WORK_FOLDERS = ("control", "log", "quarantine")
_ACL_NAME = "system.posix_acl_default"
_ENTRY = struct.Struct("<HHI")  # acl(5): tag, permissions, id; ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_OTHER
_ACL = struct.pack("<I", 2) + b"".join(_ENTRY.pack(tag, bits, 0xFFFFFFFF) for tag, bits in ((1, 7), (4, 7), (32, 0)))
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place(NamedTuple):
    """One directory. `mode`: permission bits; `wrong`: what is not as it should be, as words."""

    path: str
    owner: str
    group: str
    mode: int
    segments: int
    used: int
    wrong: list[str]


def setup(home: str, group: str) -> list[str]:
    """Make or mend the shared spool of *home*; return what was noteworthy, as lines.

    Raises Refused when we are not root or *home* is not root's, NotFound for a group that does not exist, OSError.
    """
    if os.geteuid() != 0:
        raise Refused("only root can make a spool for all users", "sudo flightlog spool setup")
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError as problem:
        raise NotFound(
            f"there is no group {group}", f"groupadd --system {group} && useradd --system --gid {group} {group}"
        ) from problem
    _must_be_passable(os.path.dirname(home))
    said: list[str] = []
    for path, mode in (
        (home, HOME_MODE),
        *((os.path.join(home, name), USER_MODE) for name in WORK_FOLDERS),
        (os.path.join(home, "spool"), SPOOL_MODE),
    ):
        os.makedirs(path, 0o755, exist_ok=True)
        fd = os.open(path, _DIRECTORY)
        try:
            if path == home and os.fstat(fd).st_uid != 0:
                raise Refused(f"{home} belongs to {_user(os.fstat(fd).st_uid)}, not to root", "choose another --home")
            os.fchown(fd, 0, gid)
            os.fchmod(fd, mode)
            if mode == SPOOL_MODE:
                if not _set_acl(fd):
                    said.append(
                        f"{path}: this file system has no ACLs; users need a umask of 007, or the agent cannot remove"
                    )
                said += _mend_users(fd, path, gid)
        finally:
            os.close(fd)
    return said


def inspect(home: str) -> tuple[bool, list[Place]]:
    """Return whether the spool of *home* is a shared one, and its directories as far as we may see them.

    Raises NotFound when there is no spool.
    """
    top = os.path.join(home, "spool")
    try:
        status = os.lstat(top)
    except OSError as problem:
        raise NotFound(
            f"{top}: {problem.strerror}", "it is made with the first record, or: flightlog spool setup"
        ) from problem
    shared = identity.is_shared(top)
    places = [_place(top, status, [])]
    if shared:
        places[0].wrong.extend(_wrong_top(top, status))
    try:
        names = sorted(os.listdir(top))
    except PermissionError:
        names = [str(os.geteuid())]
    for name in names:
        path = os.path.join(top, name)
        try:
            places.append(_user_place(path, name, status.st_gid if shared else None))
        except FileNotFoundError:
            continue
    return shared, places


def _user_place(path: str, name: str, gid: int | None) -> Place:
    status = os.lstat(path)
    if not identity.is_uid(name) or not stat.S_ISDIR(status.st_mode):
        return _place(path, status, ["is no spool directory; nothing in it is read"])
    wrong = []
    if status.st_uid != int(name):
        wrong.append(f"was made by {_user(status.st_uid)} in the name of {_user(int(name))}; nothing in it is read")
    elif gid is not None and status.st_gid != gid:
        wrong.append(f"is not of group {_group(gid)}: the agent cannot read it")
    mode = stat.S_IMODE(status.st_mode)
    wanted = USER_MODE if gid is not None else 0o700
    if mode != wanted and status.st_uid == int(name):
        wrong.append(f"has mode {mode:04o}, not {wanted:04o}")
    place = _place(path, status, wrong)
    try:
        fd = os.open(path, _DIRECTORY)
    except OSError:
        return place
    segments = used = strange = 0
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if reserve.is_ours(entry.name) and is_plain(found) and found.st_uid == status.st_uid:
                    continue
                if entry.name.endswith(evidence.SUFFIX) and is_plain(found) and found.st_uid == status.st_uid:
                    continue
                if entry.name == identity.CHECKPOINTS and stat.S_ISDIR(found.st_mode) and found.st_uid == status.st_uid:
                    continue  # private: what the user's pipelines go on from
                if parse_name(entry.name) is None or not is_plain(found) or found.st_uid != status.st_uid:
                    strange += 1
                    continue
                segments += 1
                used += min(found.st_size, found.st_blocks * 512)
                if gid is not None and (found.st_gid != gid or not found.st_mode & stat.S_IRGRP):
                    strange += 1
    except OSError:
        pass
    finally:
        os.close(fd)
    if strange:
        wrong.append(f"{strange} {'name' if strange == 1 else 'names'} in it that the agent does not read")
    return place._replace(segments=segments, used=used)


def _wrong_top(top: str, status: os.stat_result) -> list[str]:
    wrong = []
    if stat.S_IMODE(status.st_mode) != SPOOL_MODE:
        wrong.append(f"has mode {stat.S_IMODE(status.st_mode):04o}, not {SPOOL_MODE:04o}")
    try:
        if os.getxattr(top, _ACL_NAME) != _ACL:
            wrong.append("has another default ACL than setup gives")
    except OSError:
        wrong.append("has no default ACL: what users with a umask of 022 make, the agent cannot remove")
    return wrong


def _mend_users(top: int, path: str, gid: int) -> list[str]:
    """Give the users' directories their group and modes; move aside what is none."""
    said = []
    for name in sorted(os.listdir(top)):
        status = os.stat(name, dir_fd=top, follow_symlinks=False)
        if not identity.is_uid(name):
            continue
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != int(name):
            aside = _aside(top, name)
            said.append(
                f"{path}/{name} was made by {_user(status.st_uid)} in the name of {_user(int(name))}: moved to {aside}"
            )
            continue
        fd = os.open(name, _DIRECTORY, dir_fd=top)
        try:
            if os.fstat(fd).st_uid != int(name):
                continue
            os.fchown(fd, -1, gid)
            os.fchmod(fd, USER_MODE)
            _set_acl(fd)
            for entry in os.listdir(fd):
                if parse_name(entry) is not None:
                    _mend_file(fd, entry, int(name), gid)
        finally:
            os.close(fd)
    return said


def _mend_file(folder: int, name: str, uid: int, gid: int) -> None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return
    try:
        status = os.fstat(fd)
        if is_plain(status) and status.st_uid == uid:
            os.fchown(fd, -1, gid)
            os.fchmod(fd, FILE_MODE)
    finally:
        os.close(fd)


def _aside(top: int, name: str) -> str:
    number = 1
    while True:
        aside = f"{name}.foreign-{number}"
        try:
            os.stat(aside, dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, aside, src_dir_fd=top, dst_dir_fd=top)
            return aside
        number += 1


def _set_acl(fd: int) -> bool:
    try:
        os.setxattr(fd, _ACL_NAME, _ACL)
    except OSError:
        return False
    return True


def _must_be_passable(path: str) -> None:
    """Raise when users could not reach the spool, or could put another one in its place."""
    while True:
        status = os.stat(path) if os.path.isdir(path) else None
        if status is not None and not status.st_mode & stat.S_IXOTH:
            raise Refused(f"users cannot pass {path}", "choose another --home, such as /var/lib/flightlog")
        if status is not None and status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            raise Refused(
                f"everybody can rename what is in {path}", "choose another --home, such as /var/lib/flightlog"
            )
        if path == "/":
            return
        path = os.path.dirname(path)


def _place(path: str, status: os.stat_result, wrong: list[str]) -> Place:
    return Place(path, _user(status.st_uid), _group(status.st_gid), stat.S_IMODE(status.st_mode), 0, 0, wrong)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
