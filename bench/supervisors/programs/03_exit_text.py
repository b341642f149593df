import sys

print("last word", flush=True)
sys.exit("no input for 2026-11-28")
