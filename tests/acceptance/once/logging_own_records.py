"""Classes and factories of the program's own, copies and pickles of records."""

import copy
import logging
import pickle


class Shouting(logging.LogRecord):
    def getMessage(self):
        return super().getMessage().upper()


class Look(logging.Handler):
    def emit(self, record):
        twins = [copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))]
        print(type(record).__name__, type(record).__module__, repr(record)[:11])
        print([sorted(vars(twin)) == sorted(vars(record)) and isinstance(twin, logging.LogRecord) for twin in twins])


def factory(*args, **kw):
    record = before(*args, **kw)
    record.custom = 1
    return record


logging.basicConfig(level=20)
logging.getLogger().addHandler(Look())
logging.info("plain %d", 1)
before = logging.getLogRecordFactory()
logging.setLogRecordFactory(factory)
logging.info("by a factory")
logging.setLogRecordFactory(Shouting)
logging.getLogger().handlers.pop()
logging.info("by a class")
logging.getLogger("made").handle(logging.makeLogRecord({"msg": "made", "levelno": 30, "levelname": "WARNING"}))
