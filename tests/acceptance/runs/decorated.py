"""Decorated functions of every kind: they are what they were, and what they log is in their stage. Runs on Python 3.8 and later."""

import asyncio
import functools
import inspect
import sys
import types

import flightlog

log = flightlog.get_logger("decorated")


@flightlog.stage
def plain(a, b: int = 2, *rest, c=3, **more) -> int:
    """Its own words."""
    log.info("plain")
    return a + b


@flightlog.stage("named", total=3)
def renamed():
    log.info("named")


class Job:
    @flightlog.stage
    def method(self, n):
        log.info("method")
        return self, n

    @flightlog.stage
    @staticmethod
    def static(n):
        log.info("static")
        return n

    @classmethod
    @flightlog.stage
    def of(cls):
        log.info("of")
        return cls

    def __call__(self):
        log.info("callable")
        return 5


@flightlog.stage
def generator(n):
    try:
        for i in range(n):
            with flightlog.stage("inner"):
                log.info("inner")
                got = yield i
                log.info("got", got=got)
    except KeyError:
        log.info("thrown in")
        yield "caught"
    return "returned"


@flightlog.stage
async def coroutine(n):
    log.info("coroutine")
    await asyncio.sleep(0)
    return n


@flightlog.stage
async def stream(n):
    for i in range(n):
        log.info("stream")
        yield i


@flightlog.stage
@types.coroutine
def awaited():
    log.info("awaited")
    yield from asyncio.sleep(0).__await__()
    return 9


@flightlog.stage
def fails():
    try:
        raise KeyError("first")
    except KeyError as problem:
        raise ValueError("second") from problem


@flightlog.stage
def depth(n):
    return depth(n - 1) if n else log.info("depth")


class Left(BaseException):
    pass


def functions():
    assert plain(1) == 3 and plain.__name__ == "plain" and plain.__doc__ == "Its own words."
    assert str(inspect.signature(plain)) == "(a, b: int = 2, *rest, c=3, **more) -> int"
    renamed()
    job = Job()
    assert job.method(4) == (job, 4) and Job.static(6) == job.static(6) == 6 and Job.of() is Job
    assert flightlog.stage("partial")(functools.partial(job.method, 8))() == (job, 8)
    assert flightlog.stage("object")(Job())() == 5
    assert flightlog.stage(int) is int
    depth(2)
    try:
        fails()
    except ValueError as problem:
        assert isinstance(problem.__cause__, KeyError) and problem.__context__ is problem.__cause__
        names = []
        trace = problem.__traceback__
        while trace is not None:
            names.append(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        assert names[0] == "functions" and names[-1] == "fails"
    else:
        raise AssertionError
    with flightlog.run("first", day=1) as first:
        pass
    with first.retry() as second:
        assert (second.attempt, second.origin, second.params) == (2, first.id, {"day": 1})
    with second.retry() as third:
        assert (third.attempt, third.origin) == (3, first.id)


def generators():
    assert inspect.isgeneratorfunction(generator)
    walked = generator(2)
    assert next(walked) == 0
    log.info("between")
    assert walked.send("x") == 1
    log.info("between")
    try:
        next(walked)
    except StopIteration as stop:
        assert stop.value == "returned"
    else:
        raise AssertionError
    walked = generator(5)
    next(walked)
    assert walked.throw(KeyError("x")) == "caught"
    walked.close()
    left = generator(3)
    for _ in left:
        break
    left.close()
    unbegun = generator(1)
    unbegun.close()

    @flightlog.stage
    def leaves():
        yield 1
        raise Left

    try:
        list(leaves())
    except Left:
        pass
    else:
        raise AssertionError


async def tasks():
    assert inspect.iscoroutinefunction(coroutine) and inspect.isasyncgenfunction(stream)
    assert await asyncio.gather(coroutine(1), coroutine(2)) == [1, 2]
    assert await awaited() == 9
    async for _ in stream(2):
        log.info("between")
    left = stream(5)
    async for _ in left:
        break
    await left.aclose()

    @flightlog.stage
    async def cancelled():
        await asyncio.Event().wait()

    task = asyncio.ensure_future(cancelled())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    async with flightlog.run("awaited-run"), flightlog.stage("awaited-stage"):
        log.info("async with")


@flightlog.run("whole", kind="test")
def main():
    functions()
    generators()
    asyncio.run(tasks())
    return "well"


if __name__ == "__main__":
    if main() != "well" or flightlog.stage.__name__ != "stage":
        sys.exit(1)
    print("well")
