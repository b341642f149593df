"""The hooks that carry where we are into other processes: executors, multiprocessing, subprocess. For threads see `hook_threads`.

Each takes the scope where work is handed over and enters it where the work begins; where a scope is none, nothing is done. What is
hooked are methods that these libraries call on themselves, noticed when they are looked up (`noticed`), so that tracebacks stay what they were; a library
that has no such method is left alone. What a child process is told is one variable more, `FLIGHTLOG_SCOPE`; where the kill switch is on, not even that.
Not covered: os.fork needs nothing; os.exec*, os.spawn*, os.system: `flightlog.carry_environment`.
Owns: these hooks. Leaves the line of text to `carry`.
"""

from __future__ import annotations

import os

from ..config.control import DISABLED, STATE
from .carry import VARIABLE, from_text, here, to_text
from .context import ATTRIBUTE, current
from .noticed import notice
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, List

    from .context import Scope

MAX_HANDED = 10_000  # calls handed to process pools and not yet picked up


# -- executors of processes ------------------------------------------------------------------------------------------------


def install_process_executor(module: ModuleType) -> None:
    """Install into the module `concurrent.futures.process`: a call belongs to where it was submitted, in a worker process.

    A call goes through a thread of the executor's own; it is recognised there by its dictionary of arguments, which is handed on as it is.
    """
    work: Any = module._WorkItem
    call: Any = module._CallItem
    init_work, init_call = work.__init__, call.__init__
    if hasattr(call, "__setstate__"):
        return
    handed: dict[int, Scope] = {}

    def _init_work(self: Any, *arguments: Any, **named: Any) -> None:
        init_work(self, *arguments, **named)
        try:
            scope, key = current.get(), id(self.kwargs)
            handed.pop(key, None)  # of a call that was cancelled
            if scope is not None:
                if len(handed) >= MAX_HANDED:
                    handed.pop(next(iter(handed)), None)
                handed[key] = scope
        except Exception:
            recorder.errors += 1

    def _init_call(self: Any, *arguments: Any, **named: Any) -> None:
        init_call(self, *arguments, **named)
        try:
            scope = handed.pop(id(self.kwargs), None)
            if scope is not None:
                self.__dict__[ATTRIBUTE] = to_text(scope)
        except Exception:
            recorder.errors += 1

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        text = state.pop(ATTRIBUTE, "")
        self.__dict__.update(state)
        _enter_text(text)

    work.__init__, call.__init__, call.__setstate__ = _init_work, _init_call, __setstate__


def _enter_text(text: Any) -> None:
    """Be where a line of text says; in the process and thread that does the work."""
    try:
        current.set(from_text(text) if isinstance(text, str) and text else None)
    except Exception:
        recorder.errors += 1


# -- processes ------------------------------------------------------------------------------------------------------------


def install_process(module: ModuleType) -> None:
    """Install into the module `multiprocessing.process`: a child belongs to where it was started, whatever the start method."""
    notice(module.BaseProcess, "_check_closed", _hand_over)


def _hand_over(process: Any) -> None:
    """Called at the beginning of `start`, and elsewhere when it runs already: the line is pickled with the object."""
    if process.__dict__.get("_popen") is None:
        scope = here()
        text = to_text(scope) if scope is not None and _is_more(scope, os.environ.get("FLIGHTLOG_RUN", "")) else ""
        if text:
            process.__dict__[ATTRIBUTE] = text


def enter_process(process: Any) -> None:
    """Be, in a new child, where it was started. Never raises."""
    text = getattr(process, ATTRIBUTE, "")
    if text and current.get() is None:
        _enter_text(text)


# -- subprocess -----------------------------------------------------------------------------------------------------------


class _Module:
    """Stands for `_posixsubprocess` in the module `subprocess` only: multiprocessing uses it as well."""

    def __init__(self, module: Any, fork_exec: Any) -> None:
        self._module, self.fork_exec = module, fork_exec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def install_subprocess(module: Any) -> None:
    """Install into the module `subprocess`: a child is told where it was started.

    What is replaced is the function of C that forks: it raises nothing that a program sees in ordinary life. The way by posix_spawn(3), which
    Python takes instead where it can, is switched off as its documentation says (`subprocess._USE_POSIX_SPAWN` is false) while there is something to tell: the
    other one uses vfork(2) as well and is as fast, and raises the same. Before Python 3.10 it copies the tables of a large process's memory, and may be refused
    the room for that: there posix_spawn(3), which Python takes with `close_fds=False` only, stays, and its child is told nothing.
    """
    if hasattr(module, "_fork_exec"):
        module._fork_exec = _telling(module._fork_exec)
    elif hasattr(module, "_posixsubprocess"):
        low = module._posixsubprocess
        module._posixsubprocess = _Module(low, _telling(low.fork_exec))
    else:
        return
    if getattr(module, "_USE_POSIX_SPAWN", False) and getattr(module, "_USE_VFORK", False):
        module._USE_POSIX_SPAWN = _NothingToTell()


class _NothingToTell:
    """True while a child need not be told where it was started."""

    def __bool__(self) -> bool:
        try:
            scope = here()
            return scope is None or not _is_more(scope, os.environ.get("FLIGHTLOG_RUN", ""))
        except Exception:
            recorder.errors += 1
            return True


def _telling(fork_exec: Any) -> Any:
    at = 5  # which argument is the environment, a list of b"NAME=value" or None, in Python 3.8 to 3.14

    def told(*arguments: Any) -> Any:
        try:
            given = arguments[at]
            text = _what_to_tell(given)
            last = next((n for n in range(at + 1, len(arguments)) if callable(arguments[n])), 0)
            if text and last and given is None:  # `preexec_fn` may change the environment in the child
                arguments = (*arguments[:last], _Before(text, arguments[last]), *arguments[last + 1 :])
            elif text:
                arguments = (*arguments[:at], _with_text(given, text), *arguments[at + 1 :])
        except Exception:
            recorder.errors += 1
        return fork_exec(*arguments)

    return told


class _Before:
    """A `preexec_fn` that says in the child where it was started, then is the program's own."""

    def __init__(self, text: str, function: Any) -> None:
        self._text, self._function = text, function

    def __call__(self) -> Any:
        os.putenv(VARIABLE, self._text)
        return self._function()


def _what_to_tell(given: List[bytes] | None) -> str:
    """Return where we are, for a child that gets *given* as its environment (None: ours); empty where that is to stay what it is."""
    if recorder.page[STATE] & DISABLED:
        return ""
    scope = here()
    supervised = os.environ.get("FLIGHTLOG_RUN", "")
    if scope is None or not _is_more(scope, supervised):
        return ""
    return to_text(scope) if given is None or _is_made_of_ours(given, supervised) else ""


def _with_text(given: List[bytes] | None, text: str) -> List[bytes]:
    """Return the environment with where we are."""
    name = VARIABLE.encode() + b"="
    kept = [one for one in (_environment() if given is None else given) if not one.startswith(name)]
    return [*kept, name + os.fsencode(text)]


def _is_more(scope: Scope, supervised: str) -> bool:
    """Tell whether a child that knows the supervised run only would know too little."""
    return scope.run != supervised or bool(scope.stage) or VARIABLE in os.environ


def _is_made_of_ours(given: List[bytes], supervised: str) -> bool:
    """Tell whether a program that gives its child an environment of its own meant it to know what we know: a bare one stays bare."""
    names = {one.partition(b"=")[0] for one in given}
    return b"FLIGHTLOG_RUN" in names if supervised else {b"PATH", b"HOME"} <= names


def _environment() -> List[bytes]:
    """Return the environment as exec(3) would hand it on, with what was put there behind Python's back."""
    try:
        import ctypes

        pointer = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
        found: List[bytes] = []
        while pointer[len(found)] is not None:
            found.append(pointer[len(found)])
        return found
    except Exception:
        return [name + b"=" + value for name, value in os.environb.items()]
