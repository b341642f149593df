import logging

logging.basicConfig(level=logging.INFO)
logging.info("loading")
print("last word", flush=True)
int("seven")
