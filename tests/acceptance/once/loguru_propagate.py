import logging

from loguru import logger

logging.basicConfig(level=0)


class Propagate(logging.Handler):
    def emit(self, record):
        logging.getLogger(record.name).handle(record)


logger.remove()
logger.add(Propagate(), format="{message}")
logger.info("prop")
logging.info("std")
