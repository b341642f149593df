"""Says a secret in every way a Python program can say something; each time another one, so that a leak names its way. Run by test_canary.py."""

import logging
import os
import sys
import threading
import warnings

import loguru
import structlog

import flightlog


def secret(way):
    return "zq-%s-canary" % way


class Thing:
    def __init__(self, way):
        self.way = way

    def __repr__(self):
        return "Thing(password='%s')" % secret(self.way)


class LongThing:
    def __repr__(self):
        return "y" * 995 + " postgres://u:%s@h" % secret("reprcut")


def fail(way):
    try:
        raise ValueError("no login with password=%s" % secret(way + "cause"))
    except ValueError as problem:
        raise RuntimeError("postgres://u:%s@h/db is away" % secret(way)) from problem


def values(way):
    return {
        "customer-id": secret(way + "configured"),
        "password": secret(way + "name"),
        "url": "postgres://u:%s@h/db" % secret(way + "url"),
        "deep": {"list": [{"api_key": secret(way + "deep")}], "pair": ("Authorization", secret(way + "pair"))},
        "thing": Thing(way + "repr"),
        "things": [Thing(way + "reprlist")],
        "raw": ("token=%s" % secret(way + "bytes")).encode(),
        "postgres://u:%s@h" % secret(way + "key"): 1,
        "long": "x" * 32_740 + " password=%s" % secret(way + "long"),
        "argv": ["prog", "--password", secret(way + "argv")],
    }


def long_ones():
    """Secrets that the cuts of too long texts go through."""
    log = flightlog.get_logger()
    try:
        raise ValueError("x" * 8_160 + " postgres://u:%s@h" % secret("exceptioncut"))
    except ValueError:
        log.exception("failed")
    log.info("cut", value="x" * 32_745 + " postgres://u:%s@h" % secret("valuecut"))
    log.info("cut", values=["x" * 32_745 + " postgres://u:%s@h" % secret("listcut")])
    log.info("cut", thing=LongThing())
    structlog.get_logger().info("x" * 65_515 + " token=%s" % secret("eventcut"), y="z" * 70_000)


def native():
    log = flightlog.get_logger("client.token=%s" % secret("loggername"))
    bound = log.bind(**values("bound"))
    log.info("password=%s" % secret("message"))
    log.info("fields", **values("field"))
    bound.info("bound")
    log.info("large", text="y" * 70_000, **values("large"))
    log.info("x" * 65_530 + " password=%s" % secret("longmessage"))
    try:
        fail("native")
    except RuntimeError:
        log.exception("failed")


def stdlib():
    logging.basicConfig(level=logging.DEBUG)
    log = logging.getLogger("std.token=%s" % secret("stdloggername"))
    log.info("login with password=%s", secret("args"))
    log.info("args %s", values("mapping"))
    log.info("extra", extra=values("extra"))
    log.info("large %s", "y" * 70_000, extra=values("stdlarge"))
    for way in range(12):  # the console copy of a long one is divided where the record ends
        log.info("x" * (65_480 + 5 * way) + " password=%s" % secret("divided%d" % way) + "y" * 9_000)
    log.info("does not fit token=%s %d" % (secret("badargs"), 5), "x")
    try:
        fail("std")
    except RuntimeError:
        log.exception("failed")
    logging.captureWarnings(True)
    warnings.warn("secret: %s" % secret("warning"), stacklevel=1)


def others():
    structlog.get_logger().info("pwd=%s" % secret("structevent"), **values("struct"))
    loguru.logger.bind(**values("bind")).info("password: {}", secret("loguru"))
    try:
        fail("loguru")
    except RuntimeError:
        loguru.logger.exception("failed")


def output():
    print("printed password=%s" % secret("print"))
    print('{"message": "x", "db_password": "%s", "level": "info"}' % secret("jsonline"))
    print("-----BEGIN RSA PRIVATE KEY-----\nzqPem1canary\nzqPem2canary\n-----END RSA PRIVATE KEY-----")
    print("z" * 65_530 + "password=%s" % secret("cut"))
    sys.stderr.write("\x1b[31mtoken=%s\x1b[0m\n" % secret("stderr"))
    os.write(1, ("Cookie: sid=%s; a=b\n" % secret("raw")).encode())
    sys.stdout.flush()
    os.system("echo --password %s" % secret("child"))


def main():
    native()
    long_ones()
    stdlib()
    others()
    output()
    thread = threading.Thread(target=fail, args=("thread",), name="worker token=%s" % secret("threadname"))
    thread.start()
    thread.join()
    named = threading.Thread(target=native, name="worker2 token=%s" % secret("threadname2"))
    named.start()
    named.join()
    with flightlog.run("child", password=secret("param"), thing=Thing("paramrepr")) as run:
        with run.stage("load token=%s" % secret("stage")):
            logging.info("inside")
            flightlog.get_logger().info("inside")
    try:
        with flightlog.run("failing token=%s" % secret("pipeline")) as run, run.stage("s"):
            fail("stage")
    except RuntimeError:
        pass
    fail("main")


main()
