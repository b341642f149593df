import logging
import sys

root = logging.getLogger()
root.setLevel(20)
root.addHandler(logging.StreamHandler())
root.addHandler(logging.StreamHandler(sys.stdout))
root.info("to both")
