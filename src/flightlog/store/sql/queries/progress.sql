-- How far stages and bars are, and how far those of earlier runs were after what time. Events may have been written by anybody: what is no number is none.

-- name: live
-- What goes on in one run: for each stage and bar of each process its newest word, when it began, and its oldest word of the last minute.
WITH told AS MATERIALIZED (
    SELECT writer_id, coalesce(stage, '') AS stage, data ->> 'bar' AS bar, coalesce(data ->> 'id', '') AS id, event, ts, pos, seq, data
      FROM pipeline_events
     WHERE run_id = %(run)s AND event IN ('stage.started', 'stage.ended', 'progress')
), newest AS (
    SELECT DISTINCT ON (writer_id, stage, coalesce(bar, ''), id) * FROM told
     ORDER BY writer_id, stage, coalesce(bar, ''), id, seq DESC
)
SELECT n.stage, n.bar, n.data, n.ts, first.ts, first.data, recent.ts, recent.data
  FROM newest n
 CROSS JOIN LATERAL (
       SELECT t.ts, t.data, t.event FROM told t
        WHERE (t.writer_id, t.stage, t.id) = (n.writer_id, n.stage, n.id) AND t.bar IS NOT DISTINCT FROM n.bar ORDER BY t.seq LIMIT 1) first
  LEFT JOIN LATERAL (
       SELECT t.ts, t.data FROM told t
        WHERE (t.writer_id, t.stage, t.id) = (n.writer_id, n.stage, n.id) AND t.bar IS NOT DISTINCT FROM n.bar
          AND t.event = 'progress' AND t.ts >= n.ts - interval '60 seconds' ORDER BY t.seq LIMIT 1) recent ON true
 WHERE n.event <> 'stage.ended' AND n.data -> 'closed' IS DISTINCT FROM 'true'::jsonb
   AND NOT EXISTS (SELECT FROM pipeline_writers w WHERE w.writer_id = n.writer_id AND w.closed_at IS NOT NULL)  -- who has died goes on with nothing
   AND (first.event = 'stage.started' OR NOT EXISTS (  -- a forked worker tells of its parent's stage, which is over
       SELECT FROM told e WHERE e.event = 'stage.ended' AND (e.stage, e.id) = (n.stage, n.id) AND e.ts >= n.ts))
 ORDER BY first.ts, n.stage, n.bar
 LIMIT %(limit)s

-- name: earlier
SELECT run_id FROM pipeline_runs
 WHERE pipeline = %(pipeline)s AND run_id < %(run)s AND state = 'succeeded' ORDER BY run_id DESC LIMIT %(runs)s

-- name: history
-- Of each time that one of *stages* was gone through in an earlier run that ended well, and not only the rest of it: how long it took, how many items it had, and after what
-- time each twentieth of them was done first.
WITH earlier AS ({earlier}), told AS MATERIALIZED (
    SELECT e.run_id, e.writer_id, coalesce(e.stage, '') AS stage, coalesce(e.data ->> 'id', '') AS id, e.event,
           CASE WHEN jsonb_typeof(e.data -> 'done') = 'number' THEN (e.data -> 'done')::float8 END AS done,
           CASE WHEN jsonb_typeof(e.data -> 'total') = 'number' THEN (e.data -> 'total')::float8 END AS total,
           CASE WHEN jsonb_typeof(e.data -> 'elapsed_ns') = 'number' THEN (e.data -> 'elapsed_ns')::float8 / 1e9 END AS elapsed,
           CASE WHEN jsonb_typeof(e.data -> 'duration_ns') = 'number' THEN (e.data -> 'duration_ns')::float8 / 1e9 END AS duration,
           e.data ->> 'status' AS status, e.data -> 'passed' IS NOT NULL AS resumed
      FROM pipeline_events e
     WHERE e.run_id IN (SELECT run_id FROM earlier) AND e.event IN ('stage.ended', 'progress')
       AND coalesce(e.stage, '') = ANY (%(stages)s) AND e.data ->> 'bar' IS NULL
)
SELECT ended.stage, ended.duration, ended.done, ended.total,
       (SELECT json_agg(json_build_array(p.slot, p.elapsed) ORDER BY p.slot)
          FROM (SELECT floor(20 * t.done / ended.total)::int AS slot, min(t.elapsed) AS elapsed
                  FROM told t
                 WHERE t.event = 'progress' AND (t.run_id, t.writer_id, t.stage, t.id) = (ended.run_id, ended.writer_id, ended.stage, ended.id)
                   AND t.done > 0 AND t.done < ended.total AND t.elapsed > 0
                 GROUP BY slot) p)
  FROM told ended
 WHERE ended.event = 'stage.ended' AND ended.status = 'ok' AND ended.duration > 0 AND NOT ended.resumed
 ORDER BY ended.run_id DESC LIMIT %(limit)s
