"""Wait for a condition with a deadline: the only way a test of this project waits."""

import time


def wait_until(condition, seconds=10.0, what="the condition"):
    """Return the first truthy value of *condition()*; fail with *what* after *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)
