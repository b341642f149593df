from loguru import logger

logger.info("l1")
print("p")
logger.debug("l2 {}", 3)
try:
    {}["k"]
except KeyError:
    logger.exception("l3")
