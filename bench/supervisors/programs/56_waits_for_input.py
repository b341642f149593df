import os
import sys

asked, _held = os.pipe()
os.dup2(asked, 0)
print("last word", flush=True)
answer = sys.stdin.readline()
