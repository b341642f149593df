"""For tests of damage: a writer's segments made by hand, every record told to the witness, and ways to spoil the bytes."""

import os

from flightlog import identity
from flightlog.journal.format import frame, salt_of, segment_name
from integration.shipping import head, log
from worker import text

PAGE = 4096


class Spoiled:
    """One dead writer with *count* records in *segments* segments, in memory until `write`.

    Attributes:
        segments: the bytes of each segment.
        spans: (segment, begin, end, number) of each record's frame, in order.
        heads: (begin, end) of each segment's header.
    """

    def __init__(self, name, count, segments=1, size=0, poison=None):
        self.name, self.writer, self.run = name, identity.new_writer_id(), identity.new_ulid()
        salt = salt_of(self.writer)
        self.segments, self.spans, self.heads, self.texts = [], [], [], []
        n = 0
        for segno in range(segments):
            before = [segno - 1, len(self.segments[-1]) if self.segments else 0]
            data = bytearray(frame(head(self.writer, segno, self.run, prev=before), salt, segno))
            self.heads.append((0, len(data)))
            for _ in range(count // segments):
                said = text(name, n, size)
                payload = log(self.run, said)
                if n == poison:
                    payload = payload.replace(b'{"k"', b'{"x":{"a":1e400000},"k"', 1)
                self.texts.append(said)
                begin = len(data)
                data += frame(payload, salt, n + 1)
                self.spans.append((segno, begin, len(data), n))
                n += 1
            self.segments.append(data)

    def write(self, spool, witness, told=None):
        """Write the files that there are (None: left out), and tell the witness of all records, or of those in *told*."""
        import zlib

        identity.make_spool(spool)
        for segno, data in enumerate(self.segments):
            if data is not None:
                with open(os.path.join(spool, segment_name(self.writer, segno)), "wb") as file:
                    file.write(data)
        with open(witness, "ab") as file:
            for n, said in enumerate(self.texts):
                if told is None or n in told:
                    file.write(b"%s %d %08x\n" % (self.name.encode(), n, zlib.crc32(said.encode())))

    def touched(self, segno, before):
        """Numbers of the records whose bytes in segment *segno* are not what they were *before*."""
        now = self.segments[segno]
        return {n for at, begin, end, n in self.spans if at == segno and now[begin:end] != before[begin:end]}
