"""A logging call is interrupted: by signal handlers that log or raise, by the garbage collector, by exceptions that other threads set."""

import pytest
from campaign import LONG, SEED, rounds

STORM = """
import ctypes, faulthandler, gc, itertools, linecache, logging, os, random, signal, sys, threading, time, tokenize, traceback
# Nothing is imported later: an exception that is set from outside in the midst of an import leaves CPython's import lock taken.
import flightlog, worker
faulthandler.dump_traceback_later(60, exit=True)  # a deadlock ends it with status 1
flightlog.init(pipeline="storm")
native, std = flightlog.get_logger("native"), logging.getLogger("std")
std.setLevel(20)
from flightlog.sdk.recorder import recorder
recorder._start()
recorder.writer.rotate_bytes = 40000
sys.setswitchinterval(1e-5)
choose = random.Random(int(worker.argument(1)))
seconds, count = float(worker.argument(2)), int(worker.argument(3))
class Boom(Exception): pass
class Bang(BaseException): pass
numbers = itertools.count()
dels = itertools.count()
tops = {}

def is_in_storm(frame):
    while frame is not None and frame.f_code.co_name != "storm":
        frame = frame.f_back
    return frame is not None

def ring_again():
    signal.setitimer(signal.ITIMER_REAL, 0.0007)

def on_alarm(number, frame):
    # Handlers are interrupted by handlers, three deep: on a machine on which one takes longer than the timer does, there would be no end to it.
    global depth
    depth += 1
    try:
        if depth < 3:
            ring_again()
        n = next(numbers)
        worker.log(native.info if n % 2 else std.info, "alarm", n)
        if n % 7 == 3 and is_in_storm(frame):  # elsewhere nothing waits for it: on a busy machine it rings between two lines of ours
            raise (Boom if n % 2 else Bang)
    finally:
        depth -= 1
        ring_again()

class Garbage:
    def __init__(self):
        self.ring = self
    def __del__(self):
        worker.log(native.warning, "del", next(dels))

def work(name):
    counter = itertools.count()
    while not stop:
        try:
            while not stop:
                n = next(counter)
                worker.log(std.info if n % 3 == 0 else native.info, name, n, [0, 50, 7000][n % 3 if n % 50 == 0 else 0])
        except (Boom, Bang):
            pass

stop = False
names = ["t%d" % i for i in range(4)]
threads = [threading.Thread(target=work, args=(name,)) for name in names]
for thread in threads:
    thread.start()
gc.set_threshold(7)
depth = 0
signal.signal(signal.SIGALRM, on_alarm)
until, counter = time.monotonic() + seconds, itertools.count()
def storm():
    global depth
    while time.monotonic() < until:
        n = next(counter)
        if n % 16 == 0 and not signal.getitimer(signal.ITIMER_REAL)[0]:  # at first, and when an exception has hit the end of a handler
            depth = 0
            ring_again()
        worker.log(native.info, "main", n)
        Garbage()
        if n % 5 == 0:
            victim = choose.choice(threads)
            if victim.ident:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(victim.ident), ctypes.py_object(choose.choice([Boom, Bang])))
    return True
def calm():
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return True
for step in (storm, calm):
    done = False
    while not done:
        try:
            while not done:
                try:
                    done = step()
                except (Boom, Bang):
                    pass
        except (Boom, Bang):
            pass
stop = True
for thread in threads:
    thread.join()
gc.set_threshold(0)
os._exit(4)  # nothing of what is said may need an orderly end
"""

HANDLERS = """
import faulthandler, gc, itertools, logging, signal, sys, time
import flightlog, worker
faulthandler.dump_traceback_later(60, exit=True)
flightlog.init(pipeline="handlers")
native, std = flightlog.get_logger("native"), logging.getLogger("std")
std.setLevel(20)
class Boom(Exception): pass
raised = caught = 0
def on_alarm(*_):
    global raised
    raised += 1
    raise Boom
signal.signal(signal.SIGALRM, on_alarm)
counter = itertools.count()
until = time.monotonic() + float(worker.argument(1))
native.info("begun"), std.info("begun")
gc.collect()  # PyPy swallows what a handler raises within the callback of a weak reference, and what has been imported has left some
while time.monotonic() < until:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002)
        while True:
            n = next(counter)
            worker.log(std.info if n % 2 else native.info, "main", n, 0, a=n, b=[n, "x"]) if not n % 2 else worker.log(std.info, "main", n)
    except Boom:
        caught += 1
sys.stderr.write("raised %d caught %d\\n" % (raised, caught))
sys.exit(5 if raised == caught else 6)
"""
INTERPRETERS = ["this", "python3.8", "python3.13", "pypy3"]


@pytest.mark.parametrize("name", INTERPRETERS)
def test_33_reentrancy_and_async_exceptions(scene, machine, name):
    """A timer's handler that logs and raises, objects that log when they are collected, exceptions set from outside: no deadlock, nothing twice."""
    python = machine.interpreter(name)
    if not LONG and name != "this":
        pytest.skip("only in make faults")
    if name == "pypy3":
        pytest.skip("not run: PyPy has no PyThreadState_SetAsyncExc by ctypes.pythonapi")
    for round_ in range(rounds(1, whole=4)):
        program = (
            STORM.replace('"alarm"', f'"alarm{round_}"')
            .replace('"del"', f'"del{round_}"')
            .replace('"main"', f'"main{round_}"')
            .replace('"t%d"', f'"t%d.{round_}"')
        )
        assert scene.run(program, SEED + round_, 4.0 if LONG else 1.0, 4, python=python) == 4, scene.words()
        scene.tally.add(rounds=1)
    # A call that is interrupted after the record was written is stored and was not seen to return; handlers nest, so their numbers may cross.
    # What is broken off within our own code is counted as dropped, as are our own records of what `__del__` raises: nobody saw these return, and all
    # that was seen is stored.
    names = ["main0", "alarm0", "del0", "t0.0"]
    found = scene.check(beyond=None, in_order=False, names=names, may_lose=True, spare=100 * scene.tally.rounds)
    stored = {row[1:3] for row in scene.rows()}
    assert set(scene.witnessed()) <= stored and found.total("corrupt") == found.total("dead") == 0


@pytest.mark.parametrize("name", INTERPRETERS)
def test_what_a_signal_handler_raises_within_a_logging_call_is_not_swallowed(scene, machine, name):
    """Timeouts are made that way: each exception that the handler raised reaches the program, and no record is written twice because of it."""
    python = machine.interpreter(name)
    if not LONG and name != "this":
        pytest.skip("only in make faults")
    assert scene.run(HANDLERS, 1.0, python=python) == 5, scene.words()
    scene.check(beyond=None)


def test_an_exception_from_outside_that_looks_like_ours_doubles_nothing(scene):
    """A ValueError set by another thread cannot be told from a mistake of ours: it is swallowed, what it may have cost is declared, and no record is written twice."""
    program = STORM.replace("class Boom(Exception)", "class Boom(ValueError)")
    assert program != STORM
    assert scene.run(program, SEED, 1.0, 4) == 4, scene.words()
    scene.check(beyond=None, in_order=False, may_lose=True, spare=1 << 20)
