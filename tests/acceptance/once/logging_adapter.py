import logging

logging.basicConfig(level=20, format="%(filename)s %(lineno)d %(funcName)s %(message)s")


def work():
    log = logging.getLogger("l")
    logging.LoggerAdapter(log, {"x": 1}).info("adapted")
    log.info("same")
    log.info("same")
    log.log(35, "between levels")
    log.info("stack", stack_info=True)


work()
