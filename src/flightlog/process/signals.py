"""Signals of keeper and shim: what the command would have inherited, and dying the way it died.

Owns: blocking everything at start, giving the command back what was inherited, and `die_like`.
Python has by then ignored SIGPIPE and SIGXFSZ; like every launcher written in it, we hand them on as default. Leaves
passing signals on to the keeper.
"""

from __future__ import annotations

import os
import resource
import signal

from . import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# All that can be caught, stop signals too: the keeper stops when the command has stopped, not before.
CATCHABLE = frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
STOPPING = frozenset((signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU))


class Inherited:
    """The signal state that the command line handed to us; made first of all, it blocks every signal from then on."""

    __slots__ = ("child_ignored", "mask")

    def __init__(self) -> None:
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, CATCHABLE)
        self.child_ignored = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would take exit statuses from us
        if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    def restore(self) -> None:
        """Give this process, which is about to become the command, its dispositions and its mask."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            # Blocked, it waits although it is ignored: what a write of ours brought us is not the command's.
            signal.signal(number, signal.SIG_IGN)
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN if self.child_ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)


def is_pending(pid: int, number: int) -> bool:
    """Tell whether a signal sent to process *pid* as a whole waits there, blocked; False when that cannot be seen."""
    try:
        with open("/proc/%d/status" % pid, "rb") as file:
            for line in file:
                if line.startswith(b"ShdPnd:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except (OSError, ValueError):
        pass
    return False


def stop_like(number: int) -> None:
    """Stop this process by signal *number*, as the command has stopped; return when it is continued."""
    if number not in STOPPING:
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    signal.signal(number, signal.SIG_DFL)
    # What is pending already came from the terminal, to the whole group; it is the stop that we are about to make.
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def die_like(status: int) -> NoReturn:
    """End this process with wait status *status*: the same exit code, or by the same signal, without a core file of our
    own.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            linux.forbid_dump()
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
            if number in CATCHABLE:
                signal.signal(number, signal.SIG_DFL)
                while signal.sigtimedwait({number}, 0) is not None:
                    pass
            os.kill(os.getpid(), number)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        except (OSError, ValueError):
            pass
        os._exit(128 + number)  # the first process of a container cannot kill itself
    os._exit(os.WEXITSTATUS(status))
