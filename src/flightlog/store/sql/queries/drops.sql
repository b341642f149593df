-- What was not kept, and was said to be so: records by level and reason, captured bytes.

-- name: of_runs
-- A process that wrote into several runs counts in each of them.
SELECT s.run_id, w.drops, w.dropped
  FROM (SELECT run_id, writer_id FROM pipeline_run_writers WHERE run_id = ANY (%(runs)s)
         UNION SELECT run_id, writer_id FROM pipeline_writers WHERE run_id = ANY (%(runs)s)) s
  JOIN pipeline_writers w USING (writer_id)
 WHERE w.dropped > 0

-- name: lost_of_runs
-- Bytes of output that no capture has: the newest word about each capture, of its run's end or of a capture.gap. An end that had no room for
-- its captures speaks of all of them. These are the words of a pipeline's own machine: whatever is no number counts as nothing.
SELECT DISTINCT ON (run_id, writer) run_id, writer, node, pipeline,
       CASE WHEN jsonb_typeof(lost) = 'number' THEN greatest(0, least(lost::numeric, 1e18))::bigint ELSE 0 END
  FROM (SELECT r.run_id, coalesce(c.value->>'writer', '') AS writer, r.node, r.pipeline, c.value->'lost' AS lost,
               coalesce(r.ended_at, r.started_at) AS ts, 0 AS rank
          FROM pipeline_runs r,
               jsonb_array_elements(CASE WHEN jsonb_typeof(r.data->'end'->'captures') = 'array' THEN r.data->'end'->'captures' END) c
         WHERE %(runs)s::text[] IS NULL OR r.run_id = ANY (%(runs)s)
         UNION ALL
        SELECT r.run_id, '', r.node, r.pipeline, r.data->'end'->'lost', coalesce(r.ended_at, r.started_at), 0
          FROM pipeline_runs r
         WHERE (%(runs)s::text[] IS NULL OR r.run_id = ANY (%(runs)s)) AND r.data->'end' ? 'lost'
         UNION ALL
        SELECT e.run_id, coalesce(e.data->>'writer', ''), e.node, r.pipeline, e.data->'lost', e.ts, 1
          FROM pipeline_events e LEFT JOIN pipeline_runs r USING (run_id)
         WHERE e.event = 'capture.gap' AND (%(runs)s::text[] IS NULL OR e.run_id = ANY (%(runs)s))) said
 ORDER BY run_id, writer, ts DESC, rank DESC

-- name: of_node
SELECT coalesce(sum(dropped), 0)::bigint FROM pipeline_writers WHERE node = %(node)s
