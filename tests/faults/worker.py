"""Loaded by the victims of the fault tests, in any interpreter from 3.8 on: log, then tell the witness.

The witness is a file outside of flightlog, one line per call that returned: `name number checksum`. It is written after the call, by one write(2) to a
file opened with O_APPEND, so it survives whatever happens to the victim, and says less than what was accepted, never more.
A text is `w:name:number:padding`, so that the row of each record is found again, whoever logged it and however.
"""

import os
import sys
import zlib

PATH = os.environ.get("FAULT_WITNESS", "")
_fd = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666) if PATH else -1


def text(name, n, size=0):
    """The text of record *n* of *name*: different bytes for each of them."""
    padding = ("%x" % zlib.crc32(b"%d" % n)) * (size // 8 + 1)
    return "w:%s:%d:%s" % (name, n, padding[:size])


def saw(name, n, said):
    """Tell the witness that the call which logged *said* has returned."""
    os.write(_fd, b"%s %d %08x\n" % (name.encode(), n, zlib.crc32(said.encode("utf-8", "surrogatepass"))))


def log(call, name, n, size=0, **fields):
    """Log record *n* of *name* by *call*, then tell the witness."""
    said = text(name, n, size)
    call(said, **fields)
    saw(name, n, said)


def rotate_at(size):
    """Let segments of this process have about *size* bytes, whatever the quota is."""
    from flightlog.sdk.recorder import recorder

    recorder._start()
    recorder._size_segments = lambda: None
    recorder.writer.rotate_bytes = size


def argument(index, default=""):
    """The victim's *index*th argument."""
    return sys.argv[index] if len(sys.argv) > index else default
