import sys

import structlog

structlog.contextvars.bind_contextvars(request="r1")
structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
log = structlog.get_logger()
log.info("w1")
log.info("w2", n=2)
