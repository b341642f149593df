# Handled as most command-line programs do: a word, and exit 2.
import sys

print("last word", flush=True)
try:
    open("/nonexistent/settings.yml")
except OSError as problem:
    print(f"error: cannot read settings: {problem}", file=sys.stderr)
    sys.exit(2)
