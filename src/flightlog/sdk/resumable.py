"""What a run has of checkpoints and of resuming; `Run` is made of it.

Owns: the registry of entered runs, by which stages find theirs, and when lineages are looked for and left. Loads nothing more before somebody keeps or resumes
something. Leaves choosing to `resume`, values to `checkpoint`, directories to `lineage`.
"""

from __future__ import annotations

import os

from .. import identity
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .lineage import Lineage

entered: dict[str, Resumable] = {}  # runs of this process that have begun and not ended, by id


class _Missing:
    def __repr__(self) -> str:
        return "<nothing>"


MISSING: Any = _Missing()  # stands for a value that is not given


class Resumable:
    """See the module. Who is made of it sets these before `_take_up`, but for the last two.

    Attributes:
        pipeline, params, id: of the run.
        origin, attempt: of the run; set when it resumes another one.
        resume: it is to go on with the latest run of the same work that did not end ok.
        lineage: what it has kept or goes on with, None while there is neither.
        untold: what is to be said of that when the run has begun: (text, whether on standard error as well).
    """

    pipeline: str
    params: dict[str, Any]
    id: str
    origin: str
    attempt: int
    resume: bool
    lineage: Lineage | None = None
    untold: list[tuple[str, bool]]
    _adopts: bool
    _home = 0  # the process that entered it

    @property
    def adopts(self) -> bool:
        """Whether it is the run that `flightlog run` made."""
        return self._adopts

    def _take_up(self) -> dict[str, Any]:
        """The run has its id: find what it goes on with; return what its first event says of that. Never raises."""
        self.lineage, self.untold, self._home = None, [], os.getpid()
        entered[self.id] = self
        if not self.resume and not os.environ.get("FLIGHTLOG_RESUME"):
            return {}
        from . import resume

        return resume.take_up(self)

    def _tell_resumed(self) -> None:
        """The run has begun: say what was found. Never raises."""
        if self.lineage is not None or self.untold:
            from . import resume

            resume.tell(self)

    def _let_go(self, ok: bool) -> None:
        """The run is about to end: remove or leave what was kept. Not in a forked child, which leaves its parent's run. Never raises."""
        entered.pop(self.id, None)
        if self._home != os.getpid():
            return
        writer = recorder.writer
        lies = writer is not None and os.path.isdir(os.path.join(writer.directory, identity.CHECKPOINTS))
        if self.lineage is not None or lies:
            from . import lineage

            lineage.ended(self, ok)

    def checkpoint(self, key: str, value: Any = MISSING, *, default: Any = None, version: Any = None) -> Any:
        """Keep *value* under *key*, or, without a value, return what is kept there. Never raises.

        Args:
            key: at most 200 characters; at most 256 keys in one run.
            value: what JSON can carry, at most 1 MiB of it. Read back, a tuple is a list and the keys of dicts are texts.
            default: what is returned when nothing is kept.
            version: of what the value means; one that was kept under another version is not returned.

        Kept: True when it is flushed to disk, whole, in place of the one before; then it survives `kill -9` and a power cut. It is recorded as well, so
        that another node can resume. False when it could not be; the log says why, and the one before stands. Blocks for two flushes of the disk.
        Read: what this run kept last, else what the run had kept that this one resumes.
        """
        from . import checkpoint

        return checkpoint.checkpoint(self, key, value, default, version)
