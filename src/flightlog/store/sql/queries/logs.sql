-- Log lines. Parameters that are NULL do not restrict. The order of history is (ts, node, pos); of what follows it, pos.

-- name: newest
SELECT l.ts, l.level, l.levelno, l.message, l.logger, r.pipeline, l.run_id, l.stage, l.node, l.pid, l.thread,
       replace(l.writer_id::text, '-', ''), l.seq, l.pos, l.source, l.file, l.line, l.func, l.fields, l.exception, l.ts_claimed, l.flags
  FROM pipeline_logs l LEFT JOIN pipeline_runs r USING (run_id)
 WHERE (%(runs)s::text[] IS NULL OR l.run_id = ANY (%(runs)s))
   AND (%(since)s::timestamptz IS NULL OR l.ts >= %(since)s) AND (%(until)s::timestamptz IS NULL OR l.ts < %(until)s)
   AND l.levelno BETWEEN %(low)s AND %(high)s
   AND (%(grep)s::text IS NULL OR l.message ~ %(grep)s) AND (%(igrep)s::text IS NULL OR l.message ~* %(igrep)s)
   AND (%(stage)s::text IS NULL OR l.stage = %(stage)s OR starts_with(l.stage, %(stage)s || '/'))
   AND (%(logger)s::text IS NULL OR l.logger = %(logger)s OR starts_with(l.logger, %(logger)s || '.'))
   AND (%(source)s::text IS NULL OR l.source = %(source)s) AND (%(node)s::text IS NULL OR l.node = %(node)s)
 ORDER BY l.ts DESC, l.node DESC, l.pos DESC
 LIMIT %(limit)s

-- name: oldest
SELECT l.ts, l.level, l.levelno, l.message, l.logger, r.pipeline, l.run_id, l.stage, l.node, l.pid, l.thread,
       replace(l.writer_id::text, '-', ''), l.seq, l.pos, l.source, l.file, l.line, l.func, l.fields, l.exception, l.ts_claimed, l.flags
  FROM pipeline_logs l LEFT JOIN pipeline_runs r USING (run_id)
 WHERE (%(runs)s::text[] IS NULL OR l.run_id = ANY (%(runs)s))
   AND (%(since)s::timestamptz IS NULL OR l.ts >= %(since)s) AND (%(until)s::timestamptz IS NULL OR l.ts < %(until)s)
   AND l.levelno BETWEEN %(low)s AND %(high)s
   AND (%(grep)s::text IS NULL OR l.message ~ %(grep)s) AND (%(igrep)s::text IS NULL OR l.message ~* %(igrep)s)
   AND (%(stage)s::text IS NULL OR l.stage = %(stage)s OR starts_with(l.stage, %(stage)s || '/'))
   AND (%(logger)s::text IS NULL OR l.logger = %(logger)s OR starts_with(l.logger, %(logger)s || '.'))
   AND (%(source)s::text IS NULL OR l.source = %(source)s) AND (%(node)s::text IS NULL OR l.node = %(node)s)
 ORDER BY l.ts, l.node, l.pos
 LIMIT %(limit)s

-- name: behind
SELECT l.ts, l.level, l.levelno, l.message, l.logger, r.pipeline, l.run_id, l.stage, l.node, l.pid, l.thread,
       replace(l.writer_id::text, '-', ''), l.seq, l.pos, l.source, l.file, l.line, l.func, l.fields, l.exception, l.ts_claimed, l.flags
  FROM unnest(%(runs)s::text[], %(nodes)s::text[], %(after)s::bigint[], %(before)s::bigint[]) AS seen(run_id, node, low, high)
  CROSS JOIN LATERAL (SELECT * FROM pipeline_logs x
                       WHERE x.run_id = seen.run_id AND x.node = seen.node AND x.pos >= seen.low AND x.pos < seen.high) l
  LEFT JOIN pipeline_runs r ON r.run_id = l.run_id
 WHERE (%(since)s::timestamptz IS NULL OR l.ts >= %(since)s) AND (%(until)s::timestamptz IS NULL OR l.ts < %(until)s)
   AND l.levelno BETWEEN %(low)s AND %(high)s
   AND (%(grep)s::text IS NULL OR l.message ~ %(grep)s) AND (%(igrep)s::text IS NULL OR l.message ~* %(igrep)s)
   AND (%(stage)s::text IS NULL OR l.stage = %(stage)s OR starts_with(l.stage, %(stage)s || '/'))
   AND (%(logger)s::text IS NULL OR l.logger = %(logger)s OR starts_with(l.logger, %(logger)s || '.'))
   AND (%(source)s::text IS NULL OR l.source = %(source)s)
 ORDER BY l.ts, l.node, l.pos

-- name: heads
SELECT p.run_id, p.node, p.next_pos FROM pipeline_run_positions p
 WHERE (%(runs)s::text[] IS NULL OR p.run_id = ANY (%(runs)s))
   AND (%(runs)s::text[] IS NOT NULL OR p.run_id IN (
        SELECT run_id FROM pipeline_runs WHERE state IN ('starting', 'running', 'stopping') OR last_at > now() - interval '1 hour'))
   AND (%(node)s::text IS NULL OR p.node = %(node)s)
