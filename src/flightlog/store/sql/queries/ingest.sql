-- What the agent asks of the store besides COPY and the functions of migration 0003.

-- name: open
SELECT epoch, store_id::text FROM pipeline_agent_open_v1(%(node)s, %(pid)s, %(version)s)

-- name: durable
SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                        ELSE current_setting('synchronous_commit') END, false)

-- name: positions
SELECT replace(writer_id::text, '-', ''), segno, byte_offset, next_seq, highest_n, dropped, closed_at IS NOT NULL
  FROM pipeline_writers WHERE writer_id = ANY (%(writers)s::uuid[])

-- name: run_positions
SELECT run_id, next_pos FROM pipeline_run_positions WHERE node = %(node)s AND run_id = ANY (%(runs)s)

-- name: copy_logs
COPY pipeline_logs (run_id, ts, pos, seq, writer_id, levelno, level, logger, message, stage, source, pid, thread, file, line, func,
                    fields, exception, node, ts_claimed, flags) FROM STDIN

-- name: copy_events
COPY pipeline_events (run_id, ts, pos, seq, writer_id, node, event, stage, data) FROM STDIN

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
UPDATE pipeline_agents SET heartbeat_at = now(), status = %(status)s::jsonb WHERE node = %(node)s AND epoch = %(epoch)s
