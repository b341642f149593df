"""structlog looks for its caller through the stack, by the names of modules: it must not find us."""

import structlog

P = structlog.processors.CallsiteParameter
structlog.configure(
    processors=[
        structlog.processors.CallsiteParameterAdder({P.FILENAME, P.FUNC_NAME, P.LINENO, P.MODULE}),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(sort_keys=True),
    ]
)


def work():
    structlog.get_logger().info("where", a=1)
    structlog.get_logger().info("stack", stack_info=True)
    try:
        {}["k"]
    except KeyError:
        structlog.get_logger().exception("dead")


def drop(logger, method, event):
    raise structlog.DropEvent


work()
structlog.configure(processors=[drop])
structlog.get_logger().info("dropped")
