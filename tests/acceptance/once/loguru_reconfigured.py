import sys

from loguru import logger


def form(record):
    record["extra"]["k"] = 1
    return "{message} {extra}\n"


logger.remove()
logger.add(sys.stderr, format="{level}|{message}|{extra}", level="INFO")
logger.add(sys.stdout, format="OUT {message}", level="INFO", filter=lambda r: "x" in r["message"])
logger.debug("hidden")
logger.info("a")
logger.info("ax")
logger.bind(u=1).success("s")
logger.remove()
logger.add(sys.stderr, format=form)
logger.opt(raw=True).info("raw without a newline")
logger.opt(colors=True).info("<red>colour</red>")
