"""GPUs that are not there: a stand-in for the driver's library (nvml.c), which says what a test wants it to, to the real `pynvml`."""

import os
import shutil
import subprocess

import pytest

from flightlog import identity

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nvml.c")
LIBRARY = "libnvidia-ml.so.1"


class Gpus:
    """What the driver says, and to whom.

    Attributes:
        env: variables by which a process finds the stand-in.
    """

    def __init__(self, library, folder):
        self._state = os.path.join(folder, "gpus")
        self.env = {"LD_LIBRARY_PATH": library, "NVML_STANDIN": self._state}
        self.say()

    def say(self, *lines):
        """From now on this is so (nvml.c says in which words)."""
        with open(self._state + ".new", "w") as file:
            file.write("".join(line + "\n" for line in lines))
        os.rename(self._state + ".new", self._state)

    def asked(self):
        """Pids of those who have initialised the library, in order."""
        try:
            with open(self._state + ".log") as file:
                return [int(line) for line in file]
        except FileNotFoundError:
            return []

    def nobody_asks(self):
        """Whether all of these have ended; a zombie has."""
        return not any(identity.process_alive(pid, identity.process_start_time(pid)) for pid in self.asked())


@pytest.fixture(name="nvml", scope="session")
def nvml_fixture(tmp_path_factory):
    """The folder with the stand-in."""
    if shutil.which("gcc") is None:
        pytest.skip("not run: gcc is not installed")
    folder = tmp_path_factory.mktemp("nvml")
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", str(folder / LIBRARY), SOURCE]
    subprocess.run(command, check=True)
    return str(folder)


@pytest.fixture(name="gpus")
def gpus_fixture(nvml, tmp_path):
    return Gpus(nvml, str(tmp_path))
