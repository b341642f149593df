import logging
import logging.handlers

memory = logging.handlers.MemoryHandler(100, target=logging.StreamHandler(), flushLevel=40)
root = logging.getLogger()
root.addHandler(memory)
root.setLevel(20)
root.info("one")
root.info("two")
print("between", flush=True)
root.error("three")
