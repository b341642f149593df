"""What must hold: after each step, and at the end when everything is mended and shipped.

A record is accepted when its call returned a number. Accepted = stored once + dead-lettered once + declared: damaged (a bit flipped in it, its
writer says corrupt), gone from a store that lost its memory (its writer says gap), or unflushed at a power cut. Nothing else may be missing.
"""

from flightlog.journal.encode import encode


class Record:
    """One record that a program tried to write."""

    __slots__ = ("accepted", "kind", "number", "payload", "text")

    def __init__(self, number, kind, payload, text):
        self.number, self.kind, self.payload, self.text = number, kind, payload, text
        self.accepted = False


class Model:
    def __init__(self, world):
        self.world = world
        self.records = {}
        self.promised = set()  # accepted before a flush that ended
        self.destroyed = set()  # by a power cut
        self.cut_writers = set()  # who lived through one
        self.torn_captures = set()  # that could not take all of a line: what came next stands behind its first half
        self.drops = {}  # writer -> drops that were counted before an accepted record
        self.inodes = {}  # record -> the file it is in
        self._positions = {}
        self._generation = 0
        self._last_rows = ()

    def new_record(self, kind, run, size):
        number = len(self.records) + 1
        text = "#%d# %s" % (number, "x" * (6000 if kind == "large" else size))
        body = {"k": "log", "t": self.world.kernel.wall_ns, "lv": 20, "lg": "sim", "m": text, "r": run}
        if kind == "event":
            body = {"k": "event", "t": self.world.kernel.wall_ns, "ev": "progress", "r": run, "x": {"id": text}}
        payload = encode(body)
        if kind == "poison":
            payload = payload.replace(b'{"k"', b'{"x":{"a":1e400000},"k"')
        elif kind == "broken":
            payload = payload[:-1]
        elif kind == "line":
            payload = text.encode()
        record = self.records[number] = Record(number, kind, payload, text.encode())
        return record

    def returned(self, record, n):
        """A call of append returned (None: it did not, its process died)."""
        record.accepted = bool(n)

    def accepted_now(self):
        return {record.number for record in self.records.values() if record.accepted}

    # -- power cuts -----------------------------------------------------------------------------------------------

    def _readable(self):
        """Records that stand whole in a file that has a name."""
        found = {}
        for path, inode in self.world.kernel.disk.segments((".seg", ".cap")).items():
            for number, (begin, frame) in inode.placed.items():
                if bytes(inode.data[begin : begin + len(frame)]) == frame:
                    found[number] = path
        return found

    def before_power_cut(self):
        self._before = self._readable()
        self.cut_writers |= {path[7:39] for path in self.world.kernel.disk.segments((".seg", ".cap"))}

    def after_power_cut(self):
        gone = set(self._before) - set(self._readable())
        stored = {row[5] for row in self.world.database.state.rows}
        broken = gone & self.promised - stored
        assert not broken, f"flushed, and yet gone with the power: {sorted(broken)}"
        self.destroyed |= gone

    # -- after each step ------------------------------------------------------------------------------------------

    def check(self):
        state = self.world.database.state
        self._check_rows(state)
        self._check_positions(state)
        self._check_ledger(state)

    def _check_rows(self, state):
        if state.rows is self._last_rows:
            return
        self._last_rows = state.rows
        numbers, seqs, places = set(), {}, {}
        lines = {}
        for kind, run, seq, writer, pos, number, text in state.rows:
            assert seq not in seqs.setdefault(writer, {}), f"writer {writer} has seq {seq} twice"
            seqs[writer][seq] = number
            assert pos not in places.setdefault(run, set()), f"run {run} has pos {pos} twice"
            places[run].add(pos)
            lines[run] = lines.get(run, 0) + (kind == "log")
            if number is None:
                continue  # what the agent says about itself
            record = self.records[number]
            assert number not in numbers, f"record {number} is stored twice"
            numbers.add(number)
            if record.kind == "line" and (writer in self.cut_writers | self.torn_captures or not record.accepted):
                continue  # captured bytes have no checksum; a line that was cut short is shown as it is
            wanted = record.text if kind == "log" else b'{"id":"%s"}' % record.text
            assert text == wanted, f"record {number} was changed"
        for (writer, seq), raw in state.letters.items():
            assert seq not in seqs.setdefault(writer, {}), f"writer {writer} has seq {seq} twice"
            number = self._number_in(raw)
            assert raw == self.records[number].payload or b"[redacted]" in raw  # a time can look like a card number
            assert number not in numbers, f"record {number} is stored twice"
            assert self.records[number].kind in ("poison", "broken"), f"record {number} was refused for nothing"
            numbers.add(number)
            seqs[writer][seq] = number
        for writer, of in seqs.items():
            row = state.writers[writer]
            assert sorted(of) == list(range(1, row["at"].seq)), f"numbers of {writer} have a hole"
            assert row["stored"] + row["dead"] == len(of), f"sums of {writer}"
            self._check_order(writer, of)
        for run, of in places.items():
            assert max(of) < state.run_positions[run, "sim"], f"positions of {run}"
        for run, count in lines.items():
            assert state.runs[run]["lines"] == count, f"lines of {run}"

    @staticmethod
    def _number_in(raw):
        from .disk import ID

        return int(ID.search(raw).group(1))

    def _check_order(self, writer, of):
        """Within a writer, seq is the order in the files."""
        where = {}
        for path, inode in self.world.kernel.disk.names.items():
            if path.startswith("/spool/" + writer) and path.endswith(".seg"):
                for number, (begin, _) in inode.placed.items():
                    where[number] = max(where.get(number, ("", 0)), (path, begin))
        order = [where[of[seq]] for seq in sorted(of) if of[seq] in where]
        assert order == sorted(order), f"order of {writer}"

    def _check_positions(self, state):
        if self.world.database.generation != self._generation:
            self._generation, self._positions = self.world.database.generation, {}
        for writer, row in state.writers.items():
            before = self._positions.get(writer)
            if before is not None:
                assert row["at"][:3] >= before[:3] and row["at"].closed >= before.closed, (
                    f"position of {writer} went back"
                )
            self._positions[writer] = row["at"]

    def _check_ledger(self, state):
        ends = {}
        for (writer, _), (begin, end) in sorted(state.ledger.items()):
            assert begin == ends.get(writer, (0, 0, 1)), f"ledger of {writer} has a seam"
            ends[writer] = end
        for writer, row in state.writers.items():
            assert ends[writer] == row["at"][:3], f"ledger of {writer} ends elsewhere"

    def _length_hit(self, number):
        for inode in self.world.kernel.disk.everything:
            begin = inode.placed.get(number, (None,))[0]
            if begin is not None and any(begin + 4 <= offset < begin + 7 for offset in inode.wounds):
                return True
        return False

    # -- at the end -----------------------------------------------------------------------------------------------

    def check_end(self):
        self.check()
        world, state = self.world, self.world.database.state
        found = {row[5] for row in state.rows} | {self._number_in(raw) for raw in state.letters.values()}
        homes = {}
        wounded = set()  # writers with damage
        hit = set()
        removed = set()
        for inode in world.kernel.disk.everything:
            writer = inode.path[7:39]
            if inode.wounds:
                wounded.add(writer)
            for number, (begin, frame) in inode.placed.items():
                homes[number] = writer
                if any(begin <= offset < begin + len(frame) for offset in inode.wounds):
                    hit.add(number)
                if not inode.links:
                    removed.add(number)
        for record in self.records.values():
            if not record.accepted or record.number in found:
                continue
            writer = homes[record.number]
            row = state.writers.get(writer)
            if world.hints_failed and world.database.generation and record.number in removed:
                continue  # a disk that was full or dead may have kept the agent from remembering
            if record.number in hit and writer in self.cut_writers:
                continue  # nobody can say which of the two it was
            if record.number in hit and row and row["torn"] and self._length_hit(record.number):
                continue  # its length says now that it was never finished
            if record.number in hit:
                assert row and row["corrupt"] + row["gap"] > 0, (
                    f"record {record.number} was damaged and nothing says so"
                )
            elif record.number in self.destroyed or (
                record.kind == "line" and writer in self.cut_writers | self.torn_captures
            ):
                continue  # raw lines next to destroyed bytes run into each other
            elif world.database.generation and record.number in removed:
                assert row and row["gap"] > 0, f"record {record.number} was lost by the store and nothing says so"
            else:
                raise AssertionError(f"record {record.number} ({record.kind}) of writer {writer} is lost")
        for writer, row in state.writers.items():
            if writer not in wounded and writer not in self.cut_writers and not world.database.generation:
                declared, counted = row["at"].dropped, self.drops.get(writer, 0)
                assert declared >= counted, f"{writer} dropped {counted}, and declares {declared}"
            if writer not in wounded and writer not in self.cut_writers:
                # A new database that was not recognised as one is told of what was acknowledged and removed as of damage.
                if not (world.hints_failed and world.database.generation):
                    assert row["corrupt"] == 0, f"{writer} declares damage that was not"
                if not world.database.generation:
                    assert row["gap"] == 0, f"{writer} declares a gap that was not"
            forgotten = world.hints_failed and world.database.generation
            own = state.runs.get(row["run"], {}).get("pipeline") == "flightlog"  # ends with its agent
            if (
                not own and writer not in self.cut_writers and not forgotten
            ):  # whose files are gone is unproven for ever
                assert row["at"].closed, f"{writer} is not closed"
        closed = {writer for writer, row in state.writers.items() if row["at"].closed}
        unknown = [path for path in world.kernel.disk.names if path.startswith("/spool/") and path[7:39] in closed]
        assert not unknown, f"files are left: {unknown}"
