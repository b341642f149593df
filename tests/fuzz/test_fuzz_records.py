"""The record decoder among a million damaged payloads: what is JSON becomes a record that says the same, the rest a dead letter; nothing else is raised.

What it is held against is `json.loads`; each record is brought to every form it is stored in.
"""

import json

from campaign import rounds

from flightlog.agent.decode import NOTHING, Frame, clean, clean_text, decode, raw_text
from flightlog.agent.sites import Sites
from flightlog.errors import PoisonRecord
from fuzz import corpus, jsontext
from fuzz.bounds import bounded, watched
from fuzz.forms import Forms
from fuzz.mutation import BLOCK, SEED, blocks, damaged, generator

DEEP = 400  # nesting that the interpreter may refuse to follow, according to how deep it stands itself
TEXTS = {"m": "", "r": "", "k": "", "ev": "", "s": None, "th": None, "lg": None, "f": None, "fn": None, "src": "sdk"}
NUMBERS = {"t": 0, "lv": 20, "ln": None}


def parsed(payload):
    """Return *payload* as `json` understands it, None when it is no object, or no UTF-8, of which `json` is not strict."""
    try:
        record = json.loads(payload.decode())
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def is_deep(payload):
    return payload.count(b"[") + payload.count(b"{") > DEEP


def says(frame, record):
    """Whether *frame* says what *record* does, as far as that has the types of the document."""
    for key, default in TEXTS.items():
        value = record.get(key)
        if isinstance(value, str) or value is None:
            assert getattr(frame, key) == (default if value is None else clean_text(value)), key
    for key, default in NUMBERS.items():
        value = record.get(key)
        if type(value) is int or value is None:
            assert getattr(frame, key) == (default if value is None else value), key
    assert frame.tr == (record.get("tr") is True)
    for key in ("x", "e"):
        raw = getattr(frame, key)
        if raw is NOTHING or bytes(raw) == b"null":
            assert record.get(key) is None
        else:
            found = json.dumps(json.loads(raw_text(raw)))
            assert found in (json.dumps(record[key]), json.dumps(clean(record)[key])), key


def fields_of(site, record):
    """Everything that was read, for comparison."""
    shared = (
        record.t,
        record.m,
        record.r,
        record.s,
        record.th,
        bytes(record.x),
        bytes(record.e),
        record.src,
        record.tr,
        record.k,
    )
    return shared + (site.lv, site.lg, site.f, site.ln, site.fn, getattr(record, "ev", ""))


def check(payload, sites, forms):
    record = parsed(payload)
    try:
        frame = decode(payload)
    except PoisonRecord as problem:
        assert record is None or is_deep(payload), problem.message
        assert problem.message.encode()
        assert "\0" not in problem.message
        try:
            sites.read(payload)
        except PoisonRecord:
            forms.refused(payload, problem)
            return
        raise AssertionError("cut in two it is a record, whole it is none") from None
    try:
        site, found = sites.read(payload)
    except PoisonRecord as problem:
        assert is_deep(payload), "whole it is a record, cut in two it is none"
        forms.refused(payload, problem)
        return
    whole = (frame.lv, frame.lg, frame.f, frame.ln, frame.fn)
    assert fields_of(site, found) == fields_of(site._replace(**dict(zip(("lv", "lg", "f", "ln", "fn"), whole))), frame)
    if record is not None and not is_deep(payload):
        says(frame, record)
    forms.made(site, found, frame, payload)


def test_damaged_payloads_become_records_or_dead_letters():
    count = rounds(5 * BLOCK, 50 * BLOCK)
    dead = events = 0
    with watched():
        for block in blocks(count):
            sites, forms = Sites(), Forms()
            for index in block:
                chance = generator(index)
                data = jsontext.payload(chance) if chance.random() < 0.7 else chance.choice(corpus.PAYLOADS)
                if chance.random() < 0.4:
                    data = damaged(chance, data, corpus.PAYLOADS)
                bounded(check, index, data, sites, forms, size=len(data))
            dead, events = dead + forms.dead, events + forms.events
    print(f"seed {SEED}: {count} payloads, {events} of them events, {dead} dead letters")
    assert 0 < dead < count / 2
    assert isinstance(decode(b"{}"), Frame)
