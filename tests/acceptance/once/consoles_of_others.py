"""Handlers that print by rich and by tqdm; and a display of rich's beside them."""

import io
import logging
import sys

import rich.console
import rich.logging
import rich.progress
import tqdm
import tqdm.contrib.logging


class Chatty(logging.Handler):
    def emit(self, record):
        tqdm.tqdm.write("about to say it")
        tqdm.tqdm.write("it is: " + self.format(record), file=sys.stderr)
        rich.print("[bold]said[/bold]")


def use(*handlers):
    root.handlers[:] = handlers


root = logging.getLogger()
root.setLevel(20)
use(rich.logging.RichHandler(show_time=False, markup=True, rich_tracebacks=True))
logging.info("[bold]rich[/bold] %s", "words that are folded " * 8)
try:
    {}["k"]
except KeyError:
    logging.exception("failed")
with rich.logging.RichHandler().console.capture() as held:
    logging.info("held")
print(len(held.get()) > 0)
use(rich.logging.RichHandler(show_time=False, console=rich.console.Console(file=io.StringIO())))
logging.info("to nowhere")
use(rich.logging.RichHandler(show_time=False, console=rich.console.Console(stderr=True)))
logging.info("error stream")
rich.print("a print")
use(Chatty())
logging.info("chatty")
use(logging.StreamHandler())
with tqdm.contrib.logging.logging_redirect_tqdm():
    for _ in tqdm.tqdm(range(2), disable=True):
        logging.info("beside a bar")
tqdm.tqdm.write("a line of its own")
