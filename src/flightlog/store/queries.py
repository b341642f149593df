"""Named SQL: every statement of the product lives in `store/sql`, one file per subject, and is found by its name.

    -- name: runs_of_pipeline
    SELECT ...

Owns: loading these files. Leaves executing them to callers. Parameters are psycopg's, `%(name)s`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)[ \t]*\n", re.M)


@cache
def named(subject: str) -> dict[str, str]:
    """Return the statements of `sql/queries/<subject>.sql` by name, without trailing semicolons. KeyError for no such file is a bug."""
    text = resources.files(__package__).joinpath("sql", "queries", subject + ".sql").read_text("utf-8")
    parts = _NAME.split(text)
    found = {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    if len(found) * 2 + 1 != len(parts):
        raise ValueError(f"sql/queries/{subject}.sql names a statement twice")
    return found


def query(subject: str, name: str) -> str:
    """Return one statement."""
    return named(subject)[name]
