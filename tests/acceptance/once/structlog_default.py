import structlog

log = structlog.get_logger()
log.info("s1", rows=3)
print("p1")
log.bind(a=1).warning("s2")
log.debug("s3")
try:
    {}["k"]
except KeyError:
    log.exception("s4")
