"""Payloads that are JSON, or nearly: values of other kinds where known keys stand, other spellings of the same, and nesting.

Owns: these. Damage to bytes, whatever they mean, is `mutation`'s.
"""

import copy
import json

from fuzz import corpus

_KEYS = [
    "k",
    "t",
    "lv",
    "lg",
    "m",
    "r",
    "s",
    "th",
    "f",
    "ln",
    "fn",
    "x",
    "e",
    "src",
    "tr",
    "ev",
    "dropped",
    "other",
    "",
    "é",
    "\0",
    "a.b",
]
_KEYS += [
    "term_signal",
    "exit_code",
    "error",
    "status",
    "pipeline",
    "command",
    "frames",
    "cause",
    "type",
    "message",
    "captures",
    "uid",
]
_KINDS = ["log", "log", "log", "event", "event", "head", "drops", "later"]
_EVENTS = [
    "run.started",
    "run.ended",
    "run.adopted",
    "run.left",
    "stage.started",
    "progress",
    "capture.gap",
    "own",
    "",
    "é\n",
]
_VALUES = [
    None,
    True,
    False,
    0,
    -1,
    1,
    20,
    40,
    2**31,
    2**53,
    2**63,
    2**64,
    -(2**63) - 1,
    10**30,
    -(10**300),
    1.5,
    -0.0,
    1e308,
    5e-324,
]
_VALUES += [
    "",
    "a",
    "\0",
    "\x1b[31m",
    "é",
    "\u2028\u0085\x7f",
    "\udc80",
    "\ud83d",
    "\U0001f600",
    'a\tb\nc\rd\\e"f',
    "password=hunter2",
]
_VALUES += [
    [],
    {},
    [[]],
    [None, {"a": []}],
    {"": {"": 1}},
    corpus.RUN,
    corpus.RUN.lower(),
    "SIGSEGV",
    "1",
    {"type": 1, "frames": [1, {}, {"code": 2}]},
]
# What no value makes json.dumps write.
_RAW = [
    "NaN",
    "-Infinity",
    "1e400",
    "-1e400",
    "1E5",
    "1.0e0",
    "-0",
    "01",
    "+1",
    "0x1",
    "1" * 4300,
    "1" * 4301,
    "9" * 400 + ".5",
    "nul",
    "'a'",
]
_RAW += [
    '"\\u0000"',
    '"\\uD800"',
    '"\\ud83d\\ude00"',
    '"\\u00e9"',
    '"\\x41"',
    '"\\',
    '"\t"',
    "[1,]",
    "{,}",
    "/*a*/1",
    "\ufeff1",
    "[1]2",
]
_DEPTHS = [2, 31, 33, 63, 64, 65, 66, 100, 500, 900, 2000, 20_000]
_STAND_IN = "<a token>"
_SPACES = ["", "", " ", "\n", "\t", "\r\n  "]


def _nested(chance):
    depth = chance.choice(_DEPTHS) if chance.random() < 0.7 else chance.randrange(930, 1000)
    opening, closing = chance.choice([("[", "]"), ('{"a":', "}"), ('[{"é":', "}]"), ('["]",', "]")])
    return opening * depth + "1" + closing * (depth if chance.random() < 0.9 else depth - 1)


def _value(chance):
    if chance.random() < 0.1:
        return "x" * chance.choice([255, 256, 1023, 1025, 5000, 70_000])
    value = chance.choice(_VALUES)
    return (
        copy.deepcopy(value) if isinstance(value, (list, dict)) else value
    )  # a later change must not change it for good


def _places(value, found):
    """Collect every (container, key) of parsed JSON."""
    for key in value if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], (dict, list)) and len(found) < 60:
            _places(value[key], found)


def _changed(chance, record):
    places = []
    _places(record, places)
    holder, key = chance.choice(places) if places and chance.random() < 0.6 else (record, chance.choice(_KEYS))
    kind = chance.random()
    if kind < 0.1 and not isinstance(holder, list):
        holder.pop(key, None)
    elif kind < 0.2:
        record["k"] = chance.choice(_KINDS)
        record["ev"] = chance.choice(_EVENTS)
    elif kind < 0.3 and not isinstance(holder, list):
        holder[chance.choice(_KEYS)] = holder.pop(key, None)
    elif kind < 0.4:
        holder[key] = _STAND_IN
    else:
        holder[key] = _value(chance)


def _spelt(chance, record):
    """Return *record* as JSON, in one of the ways there are."""
    if chance.random() < 0.3:
        names = list(record)
        chance.shuffle(names)
        record = {name: record[name] for name in names}
    space = chance.choice(_SPACES) if chance.random() < 0.3 else ""
    text = json.dumps(record, ensure_ascii=chance.random() < 0.8, separators=(space + "," + space, space + ":" + space))
    if chance.random() < 0.1 and record:  # a key twice: the later one counts
        more = json.dumps({chance.choice(list(record)): _value(chance)})[1:]
        text = text[:-1] + "," + more if chance.random() < 0.5 else "{" + more[:-1] + "," + text[1:]
    if _STAND_IN in text:
        text = text.replace(f'"{_STAND_IN}"', _nested(chance) if chance.random() < 0.15 else chance.choice(_RAW))
    data = text.encode("utf-8", chance.choice(["surrogatepass", "replace"]))
    return space.encode() + data + space.encode()


def payload(chance):
    """Return a payload a few of whose values, keys or spellings are changed."""
    return changed(chance, chance.choice(corpus.PAYLOADS), (0, 1, 1, 2, 4))


def changed(chance, data, times=(1, 2)):
    """Return JSON *data* with a few of its values, keys or spellings changed."""
    record = json.loads(data)
    for _ in range(chance.choice(times)):
        _changed(chance, record)
    return _spelt(chance, record)
