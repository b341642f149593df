"""A disk with two truths: what processes see, and what a power cut would leave.

A file's pages are volatile until it is flushed, names until their directory is; a power cut keeps any part of what was not, in any order, torn
within a page, and the size apart from the content. A bit may flip. Owns files; knows no process.
"""

import errno
import re

PAGE = 128  # small, so that frames of some hundred bytes cross pages
TICK_NS = 4_000_000
ID = re.compile(rb"#(\d+)#")  # in every record that the simulation writes


class Inode:
    """One file. `placed`: where the records in it were written: id -> (offset, bytes). `wounds`: offsets at which a bit flipped."""

    def __init__(self, number, path, now):
        self.number, self.path, self.mtime = number, path, now
        self.data = bytearray()
        self.durable = b""
        self.dirty = set()
        self.links = 1
        self.locks = set()  # pids that hold the POSIX lock
        self.placed = {}
        self.wounds = []
        self.unreadable = False

    def append(self, data, now):
        begin = len(self.data)
        self.data += data
        self.dirty.update(range(begin // PAGE, (len(self.data) - 1) // PAGE + 1))
        self.mtime = now
        return begin

    def resize(self, size):
        """Be as long as that; what is new is a hole."""
        del self.data[size:]
        begin = len(self.data)
        self.data += bytes(size - begin)
        self.dirty.update(range(begin // PAGE, (size - 1) // PAGE + 1))

    def flush(self):
        self.durable = bytes(self.data)
        self.dirty.clear()

    def flip(self, bit):
        """Flip one bit, on the disk and in the cache."""
        offset = bit // 8
        self.data[offset] ^= 1 << bit % 8
        if offset < len(self.durable):
            durable = bytearray(self.durable)
            durable[offset] ^= 1 << bit % 8
            self.durable = bytes(durable)
        self.wounds.append(offset)

    def settle(self, choose):
        """Be what a power cut leaves."""
        seen, kept = bytes(self.data), self.durable
        size = choose.choice(
            [len(kept), len(seen), choose.randint(min(len(kept), len(seen)), max(len(kept), len(seen)))]
        )
        out = bytearray(size)
        for page in range((size + PAGE - 1) // PAGE):
            begin, end = page * PAGE, min(size, page * PAGE + PAGE)
            new, old = seen[begin:end], kept[begin:end]
            if page in self.dirty:
                which = choose.randrange(3)
                cut = {0: 0, 1: PAGE, 2: choose.randrange(0, PAGE, 16)}[which]
                piece = new[:cut] + old[cut:]
            else:
                piece = old
            out[begin : begin + len(piece)] = piece
        self.data = out[:size]
        self.flush()


class Disk:
    """Names and files. `capacity`: bytes that fit; None: all."""

    def __init__(self):
        self.names = {}
        self.durable_names = {}
        self.folders = {"/", "/home", "/spool"}
        self.changed = {}  # when names came to a folder or went, as coarse as the kernel's tick
        self.late_ns = 0  # a network's file system tells that so late
        self.told = {}  # folder -> when it was told of last, and what
        self.capacity = None
        self.broken = False  # writes fail with EIO
        self.everything = []  # every file there ever was

    def create(self, path, now):
        folder = path.rpartition("/")[0]
        if folder not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        if self.broken:
            raise OSError(errno.EIO, "dead disk", path)
        if self.capacity is not None and self.used() >= self.capacity:
            raise OSError(errno.ENOSPC, "disk full", path)
        inode = Inode(len(self.everything) + 1, path, now)
        self.everything.append(inode)
        self.names[path] = inode
        self.touch(path, now)
        return inode

    def changed_at(self, folder, now):
        """Return when *folder* has changed, as far as it is told."""
        at, changed = self.told.get(folder, (-self.late_ns, 0))
        if now - at >= self.late_ns:
            changed = self.changed.get(folder, 0)
            self.told[folder] = now, changed
        return changed

    def touch(self, path, now):
        self.changed[path.rpartition("/")[0]] = now - now % TICK_NS

    def unlink(self, path, now):
        inode = self.names.pop(path, None)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        inode.links = 0
        self.touch(path, now)

    def rename(self, old, new, now):
        inode = self.names.pop(old, None)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", old)
        replaced = self.names.get(new)
        if replaced is not None:
            replaced.links = 0
        self.names[new], inode.path = inode, new
        self.touch(old, now)
        self.touch(new, now)

    def write(self, inode, data, now):
        """Append; return how many bytes were taken: less when the disk is full. Raises OSError."""
        if self.broken:
            raise OSError(errno.EIO, "dead disk")
        room = len(data) if self.capacity is None else max(0, self.capacity - self.used())
        if room == 0 and data:
            raise OSError(errno.ENOSPC, "disk full")
        taken = data[:room]
        begin = inode.append(taken, now)
        if len(taken) == len(data) and inode.path.endswith((".seg", ".cap")):
            found = ID.search(data)
            if found:
                inode.placed[int(found.group(1))] = (begin, bytes(data))
        return len(taken)

    def used(self):
        return sum(len(inode.data) for path, inode in self.names.items() if not path.endswith(".lock"))  # a hole

    def flush_folder(self, folder):
        for path in [*self.durable_names]:
            if path.rpartition("/")[0] == folder and path not in self.names:
                del self.durable_names[path]
        for path, inode in self.names.items():
            if path.rpartition("/")[0] == folder:
                self.durable_names[path] = inode

    def flush_all(self):
        for inode in self.names.values():
            inode.flush()
        self.durable_names = dict(self.names)

    def crash(self, choose):
        """Lose power: names and contents become what was durable, or anything in between."""
        names = {}
        for path in sorted({*self.names, *self.durable_names}):
            inode = choose.choice([self.names.get(path), self.durable_names.get(path)])
            if inode is not None:
                names[path] = inode
        for inode in {inode.number: inode for inode in names.values()}.values():
            inode.settle(choose)
            inode.links = 1
            inode.locks.clear()
        self.names = names
        self.durable_names = dict(names)

    def segments(self, suffixes=(".seg",)):
        """The segments there are, by path."""
        return {path: inode for path, inode in sorted(self.names.items()) if path.endswith(suffixes)}
