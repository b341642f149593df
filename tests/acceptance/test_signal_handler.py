"""EnhancedSignalHandler in real processes with real signals: what the first, second and third do, in every interpreter found."""

import json
import os
import signal
import subprocess
import sys

import interpreters
import pytest
import running

import flightlog
from flightlog.journal import evidence
from waiting import wait_until

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))
HEAD = (
    """
import atexit, os, signal, sys, threading, time
sys.path.insert(0, %r)
atexit.register(print, "registered before")
import flightlog
def say(text):
    print(text)
    sys.stdout.flush()
def forever():
    while True:
        time.sleep(0.5)  # a signal that comes just before it is noticed after it, in any Python program
"""
    % SOURCE
)


class Program:
    """A program under test. It says lines on standard output; its evidence file is there."""

    def __init__(self, home, code, python=sys.executable, options=(), before=None):
        self.home = str(home)
        os.makedirs(running.spool(home), exist_ok=True)
        self.evidence = os.path.join(running.spool(home), "01ARZ3NDEKTSV4RRFFQ69G5FAV.evidence")
        os.close(evidence.create(running.spool(home), "01ARZ3NDEKTSV4RRFFQ69G5FAV"))
        script = os.path.join(self.home, "program.py")
        with open(script, "w") as file:
            file.write(HEAD + code)
        env = running.environment(home, FLIGHTLOG_EVIDENCE=self.evidence)
        self.process = subprocess.Popen(
            [python, *options, script],
            env=env,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )

    def expect(self, line):
        said = self.process.stdout.readline()
        assert said == line + "\n", (said, self.process.poll(), said != line and self.process.communicate(timeout=60))

    def send(self, *numbers):
        for number in numbers:
            self.process.send_signal(number)

    def end(self):
        """Return (status, lines that were not read yet, standard error)."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines(), err

    def noted(self):
        fd = os.open(self.evidence, os.O_RDONLY)
        try:
            return evidence.read(fd)
        finally:
            os.close(fd)

    def logged(self):
        return [
            (r["m"], r.get("x", {}))
            for r in running.records(self.home)
            if r["k"] == "log" and r["lg"] == "flightlog.signals"
        ]


def state_of(thread):
    """Return the state of a main thread, a letter."""
    with open(f"/proc/{thread}/task/{thread}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def rests(thread):
    """Whether a main thread sleeps and has done so for a while: on its way there it sleeps as well, for the interpreter lock."""
    before = switches(thread)
    return all(state_of(thread) == "S" and switches(thread) == before for _ in range(2000))


def switches(thread):
    with open(f"/proc/{thread}/task/{thread}/status") as file:
        return [line for line in file if "ctxt_switches" in line]


@pytest.fixture
def program(tmp_path):
    made = []

    def make(code, **how):
        made.append(Program(tmp_path, code, **how))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


ORDER = """
handler = flightlog.EnhancedSignalHandler()
@handler.add_cleanup
def first():
    assert threading.current_thread() is threading.main_thread()
    frame, names = sys._getframe(), []
    while frame:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    print("first", "_handle" in names)
handler.add_cleanup(lambda: print("second"))
handler.add_cleanup(lambda: print("urgent"), priority=1)
atexit.register(print, "registered after")
with handler:
    try:
        say("ready")
        forever()
    finally:
        print("finally")
"""


@pytest.mark.parametrize("version", interpreters.VERSIONS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_cleans_up_in_order_and_ends_by_that_signal(program, version, number):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    one = program(ORDER, python=python)
    one.expect("ready")
    one.send(number)
    status, lines, err = one.end()
    assert lines == ["finally", "urgent", "second", "first False", "registered after", "registered before"]
    assert (status, err) == (-number, "")
    (note,) = one.noted()["notes"]
    name = signal.Signals(number).name
    assert (note["kind"], note["signal"], note["count"], note["sender_pid"]) == ("signal", name, 1, None)
    assert one.logged() == [("asked to stop", {"signal": name, "count": 1})]


@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13"])
def test_an_interrupt_stays_a_keyboard_interrupt(program, version):
    python = interpreters.find(version) or pytest.skip(f"no Python {version} on this machine")
    one = program(ORDER, python=python)
    one.expect("ready")
    one.send(signal.SIGINT)
    status, lines, err = one.end()
    assert lines == ["finally", "urgent", "second", "first False", "registered after", "registered before"]
    assert status == -signal.SIGINT
    assert err.endswith("KeyboardInterrupt\n")


def test_a_program_that_handles_the_interrupt_gives_its_own_status(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("cleaned"))
try:
    with handler:
        say("ready")
        forever()
except KeyboardInterrupt:
    sys.exit(7)
"""
    )
    one.expect("ready")
    one.send(signal.SIGINT)
    assert one.end() == (7, ["cleaned", "registered before"], "")


def test_nobody_asked_and_nothing_happens(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(stacks=True)
before = [signal.getsignal(n) for n in (1, 2, 10, 15)]
descriptors = len(os.listdir("/proc/self/fd"))
handler.add_cleanup(lambda: print("cleaned"))
with handler:
    print(handler.stopping, handler.signal, handler.wait(0))
print(before == [signal.getsignal(n) for n in (1, 2, 10, 15)], threading.active_count())
print(len(sys._current_frames()), len(os.listdir("/proc/self/fd")) - descriptors)
"""
    )
    # What is left open is the descriptor for stacks.
    assert one.end() == (0, ["False 0 False", "True 1", "1 1", "registered before"], "")
    assert one.logged() == []


def test_a_second_signal_skips_what_is_slow(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(deadline=60, debounce=0)
handler.add_cleanup(lambda: print("quick"))
handler.add_cleanup(lambda: print("also slow"), name="also slow", slow=True)
@handler.add_cleanup
def quick_that_runs():
    say("quick begins")
    while handler.count < 2:
        time.sleep(0.01)
    print("quick ends")
@handler.add_cleanup
def unlucky(): raise ValueError("no")
with handler:
    say("ready")
    forever()
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    one.expect("quick begins")
    one.send(signal.SIGTERM)
    status, lines, _ = one.end()
    assert (status, lines) == (-signal.SIGTERM, ["quick ends", "quick", "registered before"])
    assert [note["count"] for note in one.noted()["notes"]] == [1, 2]
    logged = one.logged()
    assert ("cleanup was skipped", {"callback": "also slow"}) in logged
    assert ("cleanup failed", {"callback": "unlucky"}) in logged


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_a_second_signal_leaves_a_slow_callback_that_runs(program, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(deadline=60, debounce=0)
handler.add_cleanup(lambda: print("quick"))
@handler.add_cleanup
def nothing(): pass
def slow():
    try:
        say("slow begins")
        forever()
    finally:
        print("slow is left")
handler.add_cleanup(slow, slow=True)
with handler:
    say("ready")
    forever()
""",
        python=python,
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    one.expect("slow begins")
    one.send(signal.SIGTERM)
    assert one.end() == (-signal.SIGTERM, ["slow is left", "quick", "registered before"], "")
    assert ("cleanup was skipped", {"callback": "slow"}) in one.logged()


def test_a_third_signal_ends_at_once_and_flushes(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(deadline=60, debounce=0)
@handler.add_cleanup
def stubborn():
    say("begun")
    print("in the buffer")
    while handler.count < 2:
        time.sleep(0.01)
    os.write(1, b"second\\n")
    forever()
with handler:
    say("ready")
    forever()
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    one.expect("begun")
    one.send(signal.SIGINT)
    one.expect("second")
    one.send(signal.SIGHUP)
    assert one.end() == (-signal.SIGHUP, ["in the buffer"], "")
    wait_until(lambda: len(one.noted()["notes"]) == 3, what="three notes")


STUCK = """
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("later"))
@handler.add_cleanup
def overran():
    say("begins")
    %s
with handler:
    say("ready")
    forever()
"""


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_a_callback_that_overruns_its_deadline_is_left_and_named(program, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    one = program(
        STUCK.replace("add_cleanup\ndef overran", "add_cleanup\ndef x(): pass\ndef overran").replace(
            "with handler", "handler.add_cleanup(overran, deadline=0.05)\nwith handler"
        )
        % "forever()",
        python=python,
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    one.expect("begins")
    assert one.end() == (-signal.SIGTERM, ["later", "registered before"], "")
    assert ("cleanup overran its deadline", {"callback": "overran", "deadline_s": 0.05}) in one.logged()


def test_a_callback_that_cannot_be_left_does_not_hold_up_the_rest(program):
    code = "while True:\n        try: forever()\n        except BaseException: pass"
    one = program(STUCK.replace("EnhancedSignalHandler()", "EnhancedSignalHandler(deadline=0.05)") % code)
    one.expect("ready")
    one.send(signal.SIGTERM)
    one.expect("begins")
    assert one.end() == (-signal.SIGTERM, ["later"], "")
    assert ("cleanup overran its deadline", {"callback": "overran", "deadline_s": 0.05}) in one.logged()


def test_a_program_stuck_in_c_ends_at_the_third_signal(program):
    one = program(
        """
import ctypes
handler = flightlog.EnhancedSignalHandler(debounce=0)
@handler.add_cleanup
def stuck():
    say("stuck")
    print("in the buffer")
    mutex = ctypes.create_string_buffer(256)
    lock = ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex); lock(mutex)  # for ever, and no signal ends it
handler.add_cleanup(lambda: None)
handler.cleanup.callbacks[0].deadline = 1e6
with handler:
    say("ready")
    forever()
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    one.expect("stuck")
    one.send(signal.SIGTERM)
    wait_until(lambda: not _pending(one.process.pid), what="the second signal to arrive")
    one.send(signal.SIGTERM)
    assert one.end() == (-signal.SIGTERM, ["in the buffer"], "")


def _pending(pid):
    with open(f"/proc/{pid}/status") as file:
        return any(line.startswith(("SigPnd", "ShdPnd")) and int(line.split()[1], 16) for line in file)


def test_a_handler_that_was_there_is_called_and_decides(program):
    one = program(
        """
stop = []
signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("cleaned"))
with handler:
    say("ready")
    while not stop:
        time.sleep(0.01)
    print("went on", stop, handler.count)
sys.exit(3)
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    assert one.end() == (3, ["went on [15] 1", "cleaned", "registered before"], "")


def test_what_is_ignored_stays_ignored(program):
    one = program(ORDER, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    one.expect("ready")
    one.send(signal.SIGHUP, signal.SIGTERM)
    assert one.end()[0] == -signal.SIGTERM
    assert one.logged() == [("asked to stop", {"signal": "SIGTERM", "count": 1})]


def test_who_replaces_the_handler_is_named_and_left_alone(program):
    one = program(
        """
def theirs(number, frame):
    print("theirs")
    sys.exit(5)
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("cleaned"))
with handler:
    signal.signal(signal.SIGTERM, theirs)
    print(handler.replaced())
    say("ready")
    forever()
"""
    )
    one.expect("{'SIGTERM': '__main__.theirs'}")
    one.expect("ready")
    one.send(signal.SIGTERM)
    assert one.end() == (5, ["theirs", "registered before"], "")
    assert one.logged() == [("signal handler was replaced", {"signal": "SIGTERM", "by": "__main__.theirs"})]


def test_who_replaced_the_handler_keeps_the_signal_after_the_block(program):
    one = program(
        """
def theirs(number, frame): pass
before = signal.getsignal(signal.SIGINT)
with flightlog.EnhancedSignalHandler(stacks=True):
    signal.signal(signal.SIGTERM, theirs)
    signal.signal(signal.SIGUSR1, theirs)
print([signal.getsignal(n) is theirs for n in (signal.SIGTERM, signal.SIGUSR1)], signal.getsignal(signal.SIGINT) is before)
"""
    )
    assert one.end() == (0, ["[True, True] True", "registered before"], "")


def test_who_replaces_and_chains_still_gets_the_cleanup(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("cleaned"))
with handler:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda n, f: (print("theirs"), before(n, f)))
    say("ready")
    forever()
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    assert one.end() == (-signal.SIGTERM, ["theirs", "cleaned", "registered before"], "")


@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13", "pypy3"])
def test_asyncio_is_interrupted_and_its_tasks_are_cancelled(program, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    one = program(
        """
import asyncio
async def main():
    try:
        say("ready")
        while True:
            await asyncio.sleep(0.5)  # as in `forever`: the loop, too, may go to sleep just after a signal came
    finally:
        print("task ended")
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("cleaned"))
with handler:
    asyncio.run(main())
""",
        python=python,
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    assert one.end() == (-signal.SIGTERM, ["task ended", "cleaned", "registered before"], "")


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_loops_own_signal_handler_works_as_without_us(program, where):
    """Installed before us it is chained (the loop hears of signals by its own descriptor), after us it replaces us."""
    one = program(
        """
import asyncio
handler = flightlog.EnhancedSignalHandler(signals=["SIGTERM"])
handler.add_cleanup(lambda: print("cleaned"))
async def main():
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    if %r == "after":
        handler.install()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if %r == "before":
        handler.install()
    print(handler.replaced().get("SIGTERM", "ours"))
    say("ready")
    await stop.wait()
    print("the loop stops", handler.count)
asyncio.run(main())
sys.exit(4)
"""
        % (where, where)
    )
    one.expect("ours" if where == "before" else "asyncio.unix_events._sighandler_noop")
    one.expect("ready")
    one.send(signal.SIGTERM)
    status, lines, err = one.end()
    cleaned = ["cleaned"] if where == "before" else []
    assert (status, lines, err) == (
        4,
        ["the loop stops %d" % len(cleaned), *cleaned, "registered before"],
        "",
    )
    # A loop that is closed takes its own away, and puts the default in its place.
    assert one.logged()[-1] == ("signal handler was replaced", {"signal": "SIGTERM", "by": "SIG_DFL"})
    assert len(one.logged()) == 1 + len(cleaned)


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_forked_children_have_no_handler_and_clean_nothing_up(program, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    one = program(
        """
import multiprocessing
context = multiprocessing.get_context("fork")
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: os.write(1, b"cleaned %d\\n" % (os.getpid() == parent)))
parent = os.getpid()
def job(pipe):
    pipe.send([signal.getsignal(n) == signal.SIG_DFL for n in (1, 15)])
    pipe.close()
    time.sleep(60)
if __name__ == "__main__":
    with handler:
        children = []
        for _ in range(3):
            ours, theirs = context.Pipe()
            children.append(context.Process(target=job, args=(theirs,)))
            children[-1].start()
            print(ours.recv())
        for child in children:
            os.kill(child.pid, signal.SIGTERM)
        for child in children:
            child.join()
        print([child.exitcode for child in children], handler.count)
        child = os.fork()
        if not child:
            sys.exit(0)
        print(os.waitpid(child, 0)[1])
        say("ready")
        forever()
""",
        python=python,
    )
    for line in ["[True, True]"] * 3 + ["[-15, -15, -15] 0"]:
        one.expect(line)
    said = [one.process.stdout.readline().strip()]
    while said[-1] != "ready":
        said.append(one.process.stdout.readline().strip())
    assert "cleaned" not in "".join(said)
    one.send(signal.SIGTERM)
    status, lines, _ = one.end()
    assert (status, lines) == (-signal.SIGTERM, ["cleaned 1", "registered before"])


def test_a_child_made_in_c_behaves_as_without_us(program):
    one = program(
        """
import ctypes
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("cleaned", flush=True))
with handler:
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        forever()
    print(os.waitpid(pid, 0)[1])
"""
    )
    assert one.end() == (0, ["15", "registered before"], "")


THREADS = """
handler = flightlog.EnhancedSignalHandler(%s)
handler.add_cleanup(lambda: print("cleaned"))
print(handler.install(), handler.install())
def work():
    handler.wait()
    print("thread ends")
threading.Thread(target=work).start()
%s
atexit.register(print, "registered after")
threading.Thread(target=lambda: (threading.main_thread().join(), say("ready"))).start()
"""
ELSEWHERE = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # so that the kernel gives it to the thread"
# 3.8 does not tell when it begins to wait for threads, and the first 3.12s start no thread any more then (gh-113964).
THAT_TELL_US_BEFORE_THREADS = [version for version in interpreters.VERSIONS if version not in ("3.8", "3.12", "pypy3")]


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_installed_for_a_program_whose_work_is_in_threads(program, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    code = THREADS % ("", "")
    if version == "pypy3":  # a thread that joins the main one meets an assertion of PyPy's own there, now and then
        code = code.replace('(threading.main_thread().join(), say("ready"))', 'say("ready")')
    one = program(code, python=python)
    one.expect("True True")
    one.expect("ready")
    if version not in THAT_TELL_US_BEFORE_THREADS:
        wait_until(lambda: one.process.poll() is not None or rests(one.process.pid), 30, "the main thread waits")
    one.send(signal.SIGTERM)
    status, lines, err = one.end()
    assert status == -signal.SIGTERM
    assert [line for line in lines if line != "thread ends"] == ["cleaned", "registered after", "registered before"]
    assert err == ""


@pytest.mark.parametrize("options", ["", "('SIGTERM', 'SIGINT'), debounce=0"])
@pytest.mark.parametrize("version", THAT_TELL_US_BEFORE_THREADS)
def test_a_signal_that_does_not_end_the_wait_for_threads_is_noticed(program, version, options):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    one = program(THREADS % (options, ELSEWHERE), python=python)
    one.expect("True True")
    one.expect("ready")
    wait_until(lambda: state_of(one.process.pid) == "S", 30, "the main thread waits for the others")
    one.send(signal.SIGTERM)
    status, lines, err = one.end()
    assert status == -signal.SIGTERM
    assert [line for line in lines if line != "thread ends"] == ["cleaned", "registered after", "registered before"]
    assert err == ""


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_a_signal_that_does_not_end_waiting_in_the_main_thread_is_noticed(program, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    one = program(
        """
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("cleaned"))
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
%s
signal.signal(signal.SIGUSR2, lambda *_: say("another"))
with handler:
    print(handler.wait(0), handler.wait(0.01))
    say("ready")
    handler.wait()
"""
        % ELSEWHERE,
        python=python,
    )
    one.expect("False False")
    one.expect("ready")
    wait_until(lambda: state_of(one.process.pid) == "S", 30, "the main thread waits")
    one.send(signal.SIGUSR2)
    one.expect("another")
    one.send(signal.SIGTERM)
    assert one.end() == (-signal.SIGTERM, ["cleaned", "registered before"], "")


def test_a_program_that_is_not_interrupted_looks_for_itself(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(interrupt=False)
handler.add_cleanup(lambda: print("cleaned"))
with handler:
    say("ready")
    print(handler.wait(60), handler.stopping, signal.Signals(handler.signal).name)
print("after the block")
"""
    )
    one.expect("ready")
    one.send(signal.SIGINT)
    assert one.end() == (
        -signal.SIGINT,
        ["True True SIGINT", "cleaned", "after the block", "registered before"],
        "",
    )


def test_an_event_loop_watches_the_descriptor(program):
    one = program(
        """
import asyncio
handler = flightlog.EnhancedSignalHandler(interrupt=False)
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(handler.fileno(), stop.set)
    say("ready")
    await stop.wait()
    print("stopped in good order")
with handler:
    asyncio.run(main())
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    assert one.end() == (-signal.SIGTERM, ["stopped in good order", "registered before"], "")


def test_the_status_may_be_the_programs_own(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(reraise=False)
try:
    with handler:
        say("ready")
        forever()
except SystemExit as stop:
    print(stop.code)
    sys.exit(9)
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    assert one.end() == (9, ["143", "registered before"], "")


def test_one_inside_another(program):
    one = program(
        """
outer, inner = flightlog.EnhancedSignalHandler(), flightlog.EnhancedSignalHandler()
outer.add_cleanup(lambda: print("outer"))
inner.add_cleanup(lambda: print("inner"))
with outer:
    with inner:
        say("ready")
        forever()
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    assert one.end() == (-signal.SIGTERM, ["inner", "outer", "registered before"], "")


def test_what_cannot_be_is_said_and_raises_nothing(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(signals=["SIGTERM", "SIGNONSENSE", 4711])
print(len(handler.problems))
thread = threading.Thread(target=handler.install)
thread.start(); thread.join()
print(len(handler.problems), signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
print(handler.remove_cleanup(print), handler.add_cleanup(print) is print, handler.remove_cleanup(print))
"""
    )
    assert one.end() == (0, ["2", "3 True", "False True True", "registered before"], "")


# -- SIGUSR1 ------------------------------------------------------------------------------------------------------------


def test_stacks_come_at_once_even_out_of_c_code_that_holds_the_interpreter(program):
    one = program(
        """
def busy_in_c():
    say("ready")
    sum(range(10**13))
handler = flightlog.EnhancedSignalHandler(stacks=True)
with handler:
    busy_in_c()
"""
    )
    one.expect("ready")
    one.send(signal.SIGUSR1)
    wait_until(lambda: "in busy_in_c" in one.noted()["dump"], what="the stack")
    assert one.process.poll() is None
    assert one.logged() == []  # the interpreter is not to be had


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_stacks_and_a_status_record(program, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(stacks=True)
handler.add_cleanup(lambda: None, name="save")
signal.signal(signal.SIGTERM, signal.SIG_DFL)
with handler:
    def loops_for_ever():
        say("ready")
        forever()
    loops_for_ever()
""",
        python=python,
    )
    one.expect("ready")
    for _ in range(2):
        one.send(signal.SIGUSR1)
        wait_until(lambda: "in loops_for_ever" in one.noted()["dump"], what="the stack")
    ((_, status), *_) = wait_until(one.logged, what="the record")
    assert (status["signal"], status["cleanups"], status["stacks"]) == ("SIGUSR1", ["save"], True)
    one.send(signal.SIGTERM)
    assert one.end()[0] == -signal.SIGTERM


def test_a_handler_for_the_same_signal_that_was_there_is_called(program):
    one = program(
        """
signal.signal(signal.SIGUSR1, lambda n, f: os.write(1, b"theirs\\n"))
with flightlog.EnhancedSignalHandler(stacks="stacks.txt") as handler:
    say("ready")
    forever()
"""
    )
    one.expect("ready")
    one.send(signal.SIGUSR1)
    one.expect("theirs")
    path = os.path.join(one.home, "stacks.txt")
    assert "in <module>" in open(path).read()
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("limits", ["(n, hard)", "(n, n)"])
def test_stacks_are_never_written_into_a_file_of_the_programs(program, limits):
    """Every descriptor is closed and many files are opened, as a daemon does (edge case 26)."""
    one = program(
        """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
signal.signal(signal.SIGUSR1, lambda n, f: os.write(1, b"got\\n"))
n = 300
resource.setrlimit(resource.RLIMIT_NOFILE, %s)
with flightlog.EnhancedSignalHandler(stacks=True) as handler:
    os.closerange(3, n)
    files = []
    while True:
        try:
            files.append(os.open("data%%d" %% len(files), os.O_CREAT | os.O_WRONLY))
        except OSError:
            break
    if %r == "(n, n)":
        print(handler.check_stacks())
    say("ready")
    forever()
"""
        % (limits, limits)
    )
    if limits == "(n, n)":
        one.expect("False")
    one.expect("ready")
    one.send(signal.SIGUSR1)
    one.expect("got")
    written = [
        name
        for name in os.listdir(one.home)
        if name.startswith("data") and os.stat(os.path.join(one.home, name)).st_size
    ]
    assert written == []
    assert len([name for name in os.listdir(one.home) if name.startswith("data")]) > 200
    assert ("in <module>" in one.noted()["dump"]) == (limits == "(n, hard)")


def test_notes_are_json_lines(program):
    one = program(ORDER)
    one.expect("ready")
    one.send(signal.SIGTERM)
    one.end()
    with open(one.evidence) as file:
        assert [json.loads(line)["kind"] for line in file] == ["signal"]


def test_under_supervision_the_signal_is_evidence_and_the_run_ends_by_it(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(HEAD + ORDER)
    keeper = subprocess.Popen(
        running.kept([sys.executable, str(script)]),
        env=running.environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdout.readline() == "ready\n"
    keeper.send_signal(signal.SIGTERM)
    out, err = keeper.communicate(timeout=60)
    assert out.splitlines() == ["finally", "urgent", "second", "first False", "registered after", "registered before"]
    assert (keeper.returncode, err) == (-signal.SIGTERM, "")
    ended = running.ended(tmp_path)
    assert ended["term_signal"] == "SIGTERM"
    assert ended["verdict"] == "stopped-outside"
    assert [s["count"] for s in ended["signals"] if s["pid"] != keeper.pid and s.get("count")] == [1]
    assert ended["clean"] is True
    assert not ended.get("faults")


def test_handlers_of_many_blocks_leave_nothing(program):
    one = program(
        """
def look(): return len(os.listdir("/proc/self/fd")), len(sys._current_frames())
with flightlog.EnhancedSignalHandler(): pass
before = look()
for _ in range(50):
    with flightlog.EnhancedSignalHandler(): pass
print(look() == before)
"""
    )
    assert one.end() == (0, ["True", "registered before"], "")


@pytest.mark.parametrize("debounce", [0, 60])
def test_after_the_cleanup_another_signal_ends_at_once_but_a_repeat_does_not(program, debounce):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler(debounce=%d, stacks=True)
handler.add_cleanup(lambda: None)
@atexit.register
def late():
    print("late begins")
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.001)
    print("late ends")
with handler:
    say("ready")
    forever()
"""
        % debounce
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    rest = ["late ends", "registered before"] if debounce else []
    status, lines, _ = one.end()
    assert (status, lines) == (-signal.SIGTERM, ["late begins", *rest])


def test_what_is_sent_to_process_and_group_counts_once(program):
    one = program(
        """
handler = flightlog.EnhancedSignalHandler()
handler.add_cleanup(lambda: print("slow", handler.count), slow=True)
with handler:
    try:
        say("ready")
        forever()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)
"""
    )
    one.expect("ready")
    one.send(signal.SIGTERM)
    assert one.end() == (-signal.SIGTERM, ["slow 1", "registered before"], "")


def test_stacks_stop_before_they_fill_the_evidence(program):
    one = program(
        """
with flightlog.EnhancedSignalHandler(stacks=True) as handler:
    with open(os.environ["FLIGHTLOG_EVIDENCE"], "a") as file:
        file.write("x" * 140_000)
    say("ready")
    while not handler.problems:
        time.sleep(0.01)
    print(handler.check_stacks())
"""
    )
    one.expect("ready")
    one.send(signal.SIGUSR1)
    assert one.end() == (0, ["False", "registered before"], "")
