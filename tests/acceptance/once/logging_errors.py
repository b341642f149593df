"""What logging prints about its own errors, with its lines and its call stack, stays as it was."""

import logging
import sys


class Broken(logging.Handler):
    def emit(self, record):
        raise ValueError("of the program's own")


def work():
    logging.info("%d", "x")
    logging.info("\u00e9")
    logging.info("ok")


sys.stderr.reconfigure(encoding="ascii", errors="strict")
logging.basicConfig(level=20, format="%(funcName)s %(message)s")
work()
logging.getLogger("broken").addHandler(Broken())
try:
    logging.getLogger("broken").warning("dies")
except ValueError:
    import traceback

    print(traceback.format_exc())
