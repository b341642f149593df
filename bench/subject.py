"""The bench's side of one subject: its worker process, asked round by round, killed when it does not answer.

Invariant: a worker that hangs or dies costs that one kind of round, never the bench: it is replaced, the kind is not asked again,
and `trouble` says what happened. (picologging 0.9.3 does hang: its handler's C++ lock and the interpreter lock are taken in
both orders when several threads log, https://github.com/microsoft/picologging/issues/207.)
Owns: the process and the answers. Leaves timing to `bench.worker`.
"""

import json
import os
import select
import statistics
import subprocess
import sys
import time

ANSWER_SECONDS = 30  # a round takes 0.1 to 5 s


class Subject:
    """One named subject of `bench.subjects`."""

    def __init__(self, name, folder, seconds=ANSWER_SECONDS, command=None):
        self.name, self.folder, self.seconds = name, folder, seconds
        self.command = command or [sys.executable, "-m", "bench.worker", name, folder]
        self.rounds = {}  # kind -> answers
        self.calls = 0  # made by workers that answered; not the warm-up
        self.trouble = {}  # kind -> "hangs" or what the worker said when it died
        self.process = None
        self._buffer = b""

    def ask(self, kind, *numbers):
        """Run one round of *kind* (`idle`, `busy`, `threads`) and keep its figures; blocks for at most `seconds`."""
        key = kind if len(numbers) == 1 else f"{kind} {numbers[0]}"
        if key in self.trouble or "start" in self.trouble:
            return
        if self.process is None:
            self._start()
        try:
            self.process.stdin.write(" ".join([kind, *map(str, numbers)]).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died while it started; the end of its output says so
        line = self._read_line()
        if line:
            answer = json.loads(line)
            self.calls += answer.pop("calls")
            self.rounds.setdefault(key, []).append(answer)
            return
        why = "hangs" if line is None else "died"
        self.kill()
        self.trouble[key if self.rounds else "start"] = why

    def _start(self):
        self._buffer = b""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(os.path.join(self.folder, "stderr"), "ab"),
        )

    def _read_line(self):
        """Return one line of the worker's, b"" at its end, None when the time is over."""
        descriptor, deadline = self.process.stdout.fileno(), time.monotonic() + self.seconds
        while b"\n" not in self._buffer:
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            piece = os.read(descriptor, 65536)
            if not piece:
                return b""
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def median(self, key, figure):
        """Return the median of *figure* over the rounds of *key*, in microseconds; None without any."""
        answers = self.rounds.get(key)
        if not answers or key in self.trouble:
            return None
        return statistics.median(answer[figure] for answer in answers) / 1000

    def kill(self):
        """End the worker at once."""
        if self.process is not None:
            self.process.kill()
            self._reap()

    def close(self):
        """Let the worker end; a worker that does not is killed."""
        if self.process is None:
            return
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reap()

    def _reap(self):
        self.process.wait()
        self.process.stdout.close()
        self.process = None
