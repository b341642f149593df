"""A pipeline that does what it is told, line by line: for tests of what reaches it while it runs.

log WORD      a logging call            own WORD      a call of flightlog's own logger            say WORD      a line of output
"""

import logging
import sys

import flightlog

if len(sys.argv) > 1:
    flightlog.init(pipeline=sys.argv[1])
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(levelname)s %(message)s")
own = flightlog.get_logger("told")
while True:
    line = sys.stdin.readline()
    if not line:
        break
    verb, _, word = line.strip().partition(" ")
    if verb == "log":
        logging.getLogger("told").info(word)
    elif verb == "own":
        own.info(word)
        print("own")
    elif verb == "debug":
        logging.getLogger("told").debug(word)
    else:
        print(word)
    sys.stdout.flush()
