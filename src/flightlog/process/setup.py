"""Everything that stands before the first fork: descriptors, pipes, capture files, the shared page.

Invariants: until `Setup` is complete nothing of the command has begun, so that any failure still lets it run bare. All
of our descriptors are above 2 and closed by exec. Owns: the plan of one run, common to keeper and shim. Leaves forks to
the keeper.
"""

from __future__ import annotations

import errno
import os
import resource

from .. import identity
from ..config.compiled import Compiled, path_for, unheeded
from ..journal import evidence
from ..journal.capture import CaptureWriter
from . import launch, linux
from .descriptors import Console, close_all, inherited_numbers, is_same_output, is_writable, park_low_numbers
from .page import make_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .launch import Limits
    from .signals import Inherited
    from .spec import RunSpec

LEAST_BYTES = 512  # what a segment needs that says how the command ended
NAMES = {1: "stdout", 2: "stderr"}


class Stream:
    """One captured stream before anything flows: console, pipe, capture files.

    Attributes:
        name: `stdout` or `stderr`; `stdout` for both when they are one.
        numbers: the descriptors of the command that the pipe replaces.
        console: where its bytes go besides.
        source, sink: the pipe.
        capture: the files.
    """

    __slots__ = ("capture", "console", "name", "numbers", "sink", "source")

    def __init__(self, numbers: list[int], source: int, sink: int) -> None:
        self.numbers = numbers
        self.name = NAMES[numbers[0]]
        self.source, self.sink = source, sink
        self.console = Console(numbers, os.fstat(source).st_dev)
        self.capture: CaptureWriter | None = None


class Setup:
    """The plan of one run. Making it opens pipes and files; raises OSError when the run cannot be recorded."""

    def __init__(self, spec: RunSpec, inherited: Inherited, limits: Limits) -> None:
        self.spec = spec
        self.inherited = inherited
        self.limits = limits
        self.extra = inherited_numbers()
        self.parked = park_low_numbers()
        limits.lift()
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if 0 <= limit < LEAST_BYTES and limit != resource.RLIM_INFINITY:
            raise OSError(errno.EFBIG, "files may have %d bytes only (ulimit -f)" % limit)
        self.released = False  # the keeper has let go of what only the command needs
        self.keeper = os.getpid()
        self.keeper_start = identity.process_start_time(self.keeper)
        self.node = identity.node_name()
        self.spool = identity.absolute(identity.spool_dir())
        self.control_page = identity.control_path(spec.config)
        settings = Compiled()
        settings.look(path_for(self.control_page))  # what is a secret: command line and names go through `encode`
        self.trouble = settings.problem or unheeded(path_for(self.control_page), spec.config)
        identity.make_spool(self.spool)
        self.page = make_page()
        self.evidence = -1
        # The keeper's orders to the shim; its end tells the shim that the keeper has died.
        self.orders, self.order_sink = os.pipe()
        self.streams = [Stream(numbers, *self._way()) for numbers in self._captured()]
        try:
            for stream in self.streams:
                stream.capture = CaptureWriter(self.spool, self._meta(stream))
                stream.capture.open()
        except BaseException:
            self.abandon()
            raise
        self.evidence = evidence.create(self.spool, spec.run)  # without it the run is recorded all the same
        self.environment = launch.child_environment(self)

    def _captured(self) -> list[list[int]]:
        """Return the descriptors to capture, those together whose order of writes can be seen."""
        numbers = [number for number in (1, 2) if number not in self.parked and is_writable(number)]
        if len(numbers) == 2 and (self.spec.merge or self.spec.pty or is_same_output(1, 2)):
            return [numbers]
        return [[number] for number in numbers]

    def _way(self) -> tuple[int, int]:
        """Make what the command writes to: (our end, its end). Raises OSError."""
        return linux.capture_terminal() if self.spec.pty else linux.capture_pipe()

    def resize(self) -> bool:
        """Give the command's terminal the size that ours has now; False when it has none. Never raises."""
        for stream in self.streams if self.spec.pty else []:
            linux.copy_size(stream.source)
        return bool(self.spec.pty)

    def _meta(self, stream: Stream) -> dict[str, object]:
        meta = {
            "stream": stream.name,
            "run": self.spec.run,
            "pipeline": self.spec.pipeline,
            "node": self.node,
            "boot": identity.boot_id(),
            "uid": os.geteuid(),
            "pid": 0,
            "keeper": [self.keeper, self.keeper_start],
        }  # type: dict[str, object]
        if len(stream.numbers) > 1:
            meta["merged"] = True
        if self.spec.named:
            meta["named"] = True
        return meta

    def renew(self) -> None:
        """Make the pipes anew: a shim died before it had begun the command. Raises OSError."""
        close_all([self.order_sink, *[stream.source for stream in self.streams]])
        self.orders, self.order_sink = os.pipe()
        for stream in self.streams:
            stream.source, stream.sink = self._way()
        self.environment = launch.child_environment(self)

    def abandon(self) -> None:
        """The command runs bare after all: what was begun has ended."""
        for stream in self.streams:
            if stream.capture is not None:
                stream.capture.end()
        self.drop_evidence()

    def drop_evidence(self) -> None:
        """Remove the evidence file: what it said is in the journal. Never raises."""
        if self.evidence >= 0:
            close_all([self.evidence])
            self.evidence = -1
            try:
                os.unlink(evidence.path_of(self.spool, self.spec.run))
            except OSError:
                pass
