import contextlib
import io
import logging
import sys

logging.basicConfig(level=20, stream=sys.stdout)
text = io.StringIO()
with contextlib.redirect_stdout(text):
    print("swallowed")
    logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
    logging.info("to both")
print("got", repr(text.getvalue()))
