"""Forks of every kind, children that outlive their parent, pids and boots that come again."""

import os
import signal

import pytest
from campaign import LONG, SEED, rounds
from injection import shimmed
from spoiled import Spoiled

from flightlog import identity
from flightlog.journal.format import frame, salt_of, segment_name
from integration.shipping import head
from waiting import wait_until

FORKING = """
import concurrent.futures, ctypes, logging, multiprocessing, os, signal, subprocess, sys, threading, time
import flightlog, worker
flightlog.init(pipeline="forks")
native, std = flightlog.get_logger("native"), logging.getLogger("std")
std.setLevel(20)

def work(name, count=20, size=0):
    for n in range(count):
        worker.log(std.info if n % 2 else native.info, name, n, size)

def child(name):
    work(name)
    return os.getpid()

def fork(name, way=os.fork, leave=os._exit):
    pid = way()
    if pid == 0:
        child(name)
        grandchild = os.fork()
        if grandchild == 0:
            child(name + ".grand")
            os._exit(0)
        os.waitpid(grandchild, 0)
        leave(0)
    os.waitpid(pid, 0)

def several(prefix, kind):
    context = multiprocessing.get_context(kind)
    ones = [context.Process(target=child, args=("%s.%s%d" % (prefix, kind, i),)) for i in range(3)]
    for one in ones:
        one.start()
    for one in ones:
        one.join()
        assert one.exitcode == 0, one.exitcode

def pool(prefix, kind):
    # One task per process, so that each name belongs to one of them.
    with multiprocessing.get_context(kind).Pool(2, maxtasksperchild=1) as workers:
        workers.map(child, ["%s.pool-%s%d" % (prefix, kind, i) for i in range(4)], chunksize=1)

def executor(prefix, kind):
    context = multiprocessing.get_context(kind)
    for i in range(2):
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as workers:
            workers.submit(child, "%s.executor-%s%d" % (prefix, kind, i)).result()

def in_handler(prefix):
    count = []
    def on_alarm(*_):
        count.append(None)
        fork("%s.handler%d" % (prefix, len(count)))
    signal.signal(signal.SIGALRM, on_alarm)
    n = 0
    while len(count) < 5:
        before = len(count)  # before the timer: under load it rings before the next line is reached
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while len(count) == before:
            worker.log(native.info, prefix + ".interrupted", n)
            n += 1
    signal.setitimer(signal.ITIMER_REAL, 0)

def busy(prefix, action):
    '''Do something while three other threads append and rotate.'''
    from flightlog.sdk.recorder import recorder
    recorder._start()
    recorder.writer.rotate_bytes = 30000
    stop = []
    def append(name):
        n = 0
        while not stop:
            worker.log(native.info, name, n, 6000 if n % 10 == 0 else 20)
            n += 1
    threads = [threading.Thread(target=append, args=("%s.beside%d" % (prefix, i),)) for i in range(3)]
    for thread in threads:
        thread.start()
    action()
    stop.append(None)
    for thread in threads:
        thread.join()

def closed(prefix):
    '''A daemon closes all descriptors.'''
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.closerange(3, 65536)
        worker._fd = os.open(worker.PATH, os.O_WRONLY | os.O_APPEND)
        child(prefix + ".daemon")
        os._exit(0)
    os.waitpid(pid, 0)

if __name__ == "__main__":
    what, prefix = sys.argv[1:3]
    kinds = multiprocessing.get_all_start_methods()
    work(prefix + ".parent")
    if what == "plain":
        for i in range(10):
            fork("%s.fork%d" % (prefix, i), leave=sys.exit if i % 2 else os._exit)
    elif what == "busy":
        busy(prefix, lambda: [fork("%s.fork%d" % (prefix, i)) for i in range(20)])
    elif what == "handler":
        in_handler(prefix)
    elif what == "c":
        # Without the interpreter's hooks, the lock kept and given up.
        for i, library in enumerate((ctypes.PyDLL(None), ctypes.CDLL(None)) * 3):
            fork("%s.c%d" % (prefix, i), way=library.fork)
    elif what == "closed":
        closed(prefix)
    elif what in kinds:
        several(prefix, what)
        pool(prefix, what)
        if hasattr(concurrent.futures.ProcessPoolExecutor, "_adjust_process_count") or what == "fork":
            executor(prefix, what)
    work(prefix + ".end")
"""
KINDS = ["plain", "fork", "spawn", "forkserver", "busy", "handler", "c", "closed"]


@pytest.mark.parametrize("name", ["this", "python3.8", "python3.13", "pypy3"])
def test_30_fork_matrix(scene, machine, name):
    """Every way to make a child: each process is a writer of its own, and none writes into another's file."""
    python = machine.interpreter(name)
    if not LONG and name != "this":
        pytest.skip("only in make faults")
    for round_ in range(rounds(1, whole=5)):
        for kind in KINDS:
            if name == "pypy3" and kind in ("c", "handler"):
                scene.tally.not_run.append(
                    f"pypy3: {kind}: ctypes and nested handlers there end the process by themselves"
                )
                continue
            assert scene.run(FORKING, kind, f"{kind}{round_}", python=python, timeout=60) == 0, (kind, scene.words())
            scene.tally.add(rounds=1)
    scene.check()
    writers = {}
    for writer, said, _, _ in scene.rows():
        writers.setdefault(said, set()).add(writer)
    several = {said: len(found) for said, found in writers.items() if len(found) > 1}
    # A handler that logs while its own thread begins a segment takes a fresh writer, and so may who waited.
    assert not {said for said in several if "beside" not in said and "interrupted" not in said}, several
    owners = {}
    for said, found in writers.items():
        process = (
            said
            if said.rpartition(".")[2] not in ("parent", "end", "interrupted") and "beside" not in said
            else said.partition(".")[0]
        )
        for writer in found:
            assert owners.setdefault(writer, process) == process, f"{process} wrote into a file of {owners[writer]}"


OUTLIVING = """
import os, signal, sys, time
import flightlog, worker
log = flightlog.get_logger("native")
for n in range(30):
    worker.log(log.info, "parent", n)
if os.fork() == 0:
    open(worker.argument(1), "w").write(str(os.getpid()))
    while not os.path.exists(worker.argument(2)):
        time.sleep(0.01)
    for n in range(30):
        worker.log(log.info, "child", n)
    while not os.path.exists(worker.argument(3)):
        time.sleep(0.01)
    os._exit(0)
while not os.path.exists(worker.argument(1)):
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_31_child_outlives_its_parent(scene):
    """The parent's lock is free when it is dead, though a forked child lives; the child is a writer of its own."""
    there, go, leave = (os.path.join(scene.folder, name) for name in ("there", "go", "leave"))
    assert scene.run(OUTLIVING, there, go, leave) == -signal.SIGKILL
    scene.tally.add(rounds=1, kills=1)
    child = int(wait_until(lambda: open(there).read(), what="the child"))
    scene.settle(open_writers=0)
    assert identity.process_state(child) not in ("", "Z")
    open(go, "w").close()
    wait_until(lambda: len([row for row in scene.rows() if row[1] == "child"]) == 30, 20, "the child's records")
    found = scene.settle(open_writers=1)
    assert [item.closed for item in found.writers].count(False) == 1
    open(leave, "w").close()
    scene.check(names=["parent", "child"])


NUMBERED = """
import os, signal, sys, time
import flightlog, worker
flightlog.init(pipeline="numbered")
log = flightlog.get_logger("native")
for n in range(30):
    worker.log(log.info, worker.argument(1), n)
open(worker.argument(2), "w").write(str(os.getpid()))
while not os.path.exists(worker.argument(3)):
    time.sleep(0.01)
worker.log(log.info, worker.argument(1), 30)
os.kill(os.getpid(), signal.SIGKILL) if os.getpid() != 1 else os._exit(9)
"""


def test_32_pid_reuse(scene, machine):
    """The same pid twice, in namespaces of pids with and without their own /proc: the dead one is dead, the living one alive."""
    command = machine.need("pids")
    number = 0
    for own_proc in (True, False):
        prefix = [word for word in command if own_proc or word != "--mount-proc"]
        files = []
        for which in ("first", "second"):
            number += 1
            pid, end = os.path.join(scene.folder, f"pid{number}"), os.path.join(scene.folder, f"end{number}")
            files.append((pid, end))
            scene.prefix = prefix
            process = scene.start(NUMBERED, f"{which}{number}", pid, end)
            scene.prefix = []
            assert int(wait_until(lambda pid=pid: os.path.exists(pid) and open(pid).read(), 20, "the process")) == 1
            if which == "first":
                open(end, "w").close()
                assert process.wait(20) == 9, scene.words()
                scene.settle(open_writers=0)
            else:
                found = scene.settle(open_writers=1)
                assert [item.closed for item in found.writers].count(False) == 1, "the living one was taken for dead"
                open(end, "w").close()
                assert process.wait(20) == 9
        scene.tally.add(rounds=2, kills=2)
    scene.check()


def test_26_reboot_with_a_new_boot_id(scene, machine):
    """Everybody was killed and the boot is another one: also a writer whose pid and start time are those of somebody alive is dead."""
    shim = machine.need("shim")
    machine.need("root")
    space = machine.need("mounts")()
    other = os.path.join(scene.folder, "boot_id")
    with open(other, "w") as file:
        file.write("01234567-89ab-cdef-0123-456789abcdef\n")
    space.do("mount", "--bind", other, "/proc/sys/kernel/random/boot_id")
    from test_writer_deaths import LOGGING

    program = (
        LOGGING
        + "\nfor name in 'abc':\n    threading.Thread(target=work, args=(worker.argument(1) + name, 100)).start()\nwork(worker.argument(1))"
    )
    for round_ in range(rounds(2)):
        # Half of a frame is what the crash left of the last call; in one life the boot is ours, in the next one the other.
        scene.prefix = space.prefix if round_ % 2 else []
        env = scene.env(**shimmed(shim, f"write/.seg:{100 + (SEED + round_) % 400}:kill_half"))
        assert scene.run(program, f"r{round_}", env=env) in (-signal.SIGKILL, 137), scene.words()
        scene.tally.add(rounds=1, kills=1)
    scene.prefix = []
    mine = Spoiled("mine", 10)
    pid = os.getpid()
    top = head(mine.writer, 0, mine.run, boot="f" * 32, pid=pid, start=identity.process_start_time(pid))
    mine.segments[0][: mine.heads[0][1]] = frame(top, salt_of(mine.writer), 0)
    mine.write(scene.spool, scene.witness)
    scene.check()
    # And the agent after the reboot: what was written before it belongs to nobody who lives.
    scene.stop_agent()
    alive = Spoiled("alive", 10)
    top = head(alive.writer, 0, alive.run, boot=identity.boot_id(), pid=pid, start=identity.process_start_time(pid))
    alive.segments[0][: alive.heads[0][1]] = frame(top, salt_of(alive.writer), 0)
    alive.write(scene.spool, scene.witness)
    assert os.path.exists(os.path.join(scene.spool, segment_name(alive.writer, 0)))
    scene.prefix = space.prefix
    scene.check()
