"""Config files that are broken, each in its own way: for tests of what must not happen then."""

import os

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
MAPS = "m0: &m0 {x: 1, y: 2}\n" + "".join(
    f"m{n}: &m{n} {{{', '.join(f'k{i}: *m{n - 1}' for i in range(10))}}}\n" for n in range(1, 10)
)

# Of each of these flightlog says that it is wrong.
MALFORMED = {
    "bytes of a program": bytes(range(256)) * 8,
    "UTF-16": "monitoring:\n  enabled: true\n".encode("utf-16"),
    "zero bytes": b"monitoring:\n  enabled: true\0\0\0\n",
    "tabs": b"agent:\n\tbatch_rows: 5\n",
    "an open quote": b"agent:\n  batch_rows: 'five\nspool:\n  keep: 1h\n",
    "an open brace": b"agent: {batch_rows: 5\n",
    "an open list": b"logging:\n  redact:\n    keys: [abc, def\n",
    "a list": b"- monitoring\n- logging\n",
    "a word": b"monitoring\n",
    "two documents": b"agent:\n  batch_rows: 5\n---\nagent:\n  batch_rows: 6\n",
    "an indentation that fits nothing": b"agent:\n    batch_rows: 5\n  batch_bytes: 1MiB\n",
    "a star for an alias": b"monitoring:\n  rollout:\n    include: [*-nightly]\n",
    "an alias of nothing": b"agent: *nowhere\n",
    "a tag of nobody's": b"agent:\n  batch_rows: !orders 5\n",
    "a tag that would run something": b"agent:\n  batch_rows: !!python/object/apply:os.mkdir [pwned]\n",
    "a day that is none": b"agent:\n  batch_rows: 2024-99-99\n",
    "an alias inside of itself": b"agent: &a\n  batch_rows: *a\n  x: {y: *a}\n",
    "a mapping of mappings of mappings": MAPS.encode() + b"agent: *m9\n",
    "a list of lists of lists": LAUGHS.encode() + b"agent:\n  batch_rows: *a9\n",
    "nested deeply": b"agent:\n  batch_rows: " + b"[" * 500,
    "a number of 5000 digits": b"agent:\n  batch_rows: " + b"9" * 5000 + b"\n",
    "wrong everywhere": b"database: 5\nlogging: [a]\nmonitoring: {enabled: perhaps, rollout: 25}\nagent: {batch_rows: []}\nspool: {quota: {}}\n",
    "more than a config file may be": b"# nothing\n" * 120_000,
}


def put(path, data):
    """Write it in place of what is there, as an editor does."""
    fresh = f"{path}.new"
    with open(fresh, "wb") as file:
        file.write(data)
    os.replace(fresh, path)
