import logging
import logging.handlers
import queue

lines = queue.Queue()
listener = logging.handlers.QueueListener(lines, logging.StreamHandler())
root = logging.getLogger()
root.setLevel(20)
root.addHandler(logging.handlers.QueueHandler(lines))
listener.start()
for i in range(20):
    logging.info("q %d", i)
listener.stop()
