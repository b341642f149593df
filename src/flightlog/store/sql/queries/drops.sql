-- What was not kept, and was said to be so: records by level and reason, captured bytes.

-- name: of_runs
-- A process that wrote into several runs counts in each of them.
SELECT s.run_id, w.drops, w.dropped
  FROM (SELECT run_id, writer_id FROM pipeline_run_writers WHERE run_id = ANY (%(runs)s)
         UNION SELECT run_id, writer_id FROM pipeline_writers WHERE run_id = ANY (%(runs)s)) s
  JOIN pipeline_writers w USING (writer_id)
 WHERE w.dropped > 0

-- name: lost_of_runs
-- Bytes of output that no capture has: as the end of the run says, else as its newest capture.gap does. The words of a pipeline's own
-- machine: whatever is no number counts as nothing.
SELECT DISTINCT ON (run_id, writer) run_id, writer, CASE WHEN jsonb_typeof(lost) = 'number' THEN lost::numeric ELSE 0 END
  FROM (SELECT r.run_id, c.value->>'writer' AS writer, c.value->'lost' AS lost, 1 AS rank, 0 AS pos
          FROM pipeline_runs r,
               jsonb_array_elements(CASE WHEN jsonb_typeof(r.data->'end'->'captures') = 'array' THEN r.data->'end'->'captures' END) c
         WHERE %(runs)s::text[] IS NULL OR r.run_id = ANY (%(runs)s)
         UNION ALL
        SELECT e.run_id, e.data->>'writer', e.data->'lost', 2, e.pos
          FROM pipeline_events e
         WHERE e.event = 'capture.gap' AND (%(runs)s::text[] IS NULL OR e.run_id = ANY (%(runs)s))) said
 WHERE writer IS NOT NULL
 ORDER BY run_id, writer, rank, pos DESC

-- name: of_node
SELECT coalesce(sum(dropped), 0)::bigint FROM pipeline_writers WHERE node = %(node)s
