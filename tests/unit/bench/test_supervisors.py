"""Marks of the head-to-head bench: nobody gets a point for what was not said, and the notes say only what the record holds."""

import json
import re

import pytest
from bench import results
from bench.supervisors import __main__ as again
from bench.supervisors import causes, score
from bench.supervisors.record import Record
from bench.supervisors.system import Outcome

NAMED = {program.name.partition("_")[0]: program for program in causes.PROGRAMS}
SYSTEMS = ["flightlog", "supervisord", "circus", "honcho"]
SAID = {
    "supervisord": ("exited: x (exit status 3; not expected)", "exited: x (terminated by SIGSEGV; not expected)"),
    "circus": ("hook after_reap: exit code 3", "hook after_reap: exit code -11"),
    "honcho": ("x.1 stopped (rc=3)", "x.1 stopped (rc=-11)"),
}


def outcome(words="", output="last word", verdict="", confidence="", left=0):
    return Outcome(words, output, 1.0, left, verdict, confidence)


@pytest.mark.parametrize("system", SAID)
def test_words_of_a_peer_count_for_what_they_say_only(system):
    status, crash = SAID[system]
    assert score.judge(NAMED["02"], system, outcome(status))["named"]
    assert not score.judge(NAMED["02"], system, outcome(crash))["named"]
    assert score.judge(NAMED["18"], system, outcome(crash))["named"]
    assert not score.judge(NAMED["18"], system, outcome(status))["named"]
    assert not score.judge(NAMED["07"], system, outcome(status))["named"]


def test_verdict_of_ours_is_wrong_or_without_the_detail():
    def wrong(program, *said):
        mark = score.judge(NAMED[program], "flightlog", outcome(*said[:1], "last word", *said[1:]))
        return mark["named"], mark["wrong"]

    assert wrong("07", "KeyError: 'a'", "python-exception", "proven") == (True, "")
    assert wrong("07", "an exception", "python-exception", "proven") == (False, "")
    assert wrong("07", "", "exit-status", "proven") == (False, "proven and wrong")
    assert wrong("07", "", "exit-status", "likely") == (False, "wrong")
    assert wrong("07", "", "unknown", "unknown") == (False, "")
    assert wrong("25", "", "oom-host", "likely") == (False, "must never be said")


def test_burst_has_to_be_there_to_its_last_byte():
    assert score.judge(NAMED["52"], "circus", outcome(output="x" * 400_000 + "last word"))["kept"]
    assert not score.judge(NAMED["52"], "circus", outcome(output="x" * 9000 + "last word"))["kept"]


def test_section_is_made_of_the_record_alone_and_claims_what_it_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_BENCH_RECORD", str(tmp_path / "record.json"))
    record = Record(SYSTEMS, {"flightlog": "1"}, {"57_oom_cgroup": "no memory cgroup can be made"}, 2)
    for program, kept in (("52", 400_010), ("02", 9)):
        for system in SYSTEMS:
            output = "x" * (kept - 9) + "last word" if system != "honcho" else "last"
            record.facts["marks"].append(score.judge(NAMED[program], system, outcome(output=output)))
    row = {"system": "circus", "everybody": False, "program": "talks", "killed": 1, "alive": 1, "said": 9, "kept": 0}
    record.facts["survival"].append({**row, "copies": 2, "left": 1})
    record.write()
    section = score.section(json.loads((tmp_path / "record.json").read_text()))
    assert "The last output of every program was kept by flightlog, supervisord, circus." in section
    assert "honcho did not keep that of 52 burst, 02 exit 3." in section
    assert "kept whole by flightlog, supervisord, circus." in section
    assert "| circus | talks | 1 | 0 of 9 lines | 2 | 1 |" in section
    assert "no memory cgroup can be made" in section


def test_record_is_written_into_the_results_when_it_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    monkeypatch.setenv("FLIGHTLOG_BENCH_RECORD", str(path))
    monkeypatch.setattr(results, "PATH", str(tmp_path / "RESULTS.md"))
    monkeypatch.setattr("sys.argv", ["supervisors", str(path)])
    record = Record(SYSTEMS, {}, {}, 1)
    record.facts.update(when="2026-01-02T03:04:05+00:00", machine="a machine of old")
    record.facts["marks"] = [score.judge(NAMED["02"], system, outcome()) for system in SYSTEMS]
    record.write()
    with pytest.raises(SystemExit):
        again.main()
    assert not (tmp_path / "RESULTS.md").exists()
    record.facts["whole"] = True
    record.write()
    assert again.main() == 0
    text = (tmp_path / "RESULTS.md").read_text()
    assert "Measured 2026-01-02 03:04 UTC on a machine of old." in text and "| 02 exit 3 |" in text


def test_every_pattern_is_one_and_every_verdict_a_word_of_ours():
    from flightlog.process.verdict import VERDICTS

    for program in causes.PROGRAMS:
        re.compile(program.told)
        assert set(program.right) | set(program.never) <= set(VERDICTS), program.name
