"""GPUs: what this machine's processes use of them, asked each `metrics.interval`, ten seconds at most, and put on the GPU page of each user, where shims find their own.

Needs the module `pynvml` (package nvidia-ml-py, `flightlog[gpu]`) and a driver; without them it sleeps, says nothing, and looks again a minute later,
then ever more rarely, four times an hour at last. Asked is by a process of its own (`gpu_eye`): a call of a broken driver may never return, and a thread
in it would keep the agent from ending and its locks from being free. While no run goes on, or the kill switch is on, nobody is asked, and the page goes.
Invariants: nothing raises out of here, nothing here keeps shipping waiting; a process that cannot be ended is left, and none is started beside it.
Owns: the thread, the process, the pages. Leaves NVML to `gpu_eye`, the page to `config.gpu_page`, whose a process is to shims (`process.gpu`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

from .. import identity
from ..config import gpu_page
from ..journal.evidence import SUFFIX as EVIDENCE
from .spool import directories
from .spool_scan import MAX_NAMES

MODULE = "pynvml"
EYE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gpu_eye.py")
ANSWER_SECONDS = 30.0
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 60.0, 900.0
LINGER_SECONDS = 60.0  # without a run, after which the driver is let go of: it may put GPUs to sleep then
LOOK_SECONDS = 1.0  # between two looks whether figures are switched on
LONGEST_SECONDS = 10.0  # between two looks at GPUs, however rarely they are recorded: the last minute goes with a death
VALID = 2.0  # intervals, and
VALID_SECONDS = 5.0  # for which figures may be taken for true
MAX_ANSWER_BYTES = 1 << 20


class _Failed(Exception):
    """There is nothing to be known about GPUs now."""


class Gpu:
    """The thread.

    Args:
        home, spool: of the agent.
        config: the config file beside whose control pages the GPU pages lie, or empty.
        interval: returns the seconds between two looks, 0.0 for none. Must not raise.
        disabled: tells whether the kill switch is on. Must not raise.
        module: what is imported to speak to the driver.

    Attributes:
        problem: why nothing is known, for who looks into it; empty when something is, or nobody asked yet.
    """

    def __init__(
        self,
        home: str,
        spool: str,
        config: str,
        interval: Callable[[], float],
        disabled: Callable[[], bool],
        module: str = MODULE,
    ) -> None:
        self._home, self._spool, self._config, self._module = home, spool, config, module
        self._interval, self._disabled = interval, disabled
        self.problem = ""
        self._eye: subprocess.Popen[bytes] | None = None
        self._ended: list[subprocess.Popen[bytes]] = []  # killed, and perhaps not dead yet
        self._retry, self._retry_at = RETRY_SECONDS, 0.0
        self._wanted_at = -LINGER_SECONDS
        self._pages: set[str] = set()
        self._stopped = threading.Event()
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="flightlog-gpu", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and what was started with it. Waits at most a second; for a driver that hangs, not at all."""
        self._stopped.set()
        os.write(self._waker, b"x")
        self._thread.join(1.0)

    def _run(self) -> None:
        pause = 0.0
        self._pages.add(self._page(os.geteuid()))  # of an agent that was killed
        while not self._stopped.wait(pause):
            try:
                pause = self._round(time.monotonic())
            except Exception as problem:  # a mistake of our own costs figures, and nothing else
                pause = self._give_up(problem)
        self._close()

    def _round(self, now: float) -> float:
        """Look, if somebody wants it; return the seconds until it is time again."""
        if now < self._retry_at:
            return self._retry_at - now
        interval = min(self._interval(), LONGEST_SECONDS)
        if not interval or self._disabled():
            self._close()
            return LOOK_SECONDS
        if not _runs_go_on(directories(self._home, self._spool)):
            self._publish([], interval)
            if now - self._wanted_at >= LINGER_SECONDS:
                self._close()
            return interval
        self._wanted_at = now
        try:
            processes = self._ask()
        except (_Failed, OSError, ValueError) as problem:
            return self._give_up(problem)
        if self._stopped.is_set():
            return 0.0
        self.problem = ""
        self._retry = RETRY_SECONDS
        self._publish(processes, interval)
        return max(0.0, interval - (time.monotonic() - now))

    def _give_up(self, problem: Exception) -> float:
        self._close()
        self._retry_at = time.monotonic() + self._retry
        self._retry = min(LONGEST_RETRY_SECONDS, 2 * self._retry)
        self.problem = str(problem) or type(problem).__name__  # last: who reads it finds the rest done
        return 0.0

    # -- the process ----------------------------------------------------------------------------------------------------

    def _ask(self) -> list[Any]:
        """Return what the eye sees now. Waits for it, at most ANSWER_SECONDS. Raises _Failed, OSError, ValueError."""
        eye = self._eye or self._open()
        assert eye.stdin is not None and eye.stdout is not None
        eye.stdin.write(b"\n")
        answers = eye.stdout.fileno()
        deadline = time.monotonic() + ANSWER_SECONDS
        data = b""
        while not data.endswith(b"\n"):
            ready, _, _ = select.select([answers, self._wake], [], [], max(0.0, deadline - time.monotonic()))
            if self._wake in ready:
                return []
            if not ready:
                raise _Failed(f"the driver of the GPUs has not answered for {ANSWER_SECONDS:g} s")
            piece = os.read(answers, 65536)
            data += piece
            if not piece or len(data) > MAX_ANSWER_BYTES:
                raise _Failed("who asks the driver of the GPUs has died")
        answer = json.loads(data)
        if "error" in answer:
            raise _Failed(str(answer["error"]))
        processes: list[Any] = answer["processes"]
        return processes

    def _open(self) -> subprocess.Popen[bytes]:
        """Start the eye. Raises _Failed, OSError."""
        self._ended = [eye for eye in self._ended if eye.poll() is None]
        if self._ended:
            raise _Failed(f"process {self._ended[0].pid} hangs in the driver of the GPUs")
        folder = _folder_of(self._module)
        if not folder:
            raise _Failed(f"there is no module {self._module} (try: pip install nvidia-ml-py)")
        # Nothing of ours: no descriptor, no address of a database; only what the loader of libraries may need.
        env = {name: value for name, value in os.environ.items() if not name.startswith(("FLIGHTLOG_", "PYTHON", "PG"))}
        self._eye = subprocess.Popen(
            [sys.executable, "-I", "-S", EYE, folder],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=env,
            start_new_session=True,
        )
        return self._eye

    def _close(self) -> None:
        """End the eye, if there is one, and take the pages away. Never raises, waits for nobody."""
        for path in self._pages:
            gpu_page.remove(path)
        self._pages.clear()
        eye, self._eye = self._eye, None
        if eye is None:
            return
        assert eye.stdin is not None and eye.stdout is not None
        with contextlib.suppress(OSError):
            eye.kill()
        for pipe in (eye.stdin, eye.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self._ended.append(eye)

    # -- the pages ------------------------------------------------------------------------------------------------------

    def _publish(self, processes: list[Any], interval: float) -> None:
        """Let shims know; nothing lies anywhere while nobody uses a GPU."""
        if not processes:
            for path in self._pages:
                gpu_page.remove(path)
            self._pages.clear()
            return
        own = os.geteuid()
        for uid in {own, *_owners(directories(self._home, self._spool))}:
            path = self._page(uid)
            if uid != own and path == self._page(own):
                continue  # FLIGHTLOG_CONTROL names one for all, and it is ours
            with contextlib.suppress(OSError):  # full, or gone: then it has no figures
                gpu_page.write(path, processes, VALID * interval + VALID_SECONDS, 0o600 if uid == own else 0o644)
                self._pages.add(path)

    def _page(self, uid: int) -> str:
        return gpu_page.path_for(identity.control_path(self._config, uid))


def _runs_go_on(folders: list[str]) -> bool:
    """Tell whether any supervised run of this agent goes on: each has its evidence file until it has ended."""
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            if any(entry.name.endswith(EVIDENCE) for entry in islice(entries, MAX_NAMES)):
                return True
    return False


def _owners(folders: list[str]) -> set[int]:
    found = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            found.add(os.stat(folder).st_uid)
    return found


def _folder_of(module: str) -> str:
    """Return where a module could be imported from, empty when it could not; it is not imported."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    if spec is None or not spec.origin:
        return ""
    folder = os.path.dirname(spec.origin)
    return os.path.dirname(folder) if spec.submodule_search_locations else folder
