"""Both ways to bring logging's records into loguru: a fixed depth, and walking up the stack by logging's file name."""

import inspect
import logging
import sys

from loguru import logger


class ByDepth(logging.Handler):
    def emit(self, record):
        logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())


class ByWalking(logging.Handler):
    def emit(self, record):
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame = frame.f_back
            depth += 1
        logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())


def work(name):
    logging.getLogger("lib").info("from stdlib %s", name)
    logger.info("native {}", name)


logger.remove()
logger.add(sys.stderr, format="{level}|{name}|{function}|{line}|{message}")
for handler in (ByDepth(), ByWalking()):
    logging.basicConfig(handlers=[handler], level=0, force=True)
    work(type(handler).__name__)
