import logging
import sys

handler = logging.StreamHandler(sys.stdout)
handler.terminator = ""
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(20)
sys.stdout.write("half ")
logging.info("logged")
sys.stdout.write(" rest\n")
logging.info("first line\nsecond line\n")
