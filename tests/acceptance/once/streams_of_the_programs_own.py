"""Streams that look like Python's and do something else with the text: no mark may get into a file, or stand before another text."""

import codecs
import logging
import os
import sys


class Tee:
    def __init__(self, *files):
        self.files = files

    def write(self, text):
        for file in self.files:
            file.write(text)

    def flush(self):
        for file in self.files:
            file.flush()

    def __getattr__(self, name):
        return getattr(self.files[0], name)


def say(stream, text):
    logging.basicConfig(level=20, stream=stream, format="%(message)s", force=True)
    logging.info(text)


with open("copy.txt", "w") as copy:
    say(Tee(sys.stderr, copy), "tee")
say(codecs.getwriter("latin-1")(sys.stderr.buffer), "caf\u00e9")
sys.stderr.reconfigure(newline="\r\n")
say(sys.stderr, "line of Windows")
sys.stderr.reconfigure(newline="\n")
say(sys.stderr, "as usual")
saved, file = os.dup(2), os.open("file.txt", os.O_WRONLY | os.O_CREAT)
os.dup2(file, 2)
say(sys.stderr, "in a file")
os.dup2(saved, 2)
for name in ("copy.txt", "file.txt"):
    with open(name, "rb") as text:
        print(text.read())
