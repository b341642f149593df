"""Threads of one simulated process, one step each in the order of a schedule; a step ends at a system call."""

import threading

from .kernel import Killed


class Scheduler:
    """Runs *tasks* (callables) in threads that take turns as *schedule* (numbers) says, then in order."""

    def __init__(self, kernel, tasks, schedule):
        self.kernel, self.tasks, self.schedule = kernel, tasks, list(schedule)
        self._mine = {}  # thread -> its semaphore
        self._main = threading.Semaphore(0)
        self._alive = list(range(len(tasks)))
        self.problem = None

    def run(self, process):
        gates = [threading.Semaphore(0) for _ in self.tasks]
        threads = [threading.Thread(target=self._work, args=(number, gates[number], process)) for number in self._alive]
        for thread in threads:
            thread.start()
        outer, self.kernel.scheduler = self.kernel.scheduler, self
        current = self.kernel.current
        try:
            turn = 0
            while self._alive:
                choice = self.schedule[turn] if turn < len(self.schedule) else turn
                turn += 1
                gates[self._alive[choice % len(self._alive)]].release()
                self._main.acquire()
        finally:
            self.kernel.scheduler, self.kernel.current = outer, current
            for thread in threads:
                thread.join()
        if self.problem is not None:
            raise self.problem

    def pause(self):
        """A system call begins in one of our threads: let another one go on."""
        gate = self._mine.get(threading.get_ident())
        if gate is not None:
            current = self.kernel.current
            self._main.release()
            gate.acquire()
            self.kernel.current = current

    def _work(self, number, gate, process):
        self._mine[threading.get_ident()] = gate
        gate.acquire()
        self.kernel.current = process
        try:
            self.tasks[number]()
        except Killed:
            pass
        except BaseException as problem:
            self.problem = problem
        self._alive.remove(number)
        self._main.release()
