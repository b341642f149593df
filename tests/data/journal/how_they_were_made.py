"""How the golden files of version 1 were made, for the record: they exist and are never edited, so this refuses to run over them.

    python how_they_were_made.py DIRECTORY

Frames are built here by hand from the document, not by flightlog; `expected.jsonl` was written by the small reader in
tests/unit/journal/test_golden.py, checked line by line, and is what three readers have to agree with since.
"""

import json
import os
import struct
import sys
import zlib

RUN = "01KAG01DEN0000000000000001"
T = 1_790_000_000_000_000_000


def frame(writer, n, payload, salt_of=None):
    if not isinstance(payload, bytes):
        payload = json.dumps(payload, separators=(",", ":")).encode("ascii")
    crc = zlib.crc32(payload, zlib.crc32(bytes.fromhex(salt_of or writer))) ^ n
    return struct.pack("<IIQ", crc, 0xA7 << 24 | len(payload), n) + payload


def head(writer, number, **more):
    record = {"k": "head", "v": 1, "writer": writer, "segno": number, "node": "node-1", "boot": "b0" * 16, "pid": 4242}
    record.update(start=123456, uid=1000, t=T, mono=5_000_000_000, argv0="load.py", py="3.11.7", dropped={})
    record.update(run=RUN, pipeline="orders-etl", **more)
    return frame(writer, number, record)


def log(i, message, **more):
    return dict(
        {"k": "log", "lv": 20, "lg": "etl.load", "f": "load.py", "ln": 10 + i, "fn": "load", "m": message, "t": T + i},
        r=RUN,
        th="MainThread",
        **more,
    )


def event(i, name, data, **more):
    return dict({"k": "event", "t": T + i, "ev": name, "r": RUN, "x": data}, **more)


def normal():
    w = "11" * 16
    long = log(2, "a payload above five kilobytes", x={"text": "0123456789" * 1200})
    first = head(w, 0) + frame(w, 1, log(1, "first")) + frame(w, 2, long)
    # Another thread's record 4 came to the file before record 3; number 5 belongs to a call that never returned.
    second = head(w, 1) + frame(w, 4, log(4, "fourth")) + frame(w, 3, log(3, "third")) + frame(w, 6, log(6, "sixth"))
    return {f"{w}.000000.seg": first, f"{w}.000001.seg": second, f"{w}.lock": b""}


def kinds():
    w = "22" * 16
    at = {"file": "load.py", "line": 7, "func": "load", "code": "1 / 0"}
    inner = {"type": "ZeroDivisionError", "module": "builtins", "message": "division by zero", "frames": [at]}
    inner.update(cause=None, context=None)
    outer = {"type": "LoadError", "module": "etl.load", "message": "row 3", "frames": [dict(at, line=9, code="raise")]}
    outer.update(cause=inner, context=None)
    started = {"pipeline": "orders-etl", "kind": "attached", "parent": None, "attempt": 1, "command": ["load.py", "-v"]}
    started.update(pid=4242, start=123456, cwd="/srv/etl", uid=1000, params={"day": "2026-11-22"})
    done = {"status": "failed", "duration_ns": 90, "done": 3, "total": 5, "error": outer}
    records = [
        event(1, "run.started", started),
        event(2, "stage.started", {"total": 5}, s="extract"),
        log(3, "loaded", s="extract/merge", x={"rows": 3, "ok": True, "none": None, "ratio": 0.5, "list": [1, "a"]}),
        event(4, "progress", {"done": 3, "total": 5, "elapsed_ns": 40}, s="extract"),
        dict(log(5, "failed", s="extract", e=outer, tr=True), lv=40),
        event(6, "stage.ended", done, s="extract"),
        {"k": "drops", "t": T + 7, "dropped": {"20/pressure": 3, "30/unwritable": 1}},
        event(8, "my.own", {"anything": {"deep": [[], {}]}}),
        {"k": "kind-of-a-later-version", "t": T + 9},
        event(10, "capture.opened", {"writer": "88" * 16, "stream": "stdout", "merged": False}),
        event(11, "run.ended", {"status": "failed", "duration_ns": 99, "by": "sdk", "error": outer}),
    ]
    data = head(w, 0, role="shim") + b"".join(frame(w, n, record) for n, record in enumerate(records, 1))
    return {f"{w}.000000.seg": data}


def texts():
    w = "33" * 16
    fields = {
        "nan": "nan",
        "inf": "-inf",
        "u64": 2**64 - 1,
        "i64": -(2**63),
        "big": str(2**80),
        "huge": "<integer of 9999 bits>",
    }
    fields.update(surrogate="\\udc80", nul="\0", control="\x1b[31m\r\n\t\x7f", line="\u2028", key="\U0001f600")
    fields['\u00fcber "quoted"'] = ""
    raw = json.dumps(log(2, "raw UTF-8: \u00e9 \u20ac \U0001f600 \u00a7"), ensure_ascii=False).encode("utf-8")
    data = head(w, 0) + frame(w, 1, log(1, "\u00e9 \u20ac \U0001f600 \u00a7", x=fields)) + frame(w, 2, raw)
    return {f"{w}.000000.seg": data + frame(w, 3, log(3, "")) + frame(w, 2**32 - 1, {"k": "log", "m": "few keys"})}


def broken():
    torn, short, corrupt, empty = ("44" * 16, "55" * 16, "66" * 16, "77" * 16)
    good = head(torn, 0) + frame(torn, 1, log(1, "whole"))
    files = {f"{torn}.000000.seg": good + frame(torn, 2, log(2, "never returned"))[:-7]}
    files[f"{short}.000000.seg"] = head(short, 0) + frame(short, 1, log(1, "x"))[:9]
    # A short write, then the same record whole in the next segment.
    files[f"{short}.000002.seg"] = head(short, 2) + frame(short, 1, log(1, "x"))
    flipped = bytearray(frame(corrupt, 2, log(2, "damaged \u00a7")))
    flipped[40] ^= 0x20
    forged = frame(corrupt, 4, log(4, "of another writer"), salt_of=torn)
    wrong = b"\xa7" * 40  # looks like tags everywhere
    files[f"{corrupt}.000000.seg"] = b"".join(
        (
            head(corrupt, 0),
            frame(corrupt, 1, log(1, "before")),
            bytes(flipped),
            frame(corrupt, 3, log(3, "between")),
            forged + wrong,
            frame(corrupt, 5, log(5, "behind")),
            b"\x00" * 5,
        )
    )
    files[f"{empty}.000000.seg"] = b""
    return files


def mark(n, text, crc=None):
    value = zlib.crc32(text) if crc is None else crc
    return b"\x1b_fl;%s.%d;%d;%08x\x1b\\%s" % (b"22" * 16, n, len(text), value, text)


def capture():
    w = "88" * 16
    meta = {"stream": "stdout", "run": RUN, "pipeline": "orders-etl", "node": "node-1", "boot": "b0" * 16, "uid": 1000}
    meta.update(pid=0, keeper=[4240, 123400], k="capture", v=1, writer=w, t=T)
    stream = b"printed\n" + mark(3, b"INFO loaded\n") + b"no newline" + mark(5, b"ERROR failed\nTraceback\n")
    cut = len(stream) - 30  # the second segment begins inside a mark's text
    stream += mark(6, b"forged\n", crc=1) + b"\x1b[32mgreen\x1b[0m \xff\xfe\r\n" + b"\x1b_fl;" + b"end"
    entries = [(8, T + 1, 1), (cut, T + 2, 2)], [(40, T + 3, 3), (len(stream) - cut, T + 4, 4)]
    first, second = (b"".join(struct.pack("<QQQ", *entry) for entry in part) for part in entries)
    return {
        f"{w}.meta": json.dumps(meta, separators=(",", ":")).encode(),
        f"{w}.000000.cap": stream[:cut],
        f"{w}.000001.cap": stream[cut:],
        f"{w}.000000.idx": first,
        f"{w}.000001.idx": second + b"\1\2\3",
        f"{w}.end": b"",
    }


def main(directory):
    for group in (normal, kinds, texts, broken, capture):
        for name, data in group().items():
            with open(os.path.join(directory, name), "xb") as file:  # x: refuses to overwrite
                file.write(data)


if __name__ == "__main__":
    main(sys.argv[1])
