"""Functions with a stage or a run around each call: plain ones, generators, coroutine functions, asynchronous generators.

Invariants: signature, result and exception are the function's own; inspect says of the new function what it says of the old one. A generator's stage
begins when it is first asked, and ends when the generator does; the scope holds while it runs and not while it is suspended, so that whoever asks it is
where they were. Owns: wrapping. Leaves beginning and end to the stage or run itself. Calls nothing of ours that raises.
"""

from __future__ import annotations

import functools
import sys
import types

from .context import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .context import Scope

_GENERATOR, _COROUTINE, _AWAITED_GENERATOR, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


def decorate(function: Any, make: Callable[[], Any]) -> Any:
    """Return *function* with what *make* makes around each call; what cannot be called, or is a class, as it is."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorate(function.__func__, make))
    if isinstance(function, type) or not callable(function):
        return function
    flags = _flags(function)
    if flags & _ASYNC_GENERATOR:
        return _async_generator(function, make)
    if flags & _COROUTINE:
        return _coroutine(function, make)
    if flags & _AWAITED_GENERATOR:
        return types.coroutine(_generator(function, make))
    return _generator(function, make) if flags & _GENERATOR else _plain(function, make)


def _flags(function: Any) -> int:
    """Return the flags of the code that a call of *function* begins with."""
    while isinstance(function, (functools.partial, types.MethodType)):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    code = getattr(function, "__code__", None)
    if code is None:  # an object that can be called
        call = next((kind.__dict__["__call__"] for kind in type(function).__mro__ if "__call__" in kind.__dict__), None)
        code = getattr(call, "__code__", None)
    return getattr(code, "co_flags", 0)


def _plain(function: Any, make: Callable[[], Any]) -> Any:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        with make():
            return function(*arguments, **named)

    return wrapper


def _coroutine(function: Any, make: Callable[[], Any]) -> Any:
    @functools.wraps(function)
    async def wrapper(*arguments: Any, **named: Any) -> Any:
        with make():
            return await function(*arguments, **named)

    return wrapper


class _Walk:
    """Goes through a generator step by step, each in the scope in which the one before ended."""

    __slots__ = ("_begun", "_inside", "_outside", "_over", "_span")

    def __init__(self, span: Any) -> None:
        self._span, self._begun, self._over = span, False, False
        self._inside: Scope | None = None
        self._outside: Scope | None = None

    def enter(self) -> None:
        """Go to where the generator is."""
        self._outside = current.get()
        if self._begun:
            current.set(self._inside)
        else:
            self._begun = True
            self._span.__enter__()

    def leave(self) -> None:
        """Go back to where whoever asked is."""
        self._inside = current.get()
        current.set(self._outside)

    def end(self, problem: BaseException | None) -> None:
        """State the end, once; a generator that has nothing more has ended well."""
        if not self._over and self._begun:
            self._over = True
            if problem is None or isinstance(problem, (StopIteration, StopAsyncIteration)):
                self._span.__exit__(None, None, None)
            else:
                self._span.__exit__(type(problem), problem, problem.__traceback__)


def _generator(function: Any, make: Callable[[], Any]) -> Any:
    def step(walk: _Walk, move: Callable[[Any], Any], value: Any) -> Any:
        walk.enter()
        try:
            return move(value)
        except BaseException:
            walk.end(sys.exc_info()[1])
            raise
        finally:
            walk.leave()

    def close(walk: _Walk, inner: Any) -> Any:
        walk.enter()
        try:
            result = inner.close()
            walk.end(None)
            return result
        except BaseException:
            walk.end(sys.exc_info()[1])
            raise
        finally:
            walk.leave()

    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        walk, inner = _Walk(make()), function(*arguments, **named)
        move, value = inner.send, None
        while True:
            try:
                item = step(walk, move, value)
            except StopIteration as stop:
                return stop.value
            try:
                value, move = (yield item), inner.send
            except GeneratorExit:
                result = close(walk, inner)
                if result is not None:  # from Python 3.13 on `close` returns it
                    return result
                raise
            except BaseException as problem:
                value, move = problem, inner.throw

    return wrapper


def _async_generator(function: Any, make: Callable[[], Any]) -> Any:
    async def step(walk: _Walk, move: Callable[[Any], Any], value: Any) -> Any:
        walk.enter()
        try:
            return await move(value)
        except BaseException:
            walk.end(sys.exc_info()[1])
            raise
        finally:
            walk.leave()

    async def close(walk: _Walk, inner: Any) -> None:
        walk.enter()
        try:
            await inner.aclose()
            walk.end(None)
        except BaseException:
            walk.end(sys.exc_info()[1])
            raise
        finally:
            walk.leave()

    @functools.wraps(function)
    async def wrapper(*arguments: Any, **named: Any) -> Any:
        walk, inner = _Walk(make()), function(*arguments, **named)
        move, value = inner.asend, None
        while True:
            try:
                item = await step(walk, move, value)
            except StopAsyncIteration:
                return
            try:
                value, move = (yield item), inner.asend
            except GeneratorExit:
                await close(walk, inner)
                raise
            except BaseException as problem:
                value, move = problem, inner.athrow

    return wrapper
