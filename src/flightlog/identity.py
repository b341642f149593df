"""Who and where we are: ids of runs and writers, the node, the boot, a process, and the home directory.

Owns: ULIDs, writer ids, liveness of a process by (pid, start time), and the paths under FLIGHTLOG_HOME.
Leaves to others: creating any of these files. Standard library only; nothing here raises for a missing /proc.
"""

from __future__ import annotations

import errno
import itertools
import re
import stat
import zlib

from . import later
from .system import os, time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # https://github.com/ulid/spec: 48 bits of ms, 80 random bits
_ULID_LENGTH = 26
_next = itertools.count().__next__
# In the environment of our own background processes: whoever ends the program that had one started does not end it (`process.family`).
DETACHED = "FLIGHTLOG_DETACHED"
CHECKPOINTS = "checkpoints"  # in a spool directory: what pipelines keep to go on from (`sdk.lineage`)
SYSTEM_CONFIG = "/etc/flightlog/config.yml"
_SPOOL_BLOCK = later.pattern(rb"^spool[ \t]*:[ \t]*(?:#[^\n]*)?\r?\n((?:[ \t]+[^\n]*\n?|[ \t]*\r?\n|#[^\n]*\n)*)", re.M)
_SPOOL_PATH = later.pattern(
    rb"^[ \t]+path[ \t]*:[ \t]*[\"']?(/[^\"'#\r\n]*?/spool)/?[\"']?[ \t]*(?:#[^\n]*)?\r?$", re.M
)


def _random(count: int) -> bytes:
    """Return *count* bytes, at most 16, that nobody else gets. Never raises.

    They are random; where the system gives none (PyPy opens a file, for which there may be no descriptor) they are made of pid, time and a count.
    """
    try:
        return os.urandom(count)
    except OSError:
        call = zlib.crc32(b"%d %d" % (time.monotonic_ns(), _next()))
        moment = time.time_ns() & ((1 << 64) - 1)
        return (os.getpid().to_bytes(4, "big") + call.to_bytes(4, "big") + moment.to_bytes(8, "big"))[:count]


def new_ulid(now_ns: int | None = None) -> str:
    """Return a new ULID: 26 characters that sort by time (UTC milliseconds).

    Args:
        now_ns: nanoseconds since the epoch; the clock is read when it is None.
    """
    milliseconds = (time.time_ns() if now_ns is None else now_ns) // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | int.from_bytes(_random(10), "big")
    return "".join([_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5)])


def is_ulid(text: str) -> bool:
    """Tell whether *text* is a ULID in its canonical, upper-case form."""
    return len(text) == _ULID_LENGTH and text[0] in "01234567" and all(c in _CROCKFORD for c in text)


def short(ulid: str) -> str:
    """Return the short form people see: the last 6 characters."""
    return ulid[-6:]


def new_writer_id() -> str:
    """Return a new writer id: 16 random bytes as 32 hexadecimal digits. Never of a pid or an inode alone: both are reused."""
    return _random(16).hex()


def run_around() -> str:
    """Return the run that this process was started in, for a run that begins here: the one that `sdk.carry` handed on, else that of `flightlog run`; or empty."""
    supervised = os.environ.get("FLIGHTLOG_RUN", "")
    parts = os.environ.get("FLIGHTLOG_SCOPE", "").split(":")
    if len(parts) >= 7 and parts[0] == (supervised or "-") and is_ulid(parts[1]):
        return parts[1]
    return supervised if is_ulid(supervised) else ""


def node_name() -> str:
    """Return the name of this node: FLIGHTLOG_NODE, else the host name."""
    return os.environ.get("FLIGHTLOG_NODE") or os.uname().nodename or "localhost"


def boot_id() -> str:
    """Return the kernel's id of this boot as 32 hexadecimal digits; zeros where it cannot be read."""
    try:
        return _read("/proc/sys/kernel/random/boot_id").strip().replace(b"-", b"").decode("ascii")
    except (OSError, ValueError):
        return "0" * 32


def process_start_time(pid: int) -> int:
    """Return when process *pid* began, in clock ticks since boot (proc(5), stat, field 22); 0 when it cannot be known."""
    # /proc may be that of another pid namespace, where our number is somebody else's; `self` is always us.
    try:
        path = "/proc/self/stat" if pid == os.getpid() else "/proc/%d/stat" % pid
        return int(_read(path).rsplit(b")", 1)[1].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def process_state(pid: int) -> str:
    """Return the one-letter state of process *pid* (proc(5)), empty when there is no such process."""
    try:
        return _read("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()[0].decode("ascii")
    except (OSError, ValueError, IndexError):
        return ""


def _read(path: str) -> bytes:
    """Return what a short file of /proc says. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def process_alive(pid: int, start_time: int) -> bool:
    """Tell whether the very process (pid, start time) still runs; a zombie does not. Safe against reused pids."""
    if pid <= 0:
        return False
    if not os.path.isdir("/proc/self"):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
    if process_state(pid) in ("", "Z", "X"):
        return False
    return start_time == 0 or process_start_time(pid) == start_time


def absolute(path: str) -> str:
    """Return *path* as an absolute one; as it is where the working directory has been removed."""
    try:
        return os.path.abspath(path)
    except OSError:
        return path


def home() -> str:
    """Return FLIGHTLOG_HOME, else the one that all users of this machine share, else /var/lib/flightlog for root, else the XDG
    state directory's `flightlog`.
    """
    chosen = os.environ.get("FLIGHTLOG_HOME")
    if chosen:
        return absolute(chosen)
    shared = shared_spool()
    if shared:
        return os.path.dirname(shared)
    if os.geteuid() == 0:
        return "/var/lib/flightlog"
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "flightlog")


def read_plain(path: str, limit: int = 1 << 20) -> bytes:
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


def shared_spool() -> str:
    """Return the spool that /etc/flightlog/config.yml names (`spool:`, `path:`) and that is made for all users; empty when there is none."""
    try:
        text = read_plain(SYSTEM_CONFIG)
    except OSError:
        return ""
    found = [match for block in _SPOOL_BLOCK.finditer(text) for match in _SPOOL_PATH.finditer(block.group(1))]
    path = os.fsdecode(found[-1].group(1)) if found else ""
    return path if path and is_shared(path) else ""


def is_shared(top: str) -> bool:
    """Tell whether *top* is a spool for several users: root's, where everybody may make a directory and nobody can remove another one's.

    `flightlog spool setup` makes it: 3773 root:flightlog (DESIGN D20).
    """
    try:
        status = os.lstat(top)
    except OSError:
        return False
    wanted = stat.S_ISGID | stat.S_ISVTX
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and status.st_mode & wanted == wanted


def spool_dir() -> str:
    """Return the spool directory of this user: FLIGHTLOG_SPOOL, else `spool/<uid>` of the home."""
    chosen = os.environ.get("FLIGHTLOG_SPOOL")
    return own_spool(chosen) if chosen else os.path.join(home(), "spool", str(os.geteuid()))


def is_uid(name: str) -> bool:
    """Tell whether a spool directory's *name* is a user's number. Anybody may make one, and not every digit is one that int() takes."""
    return name.isdigit() and name.isascii() and len(name) <= 10


def own_spool(path: str) -> str:
    """Return *path*, or, where it is another user's `spool/<uid>`, our own beside it: a process may have changed its user."""
    top, name = os.path.split(path)
    if not is_uid(name) or int(name) == os.geteuid() or os.path.basename(top) != "spool":
        return path
    try:
        foreign = os.lstat(path).st_uid != os.geteuid()
    except OSError as problem:
        foreign = problem.errno != errno.ENOENT
    return os.path.join(top, str(os.geteuid())) if foreign else path


def spool_file_mode(path: str) -> int:
    """Return the mode of files in the spool directory *path*: 0640 where an agent of the directory's group reads them, else 0600.

    Raises OSError: it does not exist; or somebody else made it in our name, and then nothing of ours goes into it.
    """
    status = os.lstat(path)
    if not is_shared(os.path.dirname(path)):
        return 0o600
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "somebody else made this spool directory", path)
    return 0o640 if status.st_mode & stat.S_ISGID else 0o600


def give_spool_mode(fd: int, mode: int) -> None:
    """Give a new file of the spool the mode that `spool_file_mode` says, whatever the umask of the pipeline is. Raises OSError."""
    if mode != 0o600:
        os.fchmod(fd, mode)


def make_home(path: str) -> None:
    """Create the home *path*, private except root's, which the account of the embedded server passes. Raises OSError."""
    if os.path.isdir(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fresh = "%s.%s" % (path, os.urandom(6).hex())
    try:
        os.mkdir(fresh, 0o700)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, path) from None
    try:
        os.chmod(fresh, 0o755 if os.geteuid() == 0 else 0o700)  # whatever the umask is; before anybody can find it
        os.rename(fresh, path)
    except OSError:
        os.rmdir(fresh)
        if not os.path.isdir(path):  # another process was faster, else
            raise


def make_spool(path: str) -> None:
    """Create the spool directory *path* (mode 0700, or as the shared spool wants it) and the home above it. Raises OSError."""
    if is_shared(os.path.dirname(path)):
        # Group and setgid bit come from above, the mode from the default ACL there: it stands above the umask, which is the
        # pipeline's and may not be touched. A chmod by who is not in the group would take the setgid bit away.
        try:
            os.mkdir(path, 0o770)
        except FileExistsError:
            spool_file_mode(path)
        return
    if os.path.isdir(path):
        return
    make_home(os.path.dirname(os.path.dirname(path)))
    for folder, mode in ((os.path.dirname(path), 0o711), (path, 0o700)):
        try:
            os.mkdir(folder, mode)
        except FileExistsError:
            continue
        os.chmod(folder, mode)  # whatever the umask of the pipeline is


def control_path(config_path: str, uid: int | None = None) -> str:
    """Return the control page's path for one config file (may be empty) and one user, by default this one."""
    chosen = os.environ.get("FLIGHTLOG_CONTROL")
    if chosen:
        return chosen
    text = absolute(config_path) if config_path else ""
    user = os.geteuid() if uid is None else uid
    key = "%08x-%d" % (zlib.crc32(text.encode("utf-8", "surrogateescape")), user)
    return os.path.join(home(), "control", key + ".page")
