"""Whether an ended process is started again, and when: a pure policy, keyed on the verdict of its end.

    decide(policy, history, end, random()) -> Decision(action, delay_s, reason)

Invariants: no clock, no files, no random numbers of its own; the same arguments give the same answer. What cannot get better by itself
(config-error, exec-failure) and what somebody asked for (stopped-by-us) is never tried again. A delay is uniform in [0, min(cap, base * 2^n)]
("full jitter": many that failed together do not come back together), where n counts the ends since the process was last healthy. More
than `window_restarts` in `window_s`, or `max_restarts` without a healthy time between, is quarantine: nothing starts it but a person.
Owns: that, which members of a group go with one, and the arithmetic of the start-rate limit. Leaves clocks and files to caretaker and `rate`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Sequence

NEVER = frozenset(("config-error", "exec-failure", "stopped-by-us"))
OUT_OF_MEMORY = frozenset(("oom-cgroup", "oom-host", "memory-error"))
RESTART, END, QUARANTINE = "restart", "end", "quarantine"
ONE, ALL, REST = STRATEGIES = "one", "all", "rest"
_MOST_DOUBLINGS = 40


class Policy:
    """What may be chosen of it.

    Attributes:
        auto: restart at all.
        daemon: it is meant to run for ever, so any end that nobody asked for is restarted; a job's only when it failed.
        base_s, cap_s: of the delay.
        healthy_s: who ran as long begins to count anew.
        max_restarts: so many without a healthy time between; None: only the window counts.
        window_restarts, window_s: so many in that time.
        cooldown_s: at least so long after the memory ran out.
    """

    __slots__ = (
        "auto",
        "base_s",
        "cap_s",
        "cooldown_s",
        "daemon",
        "healthy_s",
        "max_restarts",
        "window_restarts",
        "window_s",
    )

    def __init__(
        self,
        auto: bool = True,
        daemon: bool = False,
        base_s: float = 1.0,
        cap_s: float = 300.0,
        healthy_s: float = 60.0,
        max_restarts: int | None = None,
        window_restarts: int = 20,
        window_s: float = 3600.0,
        cooldown_s: float = 30.0,
    ) -> None:
        self.auto, self.daemon = auto, daemon
        self.base_s, self.cap_s, self.healthy_s = base_s, cap_s, healthy_s
        self.max_restarts, self.window_restarts, self.window_s = max_restarts, window_restarts, window_s
        self.cooldown_s = cooldown_s

    def as_json(self) -> dict[str, Any]:
        """Return it as a dictionary, for `Policy(**...)`."""
        return {name: getattr(self, name) for name in self.__slots__}


class History:
    """What has been tried.

    Attributes:
        failures: ends since the process was last healthy, or was started by a person.
        at: when it was restarted within the window, seconds of any clock that does not jump, oldest first.
    """

    __slots__ = ("at", "failures")

    def __init__(self, failures: int = 0, at: Iterable[float] = ()) -> None:
        self.failures = failures
        self.at = list(at)


class End:
    """How an attempt ended.

    Attributes:
        verdict: a word of DESIGN D7.
        failed: its status was not success.
        ran_s: how long it ran.
        now: the moment, by the clock of `History.at`.
    """

    __slots__ = ("failed", "now", "ran_s", "verdict")

    def __init__(self, verdict: str, failed: bool, ran_s: float, now: float) -> None:
        self.verdict, self.failed, self.ran_s, self.now = verdict, failed, ran_s, now


class Decision:
    """What to do: `restart` in `delay_s` seconds, `end`, or `quarantine`.

    `reason` says why, in words; `history` is the one from now on; `failed` whether the end was a failure.
    """

    __slots__ = ("action", "delay_s", "failed", "history", "reason")

    def __init__(self, action: str, delay_s: float, reason: str, history: History, failed: bool) -> None:
        self.action, self.delay_s, self.reason, self.history, self.failed = action, delay_s, reason, history, failed


def decide(policy: Policy, history: History, end: End, chance: float) -> Decision:
    """Return what to do about *end*; *chance* is a random number in [0, 1)."""
    healthy = end.ran_s >= policy.healthy_s
    failures = 0 if healthy else history.failures
    at = [moment for moment in history.at if end.now - moment < policy.window_s]
    why_not = _never(policy, end)
    if why_not:
        return Decision(END, 0.0, why_not, History(failures, at), end.failed)
    if policy.max_restarts is not None and failures >= policy.max_restarts:
        text = "it was restarted %d times and did not stay up" % failures
        return Decision(QUARANTINE, 0.0, text, History(failures, at), end.failed)
    if len(at) >= policy.window_restarts:
        text = "it was restarted %d times in %g s" % (len(at), policy.window_s)
        return Decision(QUARANTINE, 0.0, text, History(failures, at), end.failed)
    delay = backoff(policy, failures, chance)
    if end.verdict in OUT_OF_MEMORY:
        delay = max(delay, policy.cooldown_s)
    after = History(failures + 1, [*at, end.now])
    return Decision(RESTART, delay, "%s: restart %d" % (end.verdict, failures + 1), after, end.failed)


def backoff(policy: Policy, failures: int, chance: float) -> float:
    """Return the seconds to wait after that many ends in a row."""
    return chance * min(policy.cap_s, policy.base_s * 2.0 ** min(failures, _MOST_DOUBLINGS))


def _never(policy: Policy, end: End) -> str:
    if end.verdict in NEVER:
        return "%s is not tried again" % end.verdict
    if not policy.auto:
        return "it is not to be restarted"
    if not policy.daemon and not end.failed:
        return "the job is done"
    return ""


def affected(strategy: str, members: Sequence[str], failed: str) -> list[str]:
    """Return which members of a group are restarted with the one that *failed*, in the order of their start; that one included.

    `one`: it alone; `all`: everybody; `rest`: it and those that were started after it.
    """
    if failed not in members:
        return []
    if strategy == ALL:
        return list(members)
    return list(members[members.index(failed) :]) if strategy == REST else [failed]


def reserve(tokens: float, elapsed_s: float, burst: float, per_s: float) -> tuple[float, float]:
    """Take one token out of a bucket that had *tokens* *elapsed_s* ago; return (tokens now, seconds to wait).

    The number goes below zero: who comes later waits longer, so that a crowd starts at the rate *per_s*, and nobody is refused.
    """
    level = min(burst, tokens + max(0.0, elapsed_s) * per_s) - 1.0
    return level, max(0.0, -level / per_s)
