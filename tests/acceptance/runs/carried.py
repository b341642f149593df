"""What is asked for in one stage and done in another thread or process; each message says in which way it came there."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import flightlog

log = flightlog.get_logger("carried")
CHILD = "import flightlog, os, sys; sys.argv[1] != 'subprocess prepared' or os.environ['MORE']; flightlog.get_logger('c').info(sys.argv[1])"


def say(how):
    log.info(how)


class OldThread(threading.Thread):
    def start(self):
        threading.Thread.start(self)

    def run(self):
        say("subclass")


def below(how):
    with flightlog.stage("below"):
        say(how)


async def task():
    say("task")
    await asyncio.get_running_loop().run_in_executor(None, say, "run_in_executor")


async def tasks():
    await asyncio.gather(task(), asyncio.ensure_future(task()))


def nested_run():
    child = [
        sys.executable,
        "-c",
        "import flightlog\nwith flightlog.run('inner'): flightlog.get_logger('i').info('inner run')",
    ]
    subprocess.run(child, check=True)


def main():
    early = ThreadPoolExecutor(1)
    early.submit(say, "outside").result()
    processes = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
    processes.submit(say, "process pool outside").result()
    with flightlog.stage("extract"):
        thread = threading.Thread(target=say, args=("thread",))
        thread.start()
        thread.join()
        old = OldThread()
        old.start()
        old.join()
        early.submit(say, "thread pool").result()
        list(early.map(say, ["thread pool map"]))
        processes.submit(below, "process pool").result()
        asyncio.run(tasks())
        for method in ("fork", "spawn", "forkserver"):
            process = multiprocessing.get_context(method).Process(target=say, args=(method,))
            process.start()
            process.join()
        subprocess.run([sys.executable, "-c", CHILD, "subprocess"], check=True)
        subprocess.run(
            [sys.executable, "-c", CHILD, "subprocess with more"], env=dict(os.environ, MORE="1"), check=True
        )
        subprocess.run(
            [sys.executable, "-c", CHILD, "subprocess prepared"], preexec_fn=lambda: os.putenv("MORE", "1"), check=True
        )
        nested_run()
        carried = flightlog.carry(say)
        warnings.simplefilter("ignore")  # Python 3.12 and later warn of a fork beside threads
        child = os.fork()
        if child == 0:
            say("os.fork")
            os._exit(0)
        os.waitpid(child, 0)
        variables = flightlog.carry_environment()
    early.submit(carried, "by hand").result()
    environment = dict(os.environ, **variables)
    child = os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-c", CHILD, "environment by hand"], environment)
    early.submit(say, "thread pool afterwards").result()
    processes.submit(say, "process pool afterwards").result()
    processes.shutdown()
    early.shutdown()
    print(sorted(name for name in os.environ if name == "FLIGHTLOG_SCOPE"), time.time() > 0)


if __name__ == "__main__":
    with flightlog.run("carried"):
        main()
