"""Levels of the program's own, nested adapters, fields that look like others, the stack, threads that were begun in C."""

import ctypes
import logging
import sys

logging.basicConfig(level=1, stream=sys.stdout, format="%(levelname)s %(name)s %(funcName)s %(message)s")
logging.addLevelName(25, "NOTICE")
logging.addLevelName(7, "FINE")


def notice(self, message, *args, **named):
    if self.isEnabledFor(25):
        self._log(25, message, args, **named)


logging.Logger.notice = notice


class Own(logging.Logger):
    def fine(self, message, *args, **named):
        self.log(7, message, *args, **named)


logging.setLoggerClass(Own)


class Prefixed(logging.LoggerAdapter):
    def process(self, message, named):
        return "%s: %s" % (self.extra["part"], message), named


def work():
    log = logging.getLogger("own")
    log.notice("noticed")
    log.fine("fine")
    Prefixed(Prefixed(log, {"part": "b"}), {"part": "a"}).info("nested")
    log.info("fields", extra={"rows": 3, "taskName2": None, "levelname_": "x"})
    log.warning("where", stack_info=True)
    try:
        {}["k"]
    except KeyError:
        log.info("handled", exc_info=True)
    log.error("given", exc_info=ValueError("v"))


work()
Callback = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


@Callback
def callback(argument):
    logging.getLogger("c").info("from a thread of C")
    return 0


c = ctypes.CDLL(None)
number = ctypes.c_ulong()
assert c.pthread_create(ctypes.byref(number), None, callback, None) == 0
c.pthread_join(number, None)
