"""The system that simulated processes run on: descriptors, locks, pids, clocks; what `flightlog.system` stands for in the simulation.

Every system call comes by `Kernel.call`: there a process dies (in a write also half way), another one gets its turn, or a fault begins. One
process runs at a time, so a history is repeated by repeating the choices. Owns processes and time; leaves files to `disk`.
"""

import random
from types import SimpleNamespace

from .disk import Disk

START_NS = 1_790_000_000_000_000_000


class Killed(BaseException):
    """The process is gone. Not an Exception: nothing may handle it."""


class Process:
    """One process. `trap`: (calls to go or a call's name, action); the action returns None, or which part of a write is still made before the process dies."""

    def __init__(self, pid, start):
        self.pid, self.start = pid, start
        self.fds = {}
        self.alive = True
        self.trap = None
        self.calls = 0


class Open:
    def __init__(self, inode, flags):
        self.inode, self.flags = inode, flags


class Kernel:
    """The machine. `choose` is the only source of chance."""

    def __init__(self, seed=0):
        self.choose = random.Random(seed)
        self.disk = Disk()
        self.wall_ns, self.mono_ns = START_NS, 10**12
        self.boot = 1
        self.processes = {}
        self._next_pid = 100
        self.current = self.spawn()  # whoever has no process of its own
        self.scheduler = None
        self.native = SimpleNamespace(
            fast_write=None, fork_sentinel=lambda: Sentinel(self), file_system_type=lambda fd: 0
        )

    # -- processes --------------------------------------------------------------------------------------------------

    def spawn(self, parent=None):
        pid = self._next_pid
        self._next_pid += 1
        process = self.processes[pid] = Process(pid, pid * 7)
        if parent is not None:
            process.fds = dict(parent.fds)  # locks are not inherited
        return process

    def reuse_pid(self, process):
        """Let a new, unrelated process have the pid of a dead one."""
        if not self.processes[process.pid].alive:
            self.processes[process.pid] = Process(process.pid, process.start + 1)

    def kill(self, process):
        if process.alive:
            process.alive = False
            process.trap = None
            for one in process.fds.values():
                one.inode.locks.discard(process.pid)
            process.fds.clear()

    def as_process(self, process, action, *arguments):
        """Run *action* as *process*; return what it returns, None when the process died in it."""
        before, self.current = self.current, process
        try:
            return action(*arguments)
        except Killed:
            if process.alive:
                raise
            return None
        finally:
            self.current = before

    def power_cut(self):
        for process in self.processes.values():
            if process is not self.current:
                self.kill(process)
        self.disk.crash(self.choose)
        self.boot += 1
        self.mono_ns = 10**9

    def call(self, name):
        """A system call begins. Returns None, or the part of a write that is made before the process dies."""
        if self.scheduler is not None:
            self.scheduler.pause()
        process = self.current
        if not process.alive:
            raise Killed
        process.calls += 1
        self.mono_ns += 5_000
        self.wall_ns += 5_000
        if process.trap is not None:
            left, action = process.trap
            if isinstance(left, str):
                if left != name:
                    return None
            elif left > 0:
                process.trap = (left - 1, action)
                return None
            process.trap = None
            part = action(name)
            if not process.alive:
                raise Killed
            if part is not None:
                if name != "write":
                    self.kill(process)
                    raise Killed
                return part
        return None

    def sleep(self, seconds):
        self.mono_ns += int(seconds * 1e9)
        self.wall_ns += int(seconds * 1e9)


class Sentinel:
    def __init__(self, kernel):
        self.kernel, self.pid = kernel, kernel.current.pid

    def __getitem__(self, index):
        return self.kernel.current.pid == self.pid
