# A count of failed rows as the exit status: the kernel keeps eight bits of it, and says 0.
import sys

print("last word", flush=True)
failed_rows = 256
sys.exit(failed_rows)
