import io
import logging
import sys

sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
print("pending print")
logging.basicConfig(level="INFO", stream=sys.stdout)
logging.info("via idiom \u00e9")
print("after")
sys.stdout.flush()
