"""basicConfig before, again, with force, dictConfig: the handlers come and go, the records do not care."""

import logging
import logging.config

logging.getLogger("early").warning("before any configuration")
logging.basicConfig(level="INFO")
logging.info("a")
logging.basicConfig(level="DEBUG")  # does nothing: there is a handler
logging.debug("hidden")
logging.basicConfig(level="INFO", force=True)
logging.info("b")
console = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
root = {"level": "INFO", "handlers": ["c"]}
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "handlers": {"c": console}, "root": root})
logging.info("c")
