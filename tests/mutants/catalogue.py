"""The rules of delivery, broken one at a time, and the test that must notice. `make mutants` breaks a copy and runs the test.

A mutant is a list of replacements (file, what stands there, what stands there instead); what stands there must be found, so that a mutant cannot
quietly stop being one. `quick` ones run in `make test`.
"""

from typing import NamedTuple

SIM = "tests/simulation/test_regressions.py::test_history"
SHIP = "tests/integration/test_shipper.py::"
COMMIT = "store/sql/migrations/0007_pre_remember_gaps.sql"


class Mutant(NamedTuple):
    """One broken rule. `edits`: (file under src/flightlog, old, new); every place where *old* stands is changed. `test`: what must turn red."""

    name: str
    edits: list
    test: str
    quick: bool = False


MUTANTS = [
    Mutant(
        "checksums are not looked at",
        [("journal/reader.py", "        if crc32(payload, salt) ^ n != crc:\n            break\n", "")],
        "tests/unit/journal/test_frames.py::test_one_flipped_byte_costs_one_record_and_is_declared",
        quick=True,
    ),
    Mutant(
        "frames of every writer pass for one's own",
        [
            ("journal/reader.py", "crc32(payload, salt) ^", "crc32(payload) ^"),
            ("journal/reader.py", "    value = salt\n", "    value = 0\n"),
            ("journal/format.py", "        return crc32(payload, salt) ^", "        return crc32(payload) ^"),
        ],
        "tests/unit/journal/test_frames.py::test_frame_of_another_writer_inside_a_message_is_not_believed",
    ),
    Mutant(
        "reading stops at the first bad frame",
        [("journal/reader.py", "    budget = RESYNC_BUDGET_BYTES\n", "    return -1\n")],
        SHIP + "test_damage_is_declared_kept_and_passed",
    ),
    Mutant(
        "what looks like long frames ends the search",
        [("journal/reader.py", "return max(tag - 7, min(position + LEAST_PASSED_BYTES, len(data)))", "return -1")],
        "tests/fuzz/test_hard_shapes.py::test_what_looks_like_long_frames_hides_none_behind_it",
    ),
    Mutant(
        "bits of a number that no checksum covers count",
        [("journal/reader.py", "        n &= 0xFFFFFFFF", "        crc ^= n >> 32 << 32")],
        "tests/integration/test_strange_writers.py::test_bits_of_a_number_that_no_checksum_covers_change_nothing",
    ),
    Mutant(
        "damage that is passed in parts counts for each",
        [
            (
                "agent/step.py",
                "        if self._n_from_damage < 0:\n            self._before",
                "        self.corrupt += self._n_from_damage >= 0\n        if self._n_from_damage < 0:\n            self._before",
            )
        ],
        "tests/fuzz/test_hard_shapes.py::test_long_damage_is_one_damage",
    ),
    Mutant(
        "a newer version of the format is read as if it were ours",
        [("journal/format.py", " and FORMAT_VERSION < version < LEAST_NONSENSE", " and version < 0")],
        "tests/integration/test_strange_writers.py::test_a_newer_version_of_the_format_is_held_and_said",
    ),
    Mutant(
        "who had to wait for his turn to rotate takes it though it is over",
        [("journal/writer.py", "return state.segment != turn or self._begin", "return self._begin")],
        "tests/unit/journal/test_interrupted.py::test_who_gets_a_turn_that_is_over_begins_no_segment",
    ),
    Mutant(
        "what a writer dropped that never had a lock is forgotten with it",
        [("journal/writer.py", "        if old.lock_fd < 0:", "        if False:")],
        "tests/unit/journal/test_interrupted.py::test_a_fresh_writer_answers_for_what_the_one_before_could_not_declare",
    ),
    Mutant(
        "nesting without end ends the agent",
        [("agent/decode.py", "UnicodeDecodeError, RecursionError):", "UnicodeDecodeError):")],
        "tests/unit/agent/test_decode.py::test_nesting_without_end_is_poison_at_most",
        quick=True,
    ),
    Mutant(
        "a line may be taken apart in more ways than there is time for",
        [("agent/lines.py", "(?:([^\\s|]+)[\\s|]+){0,4}?", "(?:(\\S+)[\\s|]+){0,4}?")],
        "tests/fuzz/test_fuzz_captured.py::test_damaged_output_is_taken_apart_without_loss",
    ),
    Mutant(
        "any bad end is a torn one",
        [("agent/journal_tail.py", "chunk.stop == reader.PARTIAL and chunk.short", "chunk.stop == reader.PARTIAL")],
        SIM + "[a last record that was damaged passed for one that was never written]",
        quick=True,
    ),
    Mutant(
        "damage is not kept",
        [("agent/step.py", "    folder = os.path.join(home, \"quarantine\")\n", "    return\n")],
        SHIP + "test_damage_is_declared_kept_and_passed",
    ),
    Mutant(
        "a frame is written in two parts",
        [
            (
                "journal/writer.py",
                "                state.write(state.fd, frame, length + _HEAD) if _companions() else state.write_alone(state.fd, frame)\n",
                "                state.write(state.fd, frame[:20], 20) + state.write(state.fd, frame[20:], length + _HEAD - 20)\n",
            )
        ],
        SIM + "[threads take turns at each system call]",
    ),
    Mutant(
        "a forked child goes on with its parent's writer",
        [
            ("journal/writer.py", "        if not state.same_process[0]:", "        if False:"),
            ("journal/writer.py", "            writer._renew()\n        except", "            pass\n        except"),
        ],
        "tests/unit/journal/test_frames.py::test_forked_child_has_a_writer_of_its_own",
    ),
    Mutant(
        "a drop is not declared",
        [("journal/drops.py", "        self.owed = True\n        return number", "        return number")],
        SIM + "[drops are declared with the next record that is accepted]",
    ),
    Mutant(
        "drops are declared behind half a frame",
        [
            ("journal/writer.py", "        if (state.bad or state.fd < 0) and not self._rotate(state):", "        if False:"),
            ("journal/writer.py", "        elif state is self._state and not state.bad:", "        else:"),
        ],
        SIM + "[drops declared behind half a frame, which then looked like damage]",
    ),
    Mutant(
        "the writer's lock is one that children inherit",
        [
            ("journal/birth.py", "fcntl.lockf(fd, fcntl.LOCK_EX", "fcntl.flock(fd, fcntl.LOCK_EX"),
            ("journal/liveness.py", "fcntl.lockf(fd, fcntl.LOCK_SH", "fcntl.flock(fd, fcntl.LOCK_SH"),
        ],
        "tests/unit/journal/test_liveness.py::test_lock_is_not_kept_by_a_child_that_was_forked_in_c",
    ),
    Mutant(
        "liveness is looked at after the last read",
        [
            ("agent/ready.py", "alive = tail.look_alive(files) if look_alive or tail.backlog(files) == 0 else True", "alive = not look_alive"),
            ("agent/journal_tail.py", "                if over and later is None and not files.overlooked(step.segno + 1, step.segno + 2):\n", "                if later is None and not self.look_alive(files):\n"),
        ],
        SIM + "[a last word between the last read and the look at its writer]",
    ),
    Mutant(
        "a writer is closed by a look from before its death",
        [
            ("agent/journal_tail.py", "        over = self._dead and not self.wants_a_look(files)\n", "        over = self._dead\n"),
            ("agent/journal_tail.py", " and not files.overlooked(step.segno + 1, step.segno + 2)", ""),
        ],
        SIM + "[a segment that was born and left between the look at the spool and the look at its writer]",
    ),
    Mutant(
        "a segment is left while something may still come to it",
        [("agent/journal_tail.py", "len(reader.read_chunk(fd, self._salt, 0, 8192).frames) >= 2", "True")],
        SHIP + "test_a_segment_is_not_left_while_something_may_still_come_to_it",
    ),
    Mutant(
        "a segment that was not seen is passed over",
        [("agent/spool.py", "        suffix = CAPTURE_SUFFIX if self.kind == CAPTURE else SEGMENT_SUFFIX\n", "        return False\n")],
        "tests/integration/test_overlooked.py::test_a_segment_that_was_not_seen_is_waited_for",
    ),
    Mutant(
        "a folder that changed just now is believed to show its next change",
        [("agent/spool_scan.py", "COARSE_NS = 3_000_000_000", "COARSE_NS = 0")],
        "tests/unit/agent/test_spool_scan.py::test_a_name_that_comes_in_the_same_tick_as_the_last_look_is_seen",
    ),
    Mutant(
        "only the newest segment is looked at",
        [("agent/spool_scan.py", "newest - 1)", "newest)")],
        "tests/unit/agent/test_spool_scan.py::test_a_quiet_writer_s_next_byte_is_seen_at_the_next_look",
    ),
    Mutant(
        "who is settled is not looked at once more",
        [("agent/spool_scan.py", "for writer, one in list(self.active.items()):\n", "for writer, one in [(writer, one) for writer, one in self.active.items() if writer not in settled or one.changed]:\n")],
        "tests/unit/agent/test_spool_scan.py::test_what_was_written_until_a_writer_was_settled_is_seen_and_then_it_is_not_asked_again",
    ),
    Mutant(
        "a writer that was found dead is closed by what is remembered",
        [
            ("agent/spool_scan.py", "        self.changed_ns = -1\n\n    def distrust", "        pass\n\n    def distrust"),
            ("agent/journal_tail.py", " and not files.overlooked(step.segno + 1, step.segno + 2)", ""),
        ],
        SIM + "[a segment that a file system told late of, and whose writer had died]",
    ),
    Mutant(
        "epochs are not compared",
        [(COMMIT, "IS DISTINCT FROM p_epoch THEN", "IS NULL THEN")],
        SHIP + "test_a_zombie_that_reconnected_by_itself_is_refused",
    ),
    Mutant(
        "a second agent gets the epoch of the first",
        [("store/sql/migrations/0004_pre_restrict_shipping_functions.sql", "SET epoch = a.epoch + 1,", "SET epoch = a.epoch,")],
        SHIP + "test_a_zombie_that_reconnected_by_itself_is_refused",
    ),
    Mutant(
        "the old agent's session is not ended",
        [("store/sql/migrations/0004_pre_restrict_shipping_functions.sql", "PERFORM pg_terminate_backend(s.pid, 5000)", "PERFORM s.pid")],
        "tests/integration/test_zombie.py::test_a_zombie_with_an_open_batch_is_ended",
    ),
    Mutant(
        "a position that moved is reported by no error",
        [(COMMIT, "    IF changed <> wanted THEN\n        RAISE EXCEPTION '%% of %% writers", "    IF false THEN\n        RAISE EXCEPTION '%% of %% writers")],
        SHIP + "test_a_new_writer_must_begin_at_the_beginning",
    ),
    Mutant(
        "the position moves in another transaction than its rows",
        [("store/ingest.py", '        values = {\n            "node": self._node,\n', '        self._connection.commit()\n        values = {\n            "node": self._node,\n')],
        "tests/faults/test_killed_agents.py::test_killed_at[after_ship_commit]",
    ),
    Mutant(
        "a batch that does not add up is stored",
        [(COMMIT, "w.to_seq <> w.seq + w.logs + w.events + w.dead", "false")],
        SHIP + "test_a_batch_that_does_not_add_up_is_refused",
    ),
    Mutant(
        "a seam of the ledger stops no batch",
        [(COMMIT, "    IF changed <> wanted THEN\n        RAISE EXCEPTION 'the ledger", "    IF false THEN\n        RAISE EXCEPTION 'the ledger")],
        "tests/integration/test_store_gaps.py::test_a_ledger_that_ends_elsewhere_stops_the_batch",
    ),
    Mutant(
        "the audit does not look at seams",
        [("query/audit.py", "    if row.seams:", "    if False:")],
        "tests/integration/test_query_audit.py::test_a_broken_ledger_proves_nothing",
    ),
    Mutant(
        "the audit passes over gaps",
        [("query/audit.py", " + row.gap,\n        duplicates", ",\n        duplicates")],
        "tests/integration/test_store_gaps.py::test_a_declared_gap_is_missing_in_the_audit",
    ),
    Mutant(
        "the ledger believes the server's clock",
        [(COMMIT, "greatest(today, (SELECT max(d.day) FROM pipeline_ship_ledger d WHERE d.writer_id = w.writer))", "today")],
        "tests/integration/test_store_gaps.py::test_the_servers_clock_is_put_back_over_midnight",
    ),
    Mutant(
        "a row that was refused is counted as stored",
        [("agent/step.py", "        for kind in kinds:\n", "        for kind in []:\n")],
        SHIP + "test_poison_goes_into_dead_letters_and_its_neighbours_are_stored",
    ),
    Mutant(
        "a row that was refused is counted as a line of its run",
        [("agent/batch.py", "                self.runs[run].refused(", "                len(()) and self.runs[run].refused(")],
        SIM + "[refused rows were counted as lines of their run]",
    ),
    Mutant(
        "an unknown commit passes for done",
        [
            (
                "agent/shipper.py",
                "        transaction.commit()\n",
                "        try:\n            transaction.commit()\n        except Exception:\n            pass\n",
            )
        ],
        SIM + "[a commit that never arrived, and a spool that is short of room]",
    ),
    Mutant(
        "the segment that is being read is removed",
        [("agent/retire.py", "number < position.segno", "number <= position.segno")],
        SIM + "[segments are removed behind a writer that lives]",
        quick=True,
    ),
    Mutant(
        "what is acknowledged is removed at once",
        [("agent/retire.py", "old_enough = abs(now - youngest) >", "old_enough = True or 0 >")],
        "tests/faults/test_lost_memory.py::test_40_a_new_empty_database_under_the_same_name",
    ),
    Mutant(
        "files of the future are kept",
        [("agent/retire.py", "abs(now - youngest)", "(now - youngest)")],
        SIM + "[files of the future were never removed]",
    ),
    Mutant(
        "a flush forgets the names",
        [("agent/upkeep.py", "            flush_folder(folder)\n", "            pass\n")],
        SIM + "[the name of a new segment was not flushed with its content]",
        quick=True,
    ),
    Mutant(
        "a store that lost its memory is not recognised",
        [("agent/regression.py", "    if sink.place != hint.place:\n", "    if True:\n")],
        "tests/faults/test_lost_memory.py::test_39_a_database_restored_from_an_earlier_copy",
    ),
    Mutant(
        "another store under the same name is not noticed",
        [("agent/regression.py", "    if not renewed and not _behind(", "    if not _behind("),
         ("agent/regression.py", "renewed = sink.store_id != hint.store", "renewed = False")],
        "tests/faults/test_lost_memory.py::test_40_a_new_empty_database_under_the_same_name",
    ),
    Mutant(
        "a store elsewhere is blamed for what it never had",
        [("agent/regression.py", "    if sink.place != hint.place:\n", "    if False:\n")],
        "tests/faults/test_lost_memory.py::test_another_database_on_purpose_is_no_loss",
    ),
    Mutant(
        "what is removed is not written down",
        [("agent/retire.py", "            hint.removing(", "            list(")],
        SIM + "[partly removed, a new database, a power cut that takes half of what was remembered]",
    ),
    Mutant(
        "a gap is not declared",
        [("agent/step.py", '            "gap": self.gap,\n', '            "gap": 0,\n')],
        SIM + "[removed, and then the database was restored]",
    ),
    Mutant(
        "a segment that vanished under the position is passed over",
        [("agent/journal_tail.py", "                step.vanished()\n", "                pass\n")],
        "tests/integration/test_store_gaps.py::test_a_segment_that_vanished_under_the_position_is_a_gap",
    ),
    Mutant(
        "a bad sector holds up every writer",
        [("agent/shipper.py", "                    self.unreadable[tail.writer] = why(problem)\n                    continue\n", "                    raise\n")],
        "tests/simulation/test_isolation.py::test_a_bad_sector_holds_up_one_writer_only",
    ),
    Mutant(
        "an attempt goes on without its caretaker's word",
        [("process/attempt.py", 'if os.read(go[0], 1) != b"!":', "if os.read(go[0], 1) is None:")],
        "tests/conformance/test_kept_births.py::test_without_the_word_nothing_is_executed",
    ),
    Mutant(
        "a keeper that nobody reaps passes for a living one",
        [("process/attempt.py", "if one.waited is not None and one.waited.alive():", "if one.waited is not None:")],
        "tests/acceptance/test_kept_unrecorded.py::test_a_keeper_that_nobody_reaps_does_not_pass_for_a_living_one",
    ),
    Mutant(
        "the end of keeper and shim passes for the command's",
        [("process/caretaker.py", "if command is not None and command.alive():", "if False:")],
        "tests/acceptance/test_kept_unrecorded.py::test_what_lost_its_recorders_is_kept_as_one_copy",
    ),
    Mutant(
        "a tree is looked at once while it is killed",
        [("process/family.py", "for _ in range(20):", "for _ in range(1):")],
        "tests/unit/process/test_family.py::test_who_is_forked_between_look_and_kill_is_killed_as_well",
    ),
    Mutant(
        "what a dead command has left passes for the command",
        [
            ("process/caretaker.py", 'if known.get("start") and (self', 'if known.get("none") and (self'),
            ("process/caretaker.py", "return None if found is not None and self._starter.record(found) else found", "return found"),
        ],
        "tests/acceptance/test_kept_unrecorded.py::test_what_a_dead_command_has_left_is_not_taken_for_it",
    ),
    Mutant(
        "a writer is believed to be what its first look showed",
        [("agent/journal_tail.py", "            self._meet(files)\n            head = self.head\n", "            head = self.head\n"),
         ("agent/journal_tail.py", "        self._meet(files)\n        while", "        while")],
        "tests/integration/test_seen_at_birth.py::test_a_writer_that_was_met_before_its_header_is_known_by_it_later",
    ),
    Mutant(
        "a lock has its name before it is held",
        [("journal/birth.py", "        _lock(fd)\n        os.rename(unborn, os.path.join(directory, writer + LOCK_SUFFIX))",
          "        os.rename(unborn, os.path.join(directory, writer + LOCK_SUFFIX))\n        _lock(fd)")],
        "tests/integration/test_seen_at_birth.py::test_what_says_that_a_writer_lives_has_its_name_only_when_it_is_locked",
    ),
    Mutant(
        "who has no header and no lock is dead",
        [("agent/journal_tail.py", "not (not head and is_being_born(files)) and", "")],
        "tests/integration/test_seen_at_birth.py::test_a_writer_without_a_lock_is_given_time_for_its_header",
    ),
]  # fmt: skip
