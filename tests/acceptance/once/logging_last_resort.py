import logging

logging.getLogger("a").warning("w1")
logging.getLogger("a").info("below level")
print("p")
