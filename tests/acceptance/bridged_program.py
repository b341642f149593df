"""Every library says one thing in every way: `<library.way>`, in a stage named after the way. For test_bridges.py.

Arguments: `supervised`, or `attached` for flightlog.init(). It is its own main module in spawned children, which set everything up again by importing it.
"""

import _thread
import asyncio
import concurrent.futures
import logging
import logging.config
import logging.handlers
import multiprocessing
import os
import queue
import sys
import threading
import warnings

import loguru
import structlog
import tqdm
import tqdm.contrib.logging

import flightlog

if sys.argv[1] == "attached":
    flightlog.init(pipeline="bridges")


class Idiom(logging.Handler):
    """What people write when bars and records share a terminal."""

    def emit(self, record):
        tqdm.tqdm.write(self.format(record))


def notice(self, message, *args, **named):
    """A method of the program's own, as people add them."""
    if self.isEnabledFor(25):
        self._log(25, message, args, **named)


logging.addLevelName(25, "NOTICE")
logging.Logger.notice = notice
LINES = queue.Queue()
own = {"propagate": False, "level": "DEBUG"}
logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"short": {"format": "%(levelname)s %(name)s: %(message)s"}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "short"},
            "file": {"class": "logging.FileHandler", "filename": "own.log", "delay": True},
            "database": {"class": "flightlog.DatabaseLogHandler"},
            "another": {"class": "flightlog.DatabaseLogHandler", "level": "INFO"},
            "rich": {"class": "rich.logging.RichHandler"},
            "bars": {"()": Idiom},
            "queue": {"class": "logging.handlers.QueueHandler", "queue": LINES},
        },
        "loggers": {
            "t.console": {"handlers": ["console", "file"], **own},
            "t.database": {"handlers": ["database", "another"], **own},
            "t.both": {"handlers": ["console", "database"], **own},
            "t.parent": {"handlers": ["another", "console"], **own},
            "t.parent.child": {"handlers": ["database"]},
            "t.rich": {"handlers": ["rich"], **own},
            "t.bars": {"handlers": ["bars"], **own},
            "t.queue": {"handlers": ["queue"], **own},
        },
    }
)
listener = logging.handlers.QueueListener(LINES, logging.StreamHandler(), flightlog.DatabaseLogHandler())
structlog_own = structlog.wrap_logger(
    structlog.PrintLogger(), processors=[flightlog.structlog_processor, structlog.processors.KeyValueRenderer()]
)
structlog_std, structlog_both = (
    structlog.wrap_logger(
        logging.getLogger("t.both"),
        processors=[*first, structlog.stdlib.add_log_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    for first in ([], [flightlog.structlog_processor])
)
structlog_adopting = logging.StreamHandler()
structlog_adopting.setFormatter(
    structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[flightlog.structlog_processor], processor=structlog.processors.KeyValueRenderer()
    )
)
logging.getLogger("t.adopted").addHandler(structlog_adopting)
logging.getLogger("t.adopted").propagate = False
loguru.logger.remove()
loguru.logger.add(sys.stderr, format="{level} {message}")
loguru.logger.add(sys.stderr, format="queued {message}", enqueue=True)
loguru.logger.add(flightlog.loguru_sink)
loguru.logger.add(flightlog.DatabaseLogHandler(), format="{time} {message}")
loguru.logger.add(logging.StreamHandler(), format="by a handler: {message}")
warnings.simplefilter("always")


def adapter(text):
    inner = logging.LoggerAdapter(logging.getLogger("t.console"), {"outer": 1})
    logging.LoggerAdapter(inner, {"inner": 2}).error(text)


def redirected(text):
    log = logging.getLogger("t.console")
    with tqdm.contrib.logging.logging_redirect_tqdm([log]):
        log.info(text)


def captured(text):
    logging.captureWarnings(True)
    warnings.warn(text, FutureWarning, stacklevel=1)
    logging.captureWarnings(False)


LIBRARIES = {  # name: (how it says something, the level that it must have)
    "console": (lambda text: logging.getLogger("t.console").warning(text), 30),
    "own level": (lambda text: logging.getLogger("t.console").notice(text), 25),
    "adapter": (adapter, 40),
    "database": (lambda text: logging.getLogger("t.database").info(text, extra={"rows": 3}), 20),
    "database and console": (lambda text: logging.getLogger("t.both").critical(text), 50),
    "propagated": (lambda text: logging.getLogger("t.parent.child").info(text), 20),
    "queue": (lambda text: logging.getLogger("t.queue").warning(text), 30),
    "rich": (
        lambda text: logging.getLogger("t.rich").error("%s and more words than fit into one line " * 3, *[text] * 3),
        40,
    ),
    "tqdm": (redirected, 20),
    "tqdm idiom": (lambda text: logging.getLogger("t.bars").debug(text), 10),
    "structlog": (lambda text: structlog.get_logger().warning(text, rows=3), 30),
    "structlog to logging": (lambda text: structlog_std.info(text, rows=3), 20),
    "structlog processor": (lambda text: structlog_own.error(text, rows=3), 40),
    "structlog processor to logging": (lambda text: structlog_both.warning(text, rows=3), 30),
    "structlog formatter": (lambda text: logging.getLogger("t.adopted").error(text), 40),
    "loguru": (lambda text: loguru.logger.success(text), 25),
    "warnings": (lambda text: warnings.warn(text, UserWarning, stacklevel=1), 30),
    "captured warnings": (captured, 30),
    "native": (lambda text: flightlog.get_logger("native").trace(text), 5),
    "print": (lambda text: print(text, flush=True), 20),
    "descriptor": (lambda text: os.write(2, text.encode() + b"\n"), 20),
}


def say(way):
    for name, (call, _) in LIBRARIES.items():
        call("<%s.%s>" % (name, way))


def thread():
    one = threading.Thread(target=say, args=("thread",))
    one.start()
    one.join()


def bare_thread():
    """A thread that `threading` knows nothing of, as one begun in C."""
    done = _thread.allocate_lock()
    done.acquire()

    def work():
        say("bare thread")
        done.release()

    _thread.start_new_thread(work, ())
    done.acquire()


def executor():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(say, "executor").result()


def task():
    async def work():
        say("task")

    async def main():
        await asyncio.gather(work())

    asyncio.run(main())


def process(kind):
    child = multiprocessing.get_context(kind).Process(target=say, args=(kind,))
    child.start()
    child.join()
    assert child.exitcode == 0


WAYS = {
    "main": lambda: say("main"),
    "thread": thread,
    "bare thread": bare_thread,
    "executor": executor,
    "task": task,
    "fork": lambda: process("fork"),
    "spawn": lambda: process("spawn"),
}

if __name__ == "__main__":
    listener.start()
    with flightlog.run("bridges") as run:
        for way, go in WAYS.items():
            with run.stage(way):
                go()
    listener.stop()
    loguru.logger.complete()
