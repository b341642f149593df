import json

import structlog


def as_bytes(*args, **kw):
    return json.dumps(*args, **kw).encode()


structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(20),
    processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(serializer=as_bytes)],
    logger_factory=structlog.BytesLoggerFactory(),
)
log = structlog.get_logger()
log.debug("hidden")
log.info("shown", n=1)
print("p", flush=True)
log.error("e")
