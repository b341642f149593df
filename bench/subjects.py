"""The logging libraries that are compared, each set up as its users would for a log file.

Owns: one function per subject that returns `call(i)`, a closure making one logging call with three values.
Every subject writes to a file below *folder* (the OpenTelemetry one exports to nowhere, which flatters it).
Run inside a fresh process each: libraries patch each other.
"""

import logging
import os

FORMAT = "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"  # the usual one
MESSAGE = "loaded %d rows from %s in %.1f s"
BASE = "logging.FileHandler"
THROUGH, NATIVE, BARE = "flightlog through logging", "flightlog native, 3 fields", "flightlog native, no fields"
PATH = "orders/2026/part-0042.csv"


def _stdlib_call(logger):
    def call(i):
        logger.info(MESSAGE, i, PATH, 1.5)

    return call


def _root(handler):
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    return _stdlib_call(logging.getLogger("etl.load"))


def file_handler(folder):
    return _root(logging.FileHandler(os.path.join(folder, "filehandler.log")))


def queue_handler(folder):
    import logging.handlers
    import queue

    target = logging.FileHandler(os.path.join(folder, "queue.log"))
    target.setFormatter(logging.Formatter(FORMAT))
    lines = queue.SimpleQueue()
    logging.handlers.QueueListener(lines, target).start()
    root = logging.getLogger()
    root.handlers[:] = [logging.handlers.QueueHandler(lines)]
    root.setLevel(logging.INFO)
    return _stdlib_call(logging.getLogger("etl.load"))


def structlog_orjson(folder):
    import orjson
    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(open(os.path.join(folder, "structlog.log"), "ab")),
        cache_logger_on_first_use=True,
    )
    logger = structlog.get_logger("etl.load")

    def call(i):
        logger.info("loaded", rows=i, path=PATH, seconds=1.5)

    return call


def _loguru(folder, name, enqueue):
    from loguru import logger

    logger.remove()
    logger.add(os.path.join(folder, name), enqueue=enqueue)

    def call(i):
        logger.info("loaded {} rows from {} in {} s", i, PATH, 1.5)

    return call


def loguru_file(folder):
    return _loguru(folder, "loguru.log", False)


def loguru_enqueue(folder):
    return _loguru(folder, "loguru-enqueue.log", True)


def picologging_file(folder):
    import picologging

    handler = picologging.FileHandler(os.path.join(folder, "picologging.log"))
    handler.setFormatter(picologging.Formatter(FORMAT))
    logger = picologging.getLogger("etl.load")
    logger.setLevel(picologging.INFO)
    logger.addHandler(handler)
    return _stdlib_call(logger)


def opentelemetry_null(folder):
    import warnings

    warnings.simplefilter(
        "ignore"
    )  # the handler is deprecated in favour of an instrumentation package; it is what people run
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult

    class Nowhere(LogRecordExporter):
        def export(self, batch):
            return LogRecordExportResult.SUCCESS

        def shutdown(self):
            pass

        def force_flush(self, timeout_millis=30000):
            return True

    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(Nowhere()))
    root = logging.getLogger()
    root.handlers[:] = [LoggingHandler(level=logging.INFO, logger_provider=provider)]
    root.setLevel(logging.INFO)
    return _stdlib_call(logging.getLogger("etl.load"))


def spool(folder, name):
    """Return where the flightlog subject *name* writes its journal."""
    return os.path.join(folder, "spool", name.replace(" ", "-").replace(",", ""))


def _flightlog(folder, name):
    os.environ["FLIGHTLOG_HOME"] = folder
    os.environ["FLIGHTLOG_SPOOL"] = spool(folder, name)
    import flightlog

    flightlog.init(pipeline="bench")
    return flightlog


def flightlog_stdlib(folder):
    _flightlog(folder, THROUGH)
    root = logging.getLogger()
    root.handlers[:] = [logging.NullHandler()]
    root.setLevel(logging.INFO)
    return _stdlib_call(logging.getLogger("etl.load"))


def flightlog_native(folder):
    logger = _flightlog(folder, NATIVE).get_logger("etl.load")

    def call(i):
        logger.info("loaded", rows=i, path=PATH, seconds=1.5)

    return call


def flightlog_native_bare(folder):
    logger = _flightlog(folder, BARE).get_logger("etl.load")

    def call(i):
        logger.info("loaded")

    return call


SUBJECTS = {
    BASE: file_handler,
    "logging.QueueHandler": queue_handler,
    "structlog + orjson, file": structlog_orjson,
    "loguru, file": loguru_file,
    "loguru, file, enqueue": loguru_enqueue,
    "picologging.FileHandler": picologging_file,
    "OpenTelemetry handler, null exporter": opentelemetry_null,
    THROUGH: flightlog_stdlib,
    NATIVE: flightlog_native,
    BARE: flightlog_native_bare,
}
