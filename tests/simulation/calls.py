"""The calls that simulated processes make: what stands for the modules os, fcntl and time, over one kernel. A name that is not here is an error."""

import contextlib
import errno
import fcntl as real_fcntl
import os as real_os
import stat
import time as real_time
from types import SimpleNamespace

from flightlog import system
from flightlog.journal import writer as writer_module

from .kernel import Killed, Open


@contextlib.contextmanager
def playing(kernel):
    """Be the system of the journal and the agent meanwhile."""
    before = system.play(os=Os(kernel), fcntl=Fcntl(kernel), time=Time(kernel), native=kernel.native)
    known = len(writer_module._writers)
    try:
        yield
    finally:
        system.play(**before)
        del writer_module._writers[known:]


class Time:
    strftime, gmtime = staticmethod(real_time.strftime), staticmethod(real_time.gmtime)

    def __init__(self, kernel):
        self._kernel = kernel

    def time_ns(self):
        self._kernel.wall_ns += 1000
        return self._kernel.wall_ns

    def time(self):
        return self.time_ns() / 1e9

    def monotonic_ns(self):
        self._kernel.mono_ns += 1000
        return self._kernel.mono_ns

    def monotonic(self):
        return self.monotonic_ns() / 1e9

    def sleep(self, seconds):
        if self._kernel.scheduler is not None:
            self._kernel.scheduler.pause()
        self._kernel.sleep(seconds)


class Fcntl:
    def __init__(self, kernel):
        self._kernel = kernel

    def __getattr__(self, name):
        if name[:2] in ("F_", "LO", "FD"):
            return getattr(real_fcntl, name)
        raise AttributeError(name)

    def lockf(self, fd, command, *_):
        self._kernel.call("lockf")
        process = self._kernel.current
        inode = process.fds[fd].inode
        if inode.locks - {process.pid}:
            raise BlockingIOError(errno.EAGAIN, "locked")
        if command & real_fcntl.LOCK_EX:
            inode.locks.add(process.pid)

    def fcntl(self, fd, command, lowest):
        assert command == real_fcntl.F_DUPFD_CLOEXEC
        self._kernel.call("dupfd")
        return Os.place(self._kernel.current, self._kernel.current.fds[fd], lowest)


class Entry:
    def __init__(self, name, inode, kernel):
        self.name, self._inode, self._kernel = name, inode, kernel

    def stat(self, follow_symlinks=True):
        self._kernel.call("stat")
        if not self._inode.links:
            raise FileNotFoundError(errno.ENOENT, "no such file", self.name)
        return status_of(self._inode)


class Entries(list):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def status_of(inode):
    return SimpleNamespace(
        st_mode=stat.S_IFREG | 0o600,
        st_nlink=inode.links or 1,
        st_size=len(inode.data),
        st_blocks=len(inode.data) // 512 + 1 if any(inode.data) else 0,
        st_ctime=inode.mtime / 1e9,  # nothing here is renamed late
        st_mtime=inode.mtime / 1e9,
        st_mtime_ns=inode.mtime,
        st_dev=1,
        st_ino=inode.number,
        st_uid=0,
        st_gid=0,
    )


def folder_status(kernel, path):
    disk = kernel.disk
    changed = disk.changed_at(path, kernel.wall_ns)
    return SimpleNamespace(
        st_mode=stat.S_IFDIR | 0o700,
        st_nlink=2,
        st_size=0,
        st_blocks=1,
        st_ctime=changed / 1e9,
        st_mtime=changed / 1e9,
        st_mtime_ns=changed,
        st_dev=1,
        st_ino=-1 - sorted(disk.folders).index(path),
        st_uid=0,
        st_gid=0,
    )


class Paths:
    join, basename, dirname, split, abspath = (
        staticmethod(getattr(real_os.path, name)) for name in ("join", "basename", "dirname", "split", "normpath")
    )

    def __init__(self, kernel):
        self._kernel = kernel

    def isdir(self, path):
        return path == "/proc/self" or path in self._kernel.disk.folders

    def exists(self, path):
        return self.isdir(path) or path in self._kernel.disk.names


class Os:
    """What of `os` the journal and the agent use; another name is an error."""

    sep, pathsep = "/", ":"
    fsdecode, fsencode, fspath = (
        staticmethod(real_os.fsdecode),
        staticmethod(real_os.fsencode),
        staticmethod(real_os.fspath),
    )

    def __init__(self, kernel):
        self._kernel = kernel
        self.path = Paths(kernel)
        self.environ = {"FLIGHTLOG_NODE": "sim", "FLIGHTLOG_HOME": "/home", "FLIGHTLOG_SPOOL": "/spool"}

    def __getattr__(self, name):
        if name.startswith("O_"):
            return getattr(real_os, name)
        raise AttributeError(f"os.{name} is not simulated")

    @staticmethod
    def place(process, one, lowest=3):
        fd = lowest
        while fd in process.fds:
            fd += 1
        process.fds[fd] = one
        return fd

    def _open_of(self, fd):
        one = self._kernel.current.fds.get(fd)
        if one is None:
            raise OSError(errno.EBADF, "bad file descriptor")
        return one

    def open(self, path, flags, mode=0o777, *, dir_fd=None):
        self._kernel.call("open proc" if path.startswith("/proc/") else "open")
        kernel, disk = self._kernel, self._kernel.disk
        if dir_fd is not None:
            path = self._open_of(dir_fd).inode.path + "/" + path
        if path.startswith("/proc/"):
            return self.place(
                kernel.current, Open(SimpleNamespace(data=self._proc(path), locks=set(), path=path), flags)
            )
        if path in disk.folders:
            return self.place(kernel.current, Open(SimpleNamespace(path=path, locks=set(), data=b""), flags))
        inode = disk.names.get(path)
        if inode is None:
            if not flags & real_os.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            inode = disk.create(path, kernel.wall_ns)
        elif flags & real_os.O_EXCL:
            raise FileExistsError(errno.EEXIST, "exists", path)
        elif flags & real_os.O_TRUNC:
            inode.data, inode.dirty = bytearray(), set()
        return self.place(kernel.current, Open(inode, flags))

    def _proc(self, path):
        if path.endswith("boot_id"):
            return b"%032x" % self._kernel.boot
        who = path.split("/")[2]
        process = self._kernel.current if who == "self" else self._kernel.processes.get(int(who))
        if process is None or not process.alive:
            raise FileNotFoundError(errno.ENOENT, "no such process", path)
        return b"%d (python) R " % process.pid + b"0 " * 18 + b"%d 0" % process.start

    def close(self, fd):
        kernel = self._kernel
        if not kernel.current.alive:
            return
        kernel.call("close")
        one = self._open_of(fd)
        del kernel.current.fds[fd]
        one.inode.locks.discard(kernel.current.pid)  # closing any descriptor drops the process's lock

    def write(self, fd, data):
        kernel = self._kernel
        part = kernel.call("write")
        one = self._open_of(fd)
        if part is not None:
            kernel.disk.write(one.inode, bytes(data[: int(len(data) * part)]), kernel.wall_ns)
            kernel.kill(kernel.current)
            raise Killed
        return kernel.disk.write(one.inode, bytes(data), kernel.wall_ns)

    def ftruncate(self, fd, size):
        self._kernel.call("ftruncate")
        inode = self._open_of(fd).inode
        if self._kernel.disk.broken:
            raise OSError(errno.EIO, "dead disk")
        inode.resize(size)

    def read(self, fd, size):
        return bytes(self._open_of(fd).inode.data[:size])

    def pread(self, fd, size, offset):
        self._kernel.call("pread")
        inode = self._open_of(fd).inode
        if inode.unreadable:
            raise OSError(errno.EIO, "bad sector", inode.path)
        return bytes(inode.data[offset : offset + size])

    def fstat(self, fd):
        inode = self._open_of(fd).inode
        return status_of(inode) if hasattr(inode, "number") else folder_status(self._kernel, inode.path)

    def stat(self, path, *, dir_fd=None, follow_symlinks=True):
        if dir_fd is not None:
            self._kernel.call("stat")
            path = self._open_of(dir_fd).inode.path + "/" + path
        if path in self._kernel.disk.folders:
            return folder_status(self._kernel, path)
        if path not in self._kernel.disk.names:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return status_of(self._kernel.disk.names[path])

    def lstat(self, path):
        return self.stat(path)

    def unlink(self, path, *, dir_fd=None):
        self._kernel.call("unlink")
        if dir_fd is not None:
            path = self._open_of(dir_fd).inode.path + "/" + path
        self._kernel.disk.unlink(path, self._kernel.wall_ns)

    def replace(self, old, new):
        self._kernel.call("rename")
        self._kernel.disk.rename(old, new, self._kernel.wall_ns)

    def rename(self, old, new):
        if old not in self._kernel.disk.names:
            raise FileNotFoundError(errno.ENOENT, "no such file", old)
        self.replace(old, new)

    def fsync(self, fd):
        self._kernel.call("fsync")
        inode = self._open_of(fd).inode
        if self._kernel.disk.broken:
            raise OSError(errno.EIO, "dead disk")
        if hasattr(inode, "flush"):
            inode.flush()
        else:
            self._kernel.disk.flush_folder(inode.path)

    fdatasync = fsync

    def dup2(self, fd, to, inheritable=True):
        self._kernel.call("dup2")
        process = self._kernel.current
        one, old = self._open_of(fd), process.fds.get(to)
        if old is not None:
            old.inode.locks.discard(process.pid)
        process.fds[to] = one
        return to

    def scandir(self, folder):
        self._kernel.call("scandir")
        if not isinstance(folder, str):
            folder = self._open_of(folder).inode.path
        if folder not in self._kernel.disk.folders:
            raise FileNotFoundError(errno.ENOENT, "no such directory", folder)
        start = folder + "/"
        found = {}
        for _ in range(2):  # readdir(3): what is created meanwhile may be seen or not
            names = [path for path in sorted(self._kernel.disk.names) if path.startswith(start) and path not in found]
            self._kernel.choose.shuffle(names)
            found.update(
                (path, self._kernel.disk.names[path]) for path in names[: (len(names) + 1) // 2 if not found else None]
            )
            self._kernel.call("getdents")
        return Entries(Entry(path[len(start) :], inode, self._kernel) for path, inode in found.items())

    def listdir(self, folder):
        return [entry.name for entry in self.scandir(folder)]

    def mkdir(self, path, mode=0o777):
        self._kernel.call("mkdir")
        if path in self._kernel.disk.folders:
            raise FileExistsError(errno.EEXIST, "exists", path)
        self._kernel.disk.folders.add(path)

    def makedirs(self, path, mode=0o777, exist_ok=False):
        self._kernel.disk.folders.add(path)

    def chmod(self, path, mode):
        return None

    fchmod = chmod

    def getpid(self):
        return self._kernel.current.pid

    def geteuid(self):
        return 0

    def uname(self):
        return SimpleNamespace(nodename="sim")

    def urandom(self, size):
        return self._kernel.choose.randbytes(size)
