import logging


class Chatty(logging.Handler):
    def emit(self, record):
        if record.name != "inner":
            logging.getLogger("inner").warning("handler says %s", record.getMessage())


logging.basicConfig(level=0)
log = logging.getLogger("a")
log.addHandler(Chatty())
log.info("outer")
