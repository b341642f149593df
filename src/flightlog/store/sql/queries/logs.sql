-- Log lines. Parameters that are NULL do not restrict. The order of history is (ts, node, pos); of what follows it, pos.

-- name: columns
l.ts, l.level, l.levelno, l.message, l.logger, r.pipeline, l.run_id, l.stage, l.node, l.pid, l.thread, replace(l.writer_id::text, '-', ''),
l.seq, l.pos, l.source, l.file, l.line, l.func, l.fields, l.exception, l.ts_claimed, l.flags

-- name: matches
    (%(since)s::timestamptz IS NULL OR l.ts >= %(since)s) AND (%(until)s::timestamptz IS NULL OR l.ts < %(until)s)
   AND (%(low)s::int IS NULL OR l.levelno >= %(low)s::int) AND (%(high)s::int IS NULL OR l.levelno <= %(high)s::int)
   AND (%(grep)s::text IS NULL OR l.message ~ %(grep)s) AND (%(igrep)s::text IS NULL OR l.message ~* %(igrep)s)
   AND (%(stage)s::text IS NULL OR l.stage = %(stage)s OR starts_with(l.stage, %(stage)s || '/'))
   AND (%(logger)s::text IS NULL OR l.logger = %(logger)s OR starts_with(l.logger, %(logger)s || '.'))
   AND (%(source)s::text IS NULL OR l.source = %(source)s) AND (%(node)s::text IS NULL OR l.node = %(node)s)

-- name: newest_of_runs
-- The newest of each run first, by its index, then the newest of these: with run_id = ANY (...) each run would be read whole.
SELECT {columns}
  FROM unnest(%(runs)s::text[]) AS wanted (run_id)
 CROSS JOIN LATERAL (SELECT * FROM pipeline_logs l WHERE l.run_id = wanted.run_id AND {matches}
                      ORDER BY l.ts DESC, l.node DESC, l.pos DESC LIMIT %(limit)s) l
  LEFT JOIN pipeline_runs r ON r.run_id = l.run_id
 ORDER BY l.ts DESC, l.node DESC, l.pos DESC, l.run_id DESC
 LIMIT %(limit)s

-- name: newest_of_all
SELECT {columns}
  FROM pipeline_logs l LEFT JOIN pipeline_runs r USING (run_id)
 WHERE {matches}
 ORDER BY l.ts DESC, l.node DESC, l.pos DESC, l.run_id DESC
 LIMIT %(limit)s

-- name: all_of_run
{all_of_run_unordered}
 ORDER BY l.ts, l.node, l.pos

-- name: all_of_run_reversed
{all_of_run_unordered}
 ORDER BY l.ts DESC, l.node DESC, l.pos DESC

-- name: all_of_run_unordered
SELECT {columns}
  FROM pipeline_logs l LEFT JOIN pipeline_runs r USING (run_id)
 WHERE l.run_id = %(run)s AND {matches}

-- name: all
{all_unordered}
 ORDER BY l.ts, l.node, l.pos, l.run_id

-- name: all_reversed
{all_unordered}
 ORDER BY l.ts DESC, l.node DESC, l.pos DESC, l.run_id DESC

-- name: all_unordered
SELECT {columns}
  FROM pipeline_logs l LEFT JOIN pipeline_runs r USING (run_id)
 WHERE (%(runs)s::text[] IS NULL OR l.run_id = ANY (%(runs)s)) AND {matches}

-- name: behind
-- Lines by position, for following.
SELECT {columns}
  FROM unnest(%(seen_runs)s::text[], %(seen_nodes)s::text[], %(after)s::bigint[], %(before)s::bigint[]) AS seen (run_id, node, low, high)
 CROSS JOIN LATERAL (SELECT * FROM pipeline_logs x
                      WHERE x.run_id = seen.run_id AND x.node = seen.node AND x.pos >= seen.low AND x.pos < seen.high) l
  LEFT JOIN pipeline_runs r ON r.run_id = l.run_id
 WHERE {matches}
 ORDER BY l.ts, l.node, l.pos, l.run_id

-- name: heads
-- How far each followed run has come: those asked for, later ones of their pipelines; or everything that goes on or began lately.
-- A run whose end was stored is still open while one of its writers is: its last lines may be on their way.
WITH followed AS (
    SELECT run_id FROM unnest(%(runs)s::text[]) AS asked (run_id)
     UNION SELECT run_id FROM pipeline_runs WHERE pipeline = ANY (%(pipelines)s::text[]) AND run_id > %(after)s
     UNION SELECT run_id FROM pipeline_runs WHERE %(live)s AND state IN ('starting', 'running', 'stopping')
     UNION SELECT run_id FROM pipeline_runs WHERE %(live)s AND run_id > %(after)s
)
SELECT r.run_id, r.state, p.node, p.next_pos,
       EXISTS (SELECT FROM pipeline_run_writers x JOIN pipeline_writers w USING (writer_id)
                WHERE x.run_id = r.run_id AND w.closed_at IS NULL)
  FROM followed JOIN pipeline_runs r USING (run_id) LEFT JOIN pipeline_run_positions p USING (run_id)
