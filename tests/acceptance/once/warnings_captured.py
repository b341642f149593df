import logging
import warnings

logging.basicConfig(format="%(levelname)s %(message)s")
logging.captureWarnings(True)
warnings.warn("old", stacklevel=1)
print("x")
