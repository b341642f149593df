# No clean-up, no flush: the second line never leaves the process, and nobody can keep it.
import os

os.write(1, b"last word\n")
print("still in the buffer")
os._exit(4)
