"""A formatter that prints every attribute it does not know must not see any of ours."""

import json
import logging
import sys

KNOWN = set(logging.makeLogRecord({}).__dict__) - {"msg", "levelname"}


class Json(logging.Formatter):
    def format(self, record):
        return json.dumps({k: v for k, v in record.__dict__.items() if k not in KNOWN}, sort_keys=True)


handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(Json())
log = logging.getLogger("np")
log.propagate = False
log.addHandler(handler)
log.setLevel(10)
log.info("json line", extra={"rows": 3})
print("between")
log.debug("dbg")
