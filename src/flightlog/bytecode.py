"""Compiled modules that are cut, by a limit on file sizes or a full disk, and would break every later start.

Python writes the part of a .pyc that fits and keeps it; whoever imports the module then gets EOFError, until the file is removed.
Owns: a loader for our own modules, which writes a compiled file whole or not at all and goes by the source where one is damaged; not
letting our processes write those of others where they could be cut; importing from source. Leaves the two modules that are loaded before
it can be (this one and the package's) to `look_after`, which removes what was cut, and to who starts us, should they have been cut before.
Standard library only, Python 3.8; imported before anything else of ours, and therefore imports next to nothing, no __future__ even, which
may be what is cut. Never raises.
"""

import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
    from importlib.util import cache_from_source
    from types import CodeType
    from typing import Any
else:  # what the interpreter has anyway; importlib.machinery and os would cost `import flightlog` more than all the rest of it
    _importing = sys.modules.get("_frozen_importlib_external")
    if _importing is None:
        import importlib._bootstrap_external as _importing
    FileFinder, SourceFileLoader = _importing.FileFinder, _importing.SourceFileLoader
    cache_from_source = _importing.cache_from_source

ROOM_BYTES = 16 << 20  # on the disks that bytecode is written to
_LIMIT = b"Max file size"
NOWHERE = "/dev/null/none"  # as sys.pycache_prefix: nothing compiled is read or written


class Loader(SourceFileLoader):
    """Loads a module of ours whatever lies compiled beside it."""

    def get_code(self, fullname: str) -> "CodeType | None":
        """Return the module's code: the compiled one, or, when that is damaged, of the source, compiled anew."""
        try:
            return super().get_code(fullname)
        except Exception:
            path = self.get_filename(fullname)
            if _remove(cache_from_source(path)):
                return super().get_code(fullname)
            code: CodeType = self.source_to_code(self.get_data(path), path)
            return code

    def set_data(self, path: str, data: "Any", *, _mode: int = 0o666) -> None:
        """Write bytecode whole or not at all."""
        try:
            import posix

            temporary = "%s.%d" % (path, posix.getpid())
            super().set_data(temporary, data, _mode=_mode)
            if posix.stat(temporary).st_size == len(data):
                posix.rename(temporary, path)
            else:
                posix.unlink(temporary)
        except (ImportError, OSError):
            pass


class Finder(FileFinder):
    """Finds our modules in one of our folders; `sys.path_importer_cache` asks it, so nobody else's imports come by here."""

    def find_spec(self, fullname: str, target: "Any" = None) -> "ModuleSpec | None":
        """Find a module; the folder of a package is then looked through in the same way."""
        spec = super().find_spec(fullname, target)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            _take(folder)
        return spec


def _take(folder: str) -> None:
    sys.path_importer_cache[folder] = Finder(folder, (Loader, [".py"]))


def look_after(package: "ModuleSpec | None") -> None:
    """Load the modules of *package*, ours, by `Loader` from now on, and remove what may just have been cut of those loaded so far."""
    try:
        if package is None or type(package.loader) is not SourceFileLoader:
            return  # of a zip, without sources: nothing is written there
        for folder in package.submodule_search_locations or ():
            _take(folder)
        for source in (str(package.origin), __file__):
            compiled = cache_from_source(source)
            _mend(compiled)
            if sys.pycache_prefix is not None:  # set because what lies at the usual place could not be loaded?
                _mend("%s/__pycache__/%s" % (source.rpartition("/")[0], compiled.rpartition("/")[2]))
    except Exception:  # an interpreter that imports in another way
        pass


def _mend(path: str) -> None:
    """Remove a compiled file that nobody could load."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return
    try:
        whole = hasattr(marshal.loads(data[16:]), "co_code")  # noqa: S302  what Python itself is about to load
    except Exception:
        whole = False
    if not whole:
        _remove(path)


def _remove(path: str) -> bool:
    try:
        import posix

        posix.unlink(path)
    except (ImportError, OSError):
        return False
    return True


def guard() -> bool:
    """Keep this process from writing bytecode, anybody's, if it could be cut; return whether it could."""
    if sys.dont_write_bytecode:
        return False
    try:
        if not _could_be_cut():
            return False
        sys.dont_write_bytecode = True
        return True
    except Exception:
        return False


def _could_be_cut() -> bool:
    import os

    with open("/proc/self/limits", "rb") as file:
        for line in file:
            soft = line[len(_LIMIT) :].split()[:1] if line.startswith(_LIMIT) else [b"unlimited"]
            if soft != [b"unlimited"] and int(soft[0]) < ROOM_BYTES:
                return True
    for place in (__file__, sys.base_prefix):
        disk = os.statvfs(place)
        if disk.f_bavail * disk.f_frsize < ROOM_BYTES or (disk.f_files > 0 and disk.f_favail < 16):
            return True
    return False


class careful:
    """`with bytecode.careful(): import ...` in a process that is not ours: the guard for as long as our modules are imported."""

    def __enter__(self) -> None:
        self.before = sys.dont_write_bytecode
        guard()

    def __exit__(self, *_: object) -> None:
        sys.dont_write_bytecode = self.before


class from_source:
    """`with bytecode.from_source(): import ...`, when that failed before: whatever compiled lies beside any module is not looked at."""

    def __enter__(self) -> None:
        self.before = sys.dont_write_bytecode, sys.pycache_prefix
        sys.dont_write_bytecode, sys.pycache_prefix = True, NOWHERE

    def __exit__(self, *_: object) -> None:
        sys.dont_write_bytecode, sys.pycache_prefix = self.before
