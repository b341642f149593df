import logging

print("print 1")
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="X")
log = logging.getLogger("etl")
log.info("info 1")
log.debug("hidden")
log.warning("warn %s", 2)
print("print 2")
try:
    {}["k"]
except KeyError:
    log.exception("boom")
print("print 3")
