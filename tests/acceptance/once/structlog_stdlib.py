"""structlog on top of logging, once rendered by structlog and once by logging's formatter; a handler logs something else meanwhile."""

import logging
import sys

import structlog

std = structlog.stdlib


class Chatty(logging.Handler):
    def emit(self, record):
        if record.name != "inner":
            logging.getLogger("inner").info("inner")


logging.basicConfig(format="%(filename)s %(funcName)s %(message)s", stream=sys.stdout, level=logging.INFO)
logging.getLogger().addHandler(Chatty())
processors = [std.filter_by_level, std.add_log_level, structlog.processors.KeyValueRenderer()]
structlog.configure(processors=processors, logger_factory=std.LoggerFactory(), wrapper_class=std.BoundLogger)
log = structlog.get_logger("x")
log.info("std1", a=1)
log.debug("hidden")
log.warning("std2")
logging.getLogger().handlers.pop()
form = std.ProcessorFormatter(
    processors=[std.ProcessorFormatter.remove_processors_meta, structlog.dev.ConsoleRenderer()]
)
logging.getLogger().handlers[0].setFormatter(form)
structlog.configure(processors=[std.add_log_level, std.ProcessorFormatter.wrap_for_formatter])
structlog.get_logger("y").info("std3", b=2)
logging.info("plain %d", 1)
