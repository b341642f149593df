"""What this machine can inject, and the injectors: mount and pid namespaces, memory cgroups, a shim of system calls built with gcc.

What a machine cannot do is found by trying it once; the test is then not run, by name and with the reason (`Machine.need`), and never passed.
"""

import contextlib
import errno
import functools
import glob
import os
import secrets
import shutil
import subprocess
import sys
import time

import pytest
from campaign import HERE

from waiting import wait_until

SHIM_SOURCE = os.path.join(HERE, "shim.c")


class Machine:
    """Capabilities of this machine; each is looked at once. `folder` holds what is built."""

    def __init__(self, folder):
        self.folder = folder
        self._spaces = []
        self._groups = []

    def need(self, name):
        """Return what the capability *name* gives; the test is not run where it is missing."""
        value = getattr(self, name)
        if isinstance(value, Missing):
            pytest.skip(f"not run: {value.reason}")
        return value

    def close(self):
        """Give everything back."""
        for space in self._spaces:
            space.close()
        for group in self._groups:
            group.close()

    @functools.cached_property
    def root(self):
        """Whether we are root."""
        return os.geteuid() == 0 or Missing("needs root")

    @functools.cached_property
    def shim(self):
        """The path of the shim of system calls (shim.c)."""
        if not sys.platform.startswith("linux"):
            return Missing("LD_PRELOAD is for Linux")
        if shutil.which("gcc") is None:
            return Missing("gcc is not installed")
        path = os.path.join(self.folder, "shim.so")
        built = subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", path, SHIM_SOURCE, "-ldl", "-pthread"],
            capture_output=True,
            text=True,
        )
        if built.returncode:
            return Missing("gcc cannot build the shim: " + built.stderr.strip()[-300:])
        return path

    @functools.cached_property
    def mounts(self):
        """A function that makes a `MountSpace`."""
        try:
            MountSpace().close()
        except (OSError, AssertionError) as problem:
            return Missing(f"no mount namespace (unshare -m): {problem}")

        def make():
            space = MountSpace()
            self._spaces.append(space)
            return space

        return make

    @functools.cached_property
    def pids(self):
        """The command that begins a pid namespace with its own /proc."""
        command = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
        try:
            done = subprocess.run([*command, "true"], capture_output=True, text=True)
        except OSError as problem:
            return Missing(f"no pid namespace: {problem}")
        return command if done.returncode == 0 else Missing(f"no pid namespace: {done.stderr.strip()}")

    @functools.cached_property
    def memory(self):
        """A function that makes a `MemoryGroup` with a limit in bytes."""
        try:
            MemoryGroup(64 << 20).close()
        except OSError as problem:
            return Missing(f"no memory cgroup can be made: {problem}")

        def make(limit):
            group = MemoryGroup(limit)
            self._groups.append(group)
            return group

        return make

    @functools.cached_property
    def interpreters(self):
        """Other interpreters to load the SDK in, by name: the oldest, the newest and PyPy, as far as they are here."""
        found = {}
        for name in ("python3.8", "python3.13", "pypy3"):
            there = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{name.removeprefix('python')}.*/bin/python"))
            path = sorted(there)[-1] if there else shutil.which(name)
            if path is not None and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
                found[name] = path
        return found

    def interpreter(self, name):
        """The path of the interpreter *name*, `this` for our own; the test is not run where there is none."""
        if name != "this" and name not in self.interpreters:
            pytest.skip(f"not run: {name} is not installed")
        return sys.executable if name == "this" else self.interpreters[name]


class Missing:
    """Why a capability is not there."""

    def __init__(self, reason):
        self.reason = reason

    def __bool__(self):
        return False


class MountSpace:
    """A mount namespace held by a sleeping process: mounts in it are seen by nobody else and end with it."""

    def __init__(self):
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sleep", "infinity"], stderr=subprocess.PIPE
        )
        ours = os.readlink("/proc/self/ns/mnt")

        def entered():
            assert self._holder.poll() is None, self._holder.stderr.read().decode().strip()
            with contextlib.suppress(OSError):
                return os.readlink(f"/proc/{self._holder.pid}/ns/mnt") != ours and _program(self._holder.pid) == "sleep"

        wait_until(entered, 10, "the mount namespace")

    @property
    def prefix(self):
        """What to put before a command so that it runs in there."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--"]

    def do(self, *command):
        """Run a command in there; it must succeed."""
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True)
        if done.returncode:
            raise OSError(errno.EIO, f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def path(self, path):
        """*path* as seen in there, for us."""
        return f"/proc/{self._holder.pid}/root{path}"

    def close(self):
        """End it, and all its mounts."""
        self._holder.kill()
        self._holder.wait()
        if self._holder.stderr:
            self._holder.stderr.close()


class MemoryGroup:
    """A memory cgroup, version 1 or 2, that kills what grows beyond *limit* bytes. Raises OSError where there is none."""

    def __init__(self, limit):
        name = "flightlog-faults-" + secrets.token_hex(4)
        if os.path.isdir("/sys/fs/cgroup/memory"):
            self.path = os.path.join("/sys/fs/cgroup/memory", name)
            settings = [("memory.limit_in_bytes", limit), ("memory.swappiness", 0)]
        else:
            self.path = os.path.join("/sys/fs/cgroup", name)
            settings = [("memory.max", limit), ("memory.swap.max", 0), ("memory.oom.group", 0)]
        os.mkdir(self.path)
        try:
            for key, value in settings[:1]:
                _write(os.path.join(self.path, key), value)
            for key, value in settings[1:]:
                with contextlib.suppress(OSError):
                    _write(os.path.join(self.path, key), value)
        except OSError:
            os.rmdir(self.path)
            raise

    def enter(self):
        """Put this process in; for `preexec_fn`."""
        _write(os.path.join(self.path, "cgroup.procs"), os.getpid())

    def kills(self):
        """How many processes it has killed for memory."""
        for name in ("memory.oom_control", "memory.events"):
            with contextlib.suppress(OSError), open(os.path.join(self.path, name)) as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        return 0

    def close(self):
        """Remove it; its processes have ended."""
        deadline = time.monotonic() + 5
        while True:
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise


def shimmed(path, calls, **more):
    """Return the variables that load the shim at *path*.

    Args:
        calls: rules `call:nth:action`, separated by commas; see shim.c.
        more: FAULT_PATHS: only descriptors whose path contains this (default: the spool); FAULT_COUNTS, FAULT_CLOCK: see shim.c.
    """
    return {"LD_PRELOAD": path, "FAULT_SHIM": calls, "FAULT_PATHS": "/spool/", **more}


def _program(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def _write(path, value):
    with open(path, "w") as file:
        file.write(str(value))
