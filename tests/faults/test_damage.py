"""Bytes of the spool are not what was written: only what was touched is lost, all of it is declared, and the agent goes on."""

import os
import random
import stat
import zlib

from campaign import SEED, rounds
from spoiled import PAGE, Spoiled

from flightlog import identity
from flightlog.agent.spool_scan import look
from flightlog.journal.format import FRAME_HEAD, FRAME_HEAD_BYTES, salt_of, segment_name
from integration.shipping import fetch

FIELDS = {"crc": (0, 4), "length": (4, 7), "tag": (7, 8), "n": (8, 12), "upper_n": (12, 16), "payload": (16, None)}


def flip(data, begin, end, field, choose):
    """Flip one bit of one field of the frame at begin to end."""
    low, high = FIELDS[field]
    low, high = begin + low, end if high is None else begin + high
    data[choose.randrange(low, high)] ^= 1 << choose.randrange(8)


def valid(one, begin, end):
    """Whether a frame's checksum is right."""
    data = bytes(one.segments[0][begin:end])
    crc, _, n = FRAME_HEAD.unpack_from(data)
    return zlib.crc32(data[FRAME_HEAD_BYTES:], salt_of(one.writer)) ^ (n & 0xFFFFFFFF) == crc


def test_27_bit_flips(scene):
    """1 to 64 random bits in any field of any frame but a writer's last, the header's included."""
    choose = random.Random(SEED)
    lost, headers = set(), 0
    number = rounds(150, whole=3000)
    for round_ in range(number):
        one = Spoiled(f"f{round_}", 20, size=choose.choice([0, 50, 500]))
        before = bytes(one.segments[0])
        for _ in range(choose.choice([1, 1, 2, 5, 64])):
            begin, end = choose.choice([one.heads[0], *((b, e) for _, b, e, _ in one.spans[:-1])])
            flip(one.segments[0], begin, end, choose.choice(list(FIELDS)), choose)
            # The checksum is xored with n: the same bit flipped in both is not found, and then n is a wrong one. Not to be had here.
            if valid(one, begin, end) and one.segments[0][begin:end][:12] != before[begin:end][:12]:
                one.segments[0][begin:end] = before[begin:end]
        headers += one.segments[0][: one.heads[0][1]] != before[: one.heads[0][1]]
        lost |= {(one.name, n) for n in one.touched(0, before)}
        one.write(scene.spool, scene.witness)
    scene.tally.add(rounds=number)
    # A header is no record: where only that is damaged, one is declared all the same.
    scene.check(may_lose=True, spare=headers)
    there = {row[1:3] for row in scene.rows()}
    gone = {key for key in scene.witnessed() if key not in there}
    assert gone <= lost, f"seed {SEED}: not touched, and lost: {gone - lost}"
    assert os.listdir(os.path.join(scene.home, "quarantine"))


def test_a_flip_in_the_last_frame_is_declared(scene):
    """A call that never returned leaves half a frame, never a whole one with a wrong checksum."""
    one = Spoiled("t", 5)
    one.segments[0][-3] ^= 4
    one.write(scene.spool, scene.witness)
    assert scene.check(may_lose=True).total("corrupt") == 1


def test_28_cut_zeroed_doubled_swapped_and_missing_pieces(scene):
    """A file of 20 records cut at every byte; pages of zeros, pages that stand twice, swapped and missing segments."""
    choose = random.Random(SEED)
    expected = {}  # name -> numbers that must be stored
    spare = 0

    def write(one, kept):
        expected[one.name] = set(kept)
        one.write(scene.spool, scene.witness)
        scene.tally.add(rounds=1)

    # Cut: what stands whole before the cut is there. A cut end of the last segment looks like a call that never returned.
    whole = Spoiled("w", 20)
    ends = [end for _, _, end, _ in whole.spans]
    near = {cut for end in ends for cut in (end - 1, end, end + 1, end + 15, end + 16)}
    size = len(whole.segments[0])
    for cut in range(size + 1) if rounds(0) else sorted(c for c in {0, 1, 15, 16, *near} if c <= size):
        one = Spoiled(f"cut{cut}", 20)
        del one.segments[0][cut:]
        kept = [n for _, _, end, n in one.spans if end <= len(one.segments[0])]
        expected[one.name] = set(kept)
        one.write(scene.spool, scene.witness, told=kept)
        scene.tally.add(rounds=1)
    # A page of zeros, and one that shows the page before: not the last page, behind which nothing valid would stand.
    for page in range(len(Spoiled("p", 20, size=700).segments[0]) // PAGE - 1):
        for what in ("zero", "other", "twice"):
            one = Spoiled(f"{what}{page}", 20, size=700)
            before = bytes(one.segments[0])
            data = one.segments[0]
            here = slice(page * PAGE, (page + 1) * PAGE)
            if what == "zero":
                data[here] = bytes(PAGE)
            elif what == "other":
                data[here] = data[:PAGE] if page else data[PAGE : 2 * PAGE]
            else:
                data[here.stop : here.stop] = data[here]
            kept = set(range(20)) if what == "twice" else set(range(20)) - one.touched(0, before)
            spare += (
                what == "twice" or page == 0
            )  # damage in which no record was: between two of them, or in the header
            write(one, kept)
    # Three segments: the middle one missing, the first one missing, cut at its end, two of them swapped.
    for segno in (0, 1):
        one = Spoiled(f"missing{segno}", 21, segments=3)
        one.segments[segno] = None
        write(one, [n for at, _, _, n in one.spans if at != segno])
        one = Spoiled(f"short{segno}", 21, segments=3)
        end = choose.choice([span for span in one.spans if span[0] == segno][:-1])[2]
        del one.segments[segno][end:]
        write(one, [n for at, _, stop, n in one.spans if at != segno or stop <= end])
    swapped = Spoiled("swapped", 21, segments=3)
    swapped.segments[1], swapped.segments[2] = swapped.segments[2], swapped.segments[1]
    write(swapped, range(21))
    scene.check(may_lose=True, spare=spare, in_order=False)
    stored = {}
    for _, name, n, _ in scene.rows():
        stored.setdefault(name, set()).add(n)
    wrong = {
        name: (kept ^ stored.get(name, set())) for name, kept in expected.items() if kept != stored.get(name, set())
    }
    assert not wrong, f"seed {SEED}: {wrong}"


ROTATED = """
import flightlog, worker
flightlog.init(pipeline="rotated")
worker.rotate_at(20000)
log = flightlog.get_logger("rotated")
for n in range(40):
    worker.log(log.info, worker.argument(1), n, 6000)
"""


def test_what_a_real_writer_says_of_its_segments_declares_a_missing_one(scene):
    for name, spoil in (("gone", os.unlink), ("empty", lambda path: os.truncate(path, 0)), ("short", cut_last_frame)):
        known = set(look([scene.spool])) if os.path.isdir(scene.spool) else set()
        assert scene.run(ROTATED, name) == 0, scene.words()
        (writer,) = set(look([scene.spool])) - known
        spoil(os.path.join(scene.spool, segment_name(writer, 1)))
    found = scene.check(may_lose=True)
    assert found.total("corrupt") == scene.tally.witnessed - scene.tally.stored > 3


def cut_last_frame(path):
    """Shorten a segment by its last frame."""
    with open(path, "r+b") as file:
        data = file.read()
        at = 0
        while at < len(data):
            last = at
            at += FRAME_HEAD_BYTES + (FRAME_HEAD.unpack_from(data, at)[1] & 0xFFFFFF)
        file.truncate(last)


def test_29_hostile_files(scene):
    """Files that are named like ours and are something else: the agent neither follows nor waits, and ships what is real."""
    identity.make_spool(scene.spool)
    secret = os.path.join(scene.folder, "secret")
    with open(secret, "w") as file:
        file.write("w:secret:0:")
    names = iter(range(1 << 20))

    def place(suffix, number=0):
        """A new writer's name."""
        next(names)
        writer = identity.new_writer_id()
        return os.path.join(
            scene.spool, segment_name(writer, number, suffix) if number is not None else writer + suffix
        )

    for suffix, number in (
        (".seg", 0),
        (".seg", 10**17),
        (".cap", 0),
        (".idx", 0),
        (".lock", None),
        (".meta", None),
        (".end", None),
    ):
        open(place(suffix, number), "w").close()
        for content in (
            b"x",
            b"foreign " * 100,
            bytes(5000),
            b"\xa7" * 5000,
            b"[" * 5000,
            b'{"k":"capture","t":1e400,"keeper":[1e9,{}],"boot":7}',
        ):
            with open(place(suffix, number), "wb") as file:
                file.write(content)
        os.mkdir(place(suffix, number))
        os.mkfifo(place(suffix, number))
        os.symlink(secret, place(suffix, number))
        os.symlink("/dev/zero", place(suffix, number))
        os.symlink(place(suffix, number), place(suffix, number))
        os.link(secret, place(suffix, number))
        os.mknod(place(suffix, number), stat.S_IFSOCK | 0o600)
    for name in (
        "x.seg",
        "0" * 32,
        "0" * 32 + ".000000.seg.tmp",
        "0" * 31 + "é.000000.seg",
        "a" * 32 + ".99999999999999999999.seg",
        "-rf",
    ):
        open(os.path.join(scene.spool, name), "w").close()
    with open(os.path.join(os.fsencode(scene.spool), b"\xff\xfe.seg"), "w"):
        pass
    # Beside the real segments of a real writer.
    one = Spoiled("real", 30, segments=3)
    one.write(scene.spool, scene.witness)
    mixed = Spoiled("mixed", 30, segments=3)
    mixed.segments[2] = None
    mixed.write(scene.spool, scene.witness, told=range(20))
    os.symlink("/dev/zero", os.path.join(scene.spool, segment_name(mixed.writer, 2)))
    os.mkfifo(os.path.join(scene.spool, segment_name(mixed.writer, 3)))
    scene.tally.add(rounds=1)
    # Foreign bytes under a name of ours are taken for a writer's damage, and each such file is declared once.
    scene.check(open_writers=1 << 20, may_lose=True, spare=50)
    assert fetch(scene.dsn, "SELECT count(*) FROM pipeline_logs WHERE message LIKE '%%secret%%'") == [(0,)]
    assert os.path.exists(secret)
    assert len([row for row in scene.rows() if row[1] == "real"]) == 30
