"""Secrets in structures: fields by their name, values by their look, pairs of name and value, argument lists.

An argument list is a list of texts like any other: what stands behind `--password`, `--password=` and `PGPASSWORD=` is masked. An option whose name
says nothing (`-phunter2`) is not understood.

Invariants: what is given is never changed; what lies deeper than is looked at is masked. Owns: walking. Leaves names to `keys`, texts to the package.
"""

from __future__ import annotations

from . import keys, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

MAX_DEPTH = 40  # deeper than records are encoded
MAX_PAIR_NAME = 64
_NAMES, _VALUES = ("name", "key"), ("value", "val")


def fields(value: object, depth: int = 0) -> object:
    """Return *value*, a tree of what JSON can carry, with secrets masked, in names as well."""
    kind = type(value)
    if kind is str:
        return scan.text(value)  # type: ignore[arg-type]
    if value is None or kind is bool or kind is int or kind is float:
        return value
    if depth > MAX_DEPTH:
        return scan.MASK
    if isinstance(value, dict):
        return _mapping(value, depth)
    if isinstance(value, (list, tuple)):
        return _sequence(value, depth)
    return scan.text(str.__str__(value)) if isinstance(value, str) else value


def _mapping(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    result = {}
    plain = keys.plain
    for name, item in value.items():
        if name not in plain and type(name) is str:
            name, secret = _name(name)
            if secret and item is not None:
                item = scan.MASK
        kind = type(item)
        if kind is str:
            item = scan.text(item)
        elif kind is not int and item is not None:
            item = fields(item, depth + 1)
        result[name] = item
    for name in _NAMES:  # {"name": "password", "value": "x"}
        told = value.get(name)
        if type(told) is str and len(told) <= MAX_PAIR_NAME and keys.is_secret_key(told):
            result.update((key, scan.MASK) for key in _VALUES if result.get(key) is not None)
    return result


def _name(name: str) -> tuple[str, bool]:
    """Return a field's name, masked, and whether it is a secret's; what is neither is remembered as plain."""
    secret, safe = keys.is_secret_key(name), scan.text(name)
    if not secret and safe == name and len(name) <= MAX_PAIR_NAME:
        if len(keys.plain) >= keys.MAX_KNOWN:
            keys.plain.clear()
        keys.plain.add(name)
    return safe, secret


def _sequence(value: Sequence[Any], depth: int) -> list[Any]:
    if len(value) == 2 and _names_secret(value[0]) and value[1] is not None:  # ("Authorization", "x")
        return [fields(value[0], depth + 1), scan.MASK]
    result = []
    secret_next = False
    for item in value:
        if type(item) is str:
            masked = secret_next and item[:2] != "--"
            secret_next = item[:1] == "-" and _names_secret(item)
            item = scan.MASK if masked else _argument(item)
        else:
            secret_next = False
            item = fields(item, depth + 1)
        result.append(item)
    return result


def _argument(text: str) -> str:
    """Return one argument; what stands behind a secret's name and `=` goes up to its end, blanks or not."""
    name, sign, rest = text.partition("=")
    if sign and rest and len(name) <= MAX_PAIR_NAME and keys.folded(name).isalnum() and keys.is_secret_key(name):
        return name + "=" + scan.MASK
    return scan.text(text)


def _names_secret(value: object) -> bool:
    return type(value) is str and len(value) <= MAX_PAIR_NAME and " " not in value and keys.is_secret_key(value)
