"""Asks the driver of NVIDIA's GPUs who uses them: a process of its own, `python -I -S gpu_eye.py FOLDER`, where FOLDER holds the module `pynvml`.

For each line on standard input it writes one line of JSON: {"processes": [[pid, start, memory in KiB or null, percent or null, [device, ...]], ...]},
or {"error": "..."} and ends. A driver that is broken may keep a call for ever, which must not be the agent: whoever asks here may stop waiting, and
what is only slow ends itself by SIGALRM, although nobody waits for it any more.
Invariants: what one device cannot say (lost, not supported, not permitted) is left out and the others are asked; pids are believed in the first pid
namespace of the machine only, for the driver counts in that one; holds nothing of the agent's, imports nothing of flightlog. Owns: all calls of NVML.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

PATIENCE_SECONDS = 40  # for one answer; the first one makes the driver wake all GPUs, which may take it ten seconds
FIRST_NAMESPACE = 0xEFFFFFFC  # inode of the pid namespace that the kernel begins with (PROC_PID_INIT_INO)
LOOK_BACK_US = 5_000_000  # of utilisation, at the first look


class Eye:
    """See the module. *nvml* is `pynvml`, initialised."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._since: dict[int, int] = {}  # by device: the time of its last sample, microseconds since the epoch

    def look(self) -> list[list[Any]]:
        """Return who uses which devices now. Raises NVMLError when no device answers."""
        nvml = self._nvml
        memory: dict[int, int] = {}
        shares: dict[int, int] = {}
        devices: dict[int, list[int]] = {}
        answered, problem = 0, None
        count = nvml.nvmlDeviceGetCount()
        for number in range(count):
            try:
                device = nvml.nvmlDeviceGetHandleByIndex(number)
                used = self._memory(device)
            except nvml.NVMLError as failed:
                problem = failed
                continue
            answered += 1
            if not used:
                continue
            busy = self._shares(number, device)
            for pid, size in used.items():
                devices.setdefault(pid, []).append(number)
                if size is not None:
                    memory[pid] = memory.get(pid, 0) + size
                if busy is not None:
                    shares[pid] = shares.get(pid, 0) + busy.get(pid, 0)
        if problem is not None and not answered:
            raise problem
        starts = {pid: start_of(pid) for pid in devices}
        return [
            [pid, starts[pid], memory[pid] >> 10 if pid in memory else None, shares.get(pid), on]
            for pid, on in devices.items()
            if starts[pid]
        ]

    def _memory(self, device: Any) -> dict[int, int | None]:
        """Return the bytes that each process has on a device; None where the driver does not say. Raises NVMLError."""
        used: dict[int, int | None] = {}
        for kind in ("Compute", "Graphics"):
            part: dict[int, int | None] = {}
            for process in self._listed(kind, device):
                size = process.usedGpuMemory
                before = part.get(process.pid)
                part[process.pid] = before if size is None else size + (before or 0)  # one entry for each part of a GPU
            for pid, size in part.items():  # who computes and draws is in both lists, with all of its memory
                known = used.get(pid)
                used[pid] = size if known is None else known if size is None else max(known, size)
        return used

    def _listed(self, kind: str, device: Any) -> list[Any]:
        nvml = self._nvml
        name = f"nvmlDeviceGet{kind}RunningProcesses"
        try:
            found: list[Any] = getattr(nvml, name)(device)
        except nvml.NVMLError as problem:
            if problem.value == nvml.NVML_ERROR_FUNCTION_NOT_FOUND:  # a driver that is older than the module
                found = getattr(nvml, name + "_v2")(device)
            elif kind == "Graphics":  # a GPU that only computes need not know that word
                return []
            else:
                raise
        return found

    def _shares(self, number: int, device: Any) -> dict[int, int] | None:
        """Return the percent of a device's time that processes used since the last look, idle ones left out; None where the driver does not say."""
        nvml = self._nvml
        since = self._since.get(number, time.time_ns() // 1000 - LOOK_BACK_US)
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(device, since)
        except nvml.NVMLError as problem:
            return {} if problem.value in (nvml.NVML_SUCCESS, nvml.NVML_ERROR_NOT_FOUND) else None
        taken: dict[int, list[int]] = {}
        for sample in samples:
            if sample.smUtil <= 100 and sample.timeStamp > since:  # drivers have told nonsense here
                taken.setdefault(sample.pid, []).append(sample.smUtil)
                self._since[number] = max(self._since.get(number, 0), sample.timeStamp)
        return {pid: round(sum(values) / len(values)) for pid, values in taken.items()}


def start_of(pid: int) -> int:
    """Return when a process began, in clock ticks since boot; 0 when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
        return int(data[data.rindex(b")") + 2 :].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def pids_mean_ours() -> bool:
    """Tell whether a pid of the driver is that of our /proc."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == FIRST_NAMESPACE
    except OSError:
        return False


def answer(document: dict[str, Any]) -> None:
    """Write one line."""
    data = json.dumps(document).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


def main(folder: str) -> None:
    """Answer until nobody asks any more."""
    signal.alarm(PATIENCE_SECONDS)
    try:
        if not pids_mean_ours():
            raise RuntimeError("in a container the driver's process numbers mean others")
        sys.path.append(folder)
        import pynvml  # type: ignore[import-untyped,unused-ignore]

        pynvml.nvmlInit()
        eye = Eye(pynvml)
        while True:
            signal.alarm(0)
            if not os.read(0, 1):
                return
            signal.alarm(PATIENCE_SECONDS)
            answer({"processes": eye.look()})
    except Exception as problem:
        answer({"error": f"{type(problem).__name__}: {problem}"})


if __name__ == "__main__":
    main(sys.argv[1])
