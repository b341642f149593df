"""Why a run ended, in one word of DESIGN D7, from evidence alone: a pure function.

    judge(evidence) -> {"verdict", "confidence", "because": [sentences], "ruled_out": [sentences]}

Evidence is the data of `run.ended` (docs/reference/evidence.md). Confidence: `proven` (nothing else can have caused this), `likely` (it fits, and
what else would fit is less likely), `unknown`. Invariants: total, deterministic, no clock, no files; whatever is missing or of a wrong type is as
if nobody had looked; a cause is never proven by the absence of evidence; the first rule that has something to say speaks, from our own doings
over the kernel's to the program's. Owns: that order. Leaves the rules to `verdict_signal` and `verdict_exit`, collecting to `death`.
"""

from __future__ import annotations

from . import verdict_exit, verdict_signal
from .case import LIKELY, PROVEN, UNKNOWN, Case, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERDICTS = (
    "ok",
    "ok-odd",
    "ok-degraded",
    "exit-status",
    "python-exception",
    "config-error",
    "exec-failure",
    "memory-error",
    "oom-cgroup",
    "oom-host",
    "cpu-limit",
    "file-limit",
    "native-crash",
    "abort",
    "hang-killed",
    "deadline",
    "stopped-by-us",
    "stopped-outside",
    "collateral",
    "host-restart",
    "unknown",
)
CONFIDENCES = (PROVEN, LIKELY, UNKNOWN)
_BY_REASON = {"deadline": "deadline", "hang": "hang-killed"}


def judge(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict; see the module. Never raises for anything that JSON can carry."""
    case = Case(evidence)
    found = _judge(case)
    return {
        "verdict": found.verdict,
        "confidence": found.confidence,
        "because": found.because + case.remarks(),
        "ruled_out": case.ruled_out(found.verdict),
    }


def _judge(case: Case) -> Finding:
    found = _not_begun(case) or _stopped_by_us(case)
    if found is None and case.signal:
        found = verdict_signal.judge(case)
    elif found is None and case.code:
        found = verdict_exit.failed(case)
    elif found is None and case.code == 0:
        found = verdict_exit.succeeded(case)
    return found or _never_ended(case)


def _not_begun(case: Case) -> Finding | None:
    errno = case.number("exec_errno")
    if not errno:
        return None
    return Finding("exec-failure", PROVEN, ["the command could not be executed: %s" % case.error_text(errno)])


def _stopped_by_us(case: Case) -> Finding | None:
    """Our own kills are on record before they are sent (DESIGN D7); what had failed before is not their doing."""
    stop = case.stop
    if stop is None or (case.signal != "SIGKILL" and case.root is not None and case.root["t"] < stop["t"]):
        return None
    sent = [str(other.get("signal") or "") for other in case.stops]
    who = "%s asked for it (%s)" % (stop.get("by") or "somebody", stop.get("why") or "stop")
    verdict = _BY_REASON.get(str(stop.get("why")), "stopped-by-us")
    because = [who]
    if verdict == "hang-killed" and case.stalls:
        because += ["it hung: %s" % case.stalls[0].get("klass", "unknown")]
    if case.signal and case.signal in sent:
        return Finding(verdict, PROVEN, because + ["flightlog sent %s, and it died of it" % case.signal])
    if case.signal:
        return None
    return Finding(verdict, LIKELY, because + ["flightlog sent %s, and it ended with %s" % (sent[-1], case.code)])


def _never_ended(case: Case) -> Finding:
    before, now = case.text("boot"), case.text("boot_now")
    if before and now and before != now:
        return Finding("host-restart", PROVEN, ["the machine has been restarted since the run began"])
    return Finding("unknown", UNKNOWN, ["nobody saw how it ended"])
