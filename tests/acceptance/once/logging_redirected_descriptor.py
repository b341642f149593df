import logging
import os
import sys

logging.basicConfig(level="INFO")
logging.info("before")
saved = os.dup(2)
file = os.open("redirected.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.dup2(file, 2)
logging.info("inside file")
os.dup2(saved, 2)
logging.info("after")
with open("redirected.txt", "rb") as text:
    sys.stderr.write(repr(text.read()) + "\n")
