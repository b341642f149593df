-- What runs can be resumed from: events `checkpoint`, of all attempts of the same work.

-- name: attempts
SELECT run_id FROM pipeline_runs WHERE run_id = %(origin)s OR origin = %(origin)s ORDER BY run_id

-- name: inside
-- These runs and all that were begun inside them.
WITH RECURSIVE inside (run_id) AS (
    SELECT unnest(%(runs)s::text[]) COLLATE "C"
     UNION
    SELECT r.run_id FROM pipeline_runs r JOIN inside i ON r.parent = i.run_id
)
SELECT run_id FROM inside ORDER BY run_id

-- name: told
-- Without the values, of which only the newest are wanted.
SELECT run_id, node, pos, ts, stage, data - 'value' FROM pipeline_events
 WHERE event = 'checkpoint' AND run_id = ANY (%(runs)s) ORDER BY run_id, ts, writer_id, seq

-- name: parts
SELECT pos, data ->> 'value' FROM pipeline_events
 WHERE event = 'checkpoint' AND run_id = %(run)s AND node = %(node)s AND pos = ANY (%(positions)s)

-- name: stages
-- What these runs have said of their stages; numbers only where they are some.
SELECT stage, bool_or(event = 'stage.ended' AND data ->> 'status' = 'ok'),
       max(CASE jsonb_typeof(data -> 'total') WHEN 'number' THEN (data ->> 'total')::numeric END),
       max(CASE jsonb_typeof(data -> 'done') WHEN 'number' THEN (data ->> 'done')::numeric END)
  FROM pipeline_events
 WHERE run_id = ANY (%(runs)s) AND stage IS NOT NULL AND event IN ('stage.started', 'stage.ended', 'progress')
 GROUP BY stage ORDER BY min(ts)
