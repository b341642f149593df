"""What every test may use. That this file is here also puts `tests/` on the path: `from waiting import wait_until`."""
