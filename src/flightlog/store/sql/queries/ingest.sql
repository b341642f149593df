-- What the agent asks of the store: COPY, and functions; its role has no other rights.

-- name: open
SELECT epoch, store_id::text FROM pipeline_agent_open_v1(%(node)s, %(pid)s, %(version)s)

-- name: taken
SELECT EXISTS (SELECT FROM pg_stat_activity s
                WHERE s.pid = pipeline_agent_backend_v1(%(node)s) AND s.pid <> %(session)s AND s.datname = current_database()
                  AND s.application_name = current_setting('application_name'))

-- name: durable
SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                        ELSE current_setting('synchronous_commit') END, false)

-- name: positions
SELECT writer, segno, byte_offset, next_seq, highest_n, dropped, closed FROM pipeline_positions_v1(%(writers)s::uuid[])

-- name: owners
SELECT writer, uid FROM pipeline_writer_owners_v1(%(writers)s::uuid[])

-- name: run_positions
SELECT run_id, next_pos FROM pipeline_run_positions_v1(%(node)s, %(runs)s)

-- name: partitions
SELECT day FROM pipeline_partitions_ensure_v1(%(days)s::integer[]) AS made (day)

-- name: copy_logs
COPY pipeline_logs (run_id, ts, pos, seq, writer_id, levelno, level, logger, message, stage, source, pid, thread, file, line, func,
                    fields, exception, node, ts_claimed, flags) FROM STDIN

-- name: copy_events
COPY pipeline_events (run_id, ts, pos, seq, writer_id, node, event, stage, data) FROM STDIN

-- name: copy_metrics
COPY pipeline_metrics (run_id, ts, pos, seq, writer_id, node, name, kind, value, labels) FROM STDIN

-- name: dead_letter
INSERT INTO pipeline_dead_letters (writer_id, seq, run_id, node, raw, sqlstate, error)
VALUES (%(writer)s, %(seq)s, %(run)s, %(node)s, %(raw)s, %(sqlstate)s, %(error)s)

-- name: runs_apply
SELECT pipeline_runs_apply_v1(%(runs)s::jsonb)

-- name: ship_commit
SELECT pipeline_ship_commit_v1(%(node)s, %(epoch)s, %(writers)s::jsonb, %(runs)s::jsonb)

-- name: drops_apply
SELECT pipeline_drops_apply_v1(%(node)s, %(drops)s::jsonb)

-- name: lost
SELECT pipeline_runs_lost_v1(%(node)s, %(known)s)

-- name: beat
SELECT pipeline_agent_beat_v1(%(node)s, %(epoch)s, %(status)s::jsonb)

-- name: self_check
SELECT replace(writer::text, '-', ''), records, counted, missing, duplicates, doubt
  FROM pipeline_self_check_v1(%(node)s, %(since)s::date, %(after)s::uuid, %(limit)s::integer, %(rows)s::bigint)
