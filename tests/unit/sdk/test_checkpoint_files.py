"""The files of checkpoints: whole or not at all, and the one before when one is torn or damaged."""

import os
import stat

import pytest

from flightlog.sdk import digests, inputs, lineage, slots


def places(folder):
    return sorted(os.listdir(folder))


def test_the_newer_of_two_counts_and_both_are_private(tmp_path):
    folder = str(tmp_path)
    before = os.umask(0)
    try:
        numbers = [slots.store(folder, "k", {"key": "k"}, text) for text in ("1", "2", "3")]
    finally:
        os.umask(before)
    assert numbers == [1, 2, 3] and places(folder) == ["k.0", "k.1"]
    found = slots.read(folder, "k")
    assert (found.n, found.text, found.facts["key"]) == (3, "3", "k")
    assert {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in places(folder)} == {0o600}
    assert slots.read(folder, "other") is None and slots.read(folder + "/none", "k") is None


@pytest.mark.parametrize("spoil", ["cut", "empty", "flip", "foreign", "newer", "trailing"])
def test_a_spoiled_file_is_recognised_and_the_one_before_is_used(tmp_path, spoil):
    folder = str(tmp_path)
    slots.store(folder, "k", {}, '"old"')
    slots.store(folder, "k", {}, '"new"')
    path = tmp_path / "k.0"
    data = path.read_bytes()
    path.write_bytes(
        {
            "cut": data[:-3],
            "empty": b"",
            "flip": data[:-2] + bytes([data[-2] ^ 1]) + data[-1:],
            "foreign": b"\0" * len(data),
            "newer": data.replace(b"checkpoint 1 ", b"checkpoint 2 ", 1),
            "trailing": data + b"x",
        }[spoil]
    )
    troubles = []
    found = slots.read(folder, "k", troubles)
    assert found.text == '"old"' and len(troubles) == 1 and str(path) in troubles[0]
    assert ("version" in troubles[0]) == (spoil == "newer")
    slots.store(folder, "k", {}, '"next"')  # takes the place of the spoiled one
    assert slots.read(folder, "k").text == '"next"' and slots.unpack((tmp_path / "k.1").read_bytes()).text == '"old"'


def test_every_prefix_of_a_file_of_marks_gives_a_prefix_of_its_items(tmp_path):
    one = digests.DigestFile(str(tmp_path), "load")
    known = [digests.digest_of(n) for n in range(7)]
    one.append(known[:3])
    one.append(known[3:])
    one.close()
    (name,) = places(tmp_path)
    data = (tmp_path / name).read_bytes()
    assert digests.parse(data) == ("load", known, True)
    believed = set()
    for size in range(data.index(b"\n") + 1, len(data)):
        stage, found, whole = digests.parse(data[:size])
        assert stage == "load" and found == known[: len(found)]
        assert whole == (size in (data.index(b"\n") + 1, len(data) - 8 - 4 * digests.DIGEST_BYTES))
        believed.add(len(found))
    assert believed == {0, 3}
    spoiled = bytearray(data)
    spoiled[data.index(b"\n") + 12] ^= 1
    assert digests.parse(bytes(spoiled))[1] == []
    with pytest.raises(ValueError):
        digests.parse(data.replace(b'"v":1', b'"v":9'))


def test_marks_tell_keys_apart_and_know_them_again():
    keys = ["1", 1, b"1", ("a", 1), 1.5, "", None, "\ud800", 2**70]
    found = [digests.digest_of(key) for key in keys]
    assert len(set(found)) == len(keys) and all(len(digest) == digests.DIGEST_BYTES for digest in found)
    assert digests.digest_of(True) == digests.digest_of(1)
    assert digests.digest_of(object()) is None


def test_the_same_work_is_known_by_its_parameters():
    same = [lineage.work_of("orders", {"b": 1, "a": [1, {"x"}]}), lineage.work_of("orders", {"a": [1, {"x"}], "b": 1})]
    assert same[0] == same[1] and len(same[0]) == lineage.WORK_LENGTH
    others = [lineage.work_of(name, params) for name, params in (("orders", {}), ("orders", {"a": 1}), ("order", {}))]
    assert len({*same, *others}) == 4
    assert lineage.work_of("p", {"o": object()}) == lineage.work_of("p", {"o": object()})


def test_files_that_parameters_and_command_lines_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("rows")
    os.mkfifo(tmp_path / "fifo")
    found = inputs.named({"source": "a.csv", "deep": [tmp_path / "b.csv"]}, ["--in=a.csv", "fifo", "none", "\0", ""])
    assert [os.path.basename(one["path"]) for one in found] == ["a.csv", "b.csv"]
    then = found[0]
    assert inputs.change(then, inputs.look(then["path"])) == ""
    os.utime("a.csv", ns=(1, 1))
    assert inputs.change(then, inputs.look(then["path"])) == ""  # the same content
    (tmp_path / "a.csv").write_text("ROWS")
    assert "content" in inputs.change(then, inputs.look(then["path"]))
    large = inputs.look(then["path"], 1)
    os.utime("a.csv", ns=(5, 5))
    assert large["sha"] is None and "written" in inputs.change(large, inputs.look(then["path"], 1))
    os.unlink("a.csv")
    assert inputs.change(then, inputs.look(then["path"])) == "is gone"
