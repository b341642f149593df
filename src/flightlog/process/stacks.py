"""Where processes are: stacks from outside, by what is there and permitted.

1. faulthandler on SIGUSR1, where the program asked for it: its note `stacks` {"signal": "SIGUSR1"} is in the run's evidence, its last one, and the
   kernel says that it catches that signal. To anybody else it would mean death, so nobody else gets it.
2. py-spy (an optional program), where it is found and the process may be traced; `--nonblocking`, so that nobody is stopped for it.
3. The kernel's view of each thread (`threads`), always.

Invariants: never raises, blocks on nothing: `Spy` is polled; no process is stopped; the only signal sent is that one. Owns: these three, and saying
which powers are missing with their remedy. Leaves when to ask to `hang` and to the command `stacks`. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from ..journal import evidence
from . import proctree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

SPY_SECONDS = 15.0
MAX_TEXT = 16 << 10
NOTE = "stacks"  # kind of the note by which a program offers them
_TRACE = 19  # CAP_SYS_PTRACE
_PLACES = ("/usr/local/bin", "/usr/bin", "/bin")
INSTALL = "pip install py-spy"


def find_spy() -> str:
    """Return the path of py-spy; empty when there is none."""
    folders = [os.path.dirname(sys.executable or ""), *os.environ.get("PATH", "").split(os.pathsep), *_PLACES]
    for folder in folders:
        path = os.path.join(folder, "py-spy")
        if os.path.isabs(path) and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return ""


def is_python(pid: int) -> bool:
    """Tell whether a Python runs in process *pid*."""
    try:
        name = os.path.basename(os.readlink("/proc/%d/exe" % pid))
    except OSError:
        return False
    return name.startswith("python") or b"libpython" in proctree.read("/proc/%d/maps" % pid, 1 << 16)


def refusal(pid: int) -> str:
    """Return why process *pid* may not be traced by a helper of ours, with the remedy; empty when it may."""
    try:
        capable = int(_status("self", b"CapEff:") or b"0", 16) >> _TRACE & 1
    except ValueError:
        capable = 0
    if capable:
        return ""
    owners = _status(str(pid), b"Uid:").split()
    if owners and any(int(uid) != os.geteuid() for uid in owners):
        return "process %d belongs to another user (try: the same command as root)" % pid
    scope = proctree.read("/proc/sys/kernel/yama/ptrace_scope").strip()
    if scope not in (b"", b"0"):
        return (
            "kernel.yama.ptrace_scope is %s (try: as root, or sysctl kernel.yama.ptrace_scope=0, or CAP_SYS_PTRACE for the container)"
            % scope.decode("ascii", "replace")
        )
    return ""


def _status(pid: str, name: bytes) -> bytes:
    for line in proctree.read("/proc/%s/status" % pid).split(b"\n"):
        if line.startswith(name):
            return line[len(name) :].strip()
    return b""


class Spy:
    """One py-spy at work on process *pid*.

    Attributes:
        pid: of the process looked at.
        text: what it said, once it has ended.
        failed: why it said nothing of use; empty when it did.
    """

    def __init__(self, program: str, pid: int) -> None:
        self.pid = pid
        self.text = self.failed = ""
        self._data = b""
        self._child = 0
        self._source = -1
        self._deadline = time.monotonic() + SPY_SECONDS
        try:
            self._start(program)
        except (OSError, ValueError) as problem:
            self.failed = "py-spy cannot be started: %s" % problem

    def _start(self, program: str) -> None:
        self._source, sink = os.pipe()
        try:
            os.set_blocking(self._source, False)
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, sink, 1),
                (os.POSIX_SPAWN_DUP2, sink, 2),
            ]
            command = [program, "dump", "--nonblocking", "--pid", str(self.pid)]
            self._child = os.posix_spawn(program, command, dict(os.environ), file_actions=actions, setsigmask=[])
        finally:
            os.close(sink)

    def poll(self) -> bool:
        """Tell whether it has ended; takes what it has said so far. Blocks on nothing."""
        if not self._child:
            self._close()
            return True
        self._drain()
        if time.monotonic() > self._deadline:
            try:
                os.kill(self._child, signal.SIGKILL)  # a child of ours that is not reaped yet
            except OSError:
                pass
        try:
            pid, status = os.waitpid(self._child, os.WNOHANG)
        except ChildProcessError:
            pid, status = self._child, 0
        if pid == 0:
            return False
        self._child = 0
        self._drain()
        self._close()
        text = self._data.decode("utf-8", "replace").strip()
        if status == 0 and text:
            self.text = text[:MAX_TEXT]
        else:
            self.failed = "py-spy: " + (" ".join(text.split())[:300] or "it said nothing in %d s" % SPY_SECONDS)
        return True

    def stop(self) -> None:
        """End it: nobody wants to know any more."""
        self._deadline = 0.0
        while not self.poll():
            time.sleep(0.001)  # SIGKILL is on its way

    def _drain(self) -> None:
        try:
            while len(self._data) < 1 << 20:
                data = os.read(self._source, 1 << 16)
                if not data:
                    return
                self._data += data
        except OSError:
            return

    def _close(self) -> None:
        if self._source >= 0:
            os.close(self._source)
            self._source = -1


def all_ended(spies: Iterable[Spy]) -> bool:
    """Tell whether all of them have ended; polls each."""
    return not [spy for spy in spies if not spy.poll()]


def offers(fd: int) -> dict[int, int]:
    """Return pid -> start time of the processes that have said in the evidence *fd* that SIGUSR1 shows their stacks, and have not taken it back.

    All of it is read, not the first notes only; where it is full, somebody may have had no room to take it back, and nobody counts as offering.
    """
    found: dict[int, int] = {}
    try:
        data = os.pread(fd, evidence.MAX_BYTES + 1, 0)
    except OSError:
        return found
    if len(data) > evidence.MAX_BYTES:
        return found
    for line in data.split(b"\n"):
        if b'"%s"' % NOTE.encode() not in line:
            continue
        try:
            note = json.loads(line)
        except ValueError:
            continue
        if not isinstance(note, dict) or note.get("kind") != NOTE or type(note.get("pid")) is not int:
            continue
        found.pop(note["pid"], None)
        if note.get("signal") == "SIGUSR1" and type(note.get("start")) is int:
            found[note["pid"]] = note["start"]
    return found


def ask(process: proctree.Process, offered: dict[int, int]) -> bool:
    """Send SIGUSR1 to a process that has offered its stacks for it; tell whether that was done."""
    if offered.get(process.pid) != process.start:
        return False
    try:
        caught = int(_status(str(process.pid), b"SigCgt:") or b"0", 16)
    except ValueError:
        return False
    return bool(caught >> (signal.SIGUSR1 - 1) & 1) and send(process, signal.SIGUSR1)


def send(process: proctree.Process, number: int) -> bool:
    """Send a signal to exactly this process, not to whoever has its number by now; tell whether it was sent."""
    opened = getattr(os, "pidfd_open", None)
    push = getattr(signal, "pidfd_send_signal", None)  # both since Python 3.9
    handle = -1
    try:
        if opened is not None and push is not None:
            handle = opened(process.pid)
        now = proctree.look(process.pid)
        if now is None or now.start != process.start or now.dead:
            return False
        if push is not None and handle >= 0:
            push(handle, number)
        else:
            os.kill(process.pid, number)
        return True
    except (OSError, ValueError):
        return False
    finally:
        if handle >= 0:
            os.close(handle)


def size_of(fd: int) -> int:
    """Return where the evidence ends now; what is dumped from here on is behind that."""
    try:
        return os.fstat(fd).st_size
    except OSError:
        return 0


def dumped(fd: int, begin: int) -> str:
    """Return what faulthandler has written into the evidence behind *begin*: the lines that are no notes."""
    try:
        data = os.pread(fd, evidence.MAX_DUMP, begin)
    except OSError:
        return ""
    lines = [line for line in data.split(b"\n") if not line.startswith(b'{"')]
    return b"\n".join(lines).decode("utf-8", "backslashreplace").strip()
