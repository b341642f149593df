-- The proof that nothing was lost, from three sides that know nothing of each other: the rows, the writers' counts, the ledger.

-- name: writers_of_all
WITH chosen AS (
    SELECT writer_id FROM pipeline_writers
), found AS (
    SELECT writer_id, seq FROM pipeline_logs UNION ALL SELECT writer_id, seq FROM pipeline_events
)
{account}

-- name: writers_of_runs
-- A writer that wrote into these runs is counted whole: also what it wrote into other ones. Rows are found through their run, by index.
WITH chosen AS (
    SELECT writer_id FROM pipeline_run_writers WHERE run_id = ANY (%(runs)s)
     UNION SELECT writer_id FROM pipeline_writers WHERE run_id = ANY (%(runs)s)
), stretches AS (
    SELECT DISTINCT run_id, writer_id FROM pipeline_run_writers WHERE writer_id IN (SELECT writer_id FROM chosen)
), found AS (
    SELECT l.writer_id, l.seq FROM pipeline_logs l JOIN stretches USING (run_id, writer_id)
     UNION ALL SELECT e.writer_id, e.seq FROM pipeline_events e JOIN stretches USING (run_id, writer_id)
)
{account}

-- name: account
, counted AS (
    SELECT writer_id, count(*) AS rows, count(DISTINCT seq) AS numbers, max(seq) AS highest FROM found GROUP BY writer_id
), letters AS (
    SELECT writer_id, count(*) AS letters FROM pipeline_dead_letters WHERE writer_id IN (SELECT writer_id FROM chosen) GROUP BY writer_id
), ledger AS (
    SELECT writer_id,
           count(*) FILTER (WHERE (from_segno, from_offset, from_seq) IS DISTINCT FROM (
               lag_segno, lag_offset, lag_seq)) AS seams
      FROM (SELECT writer_id, from_segno, from_offset, from_seq,
                   lag(to_segno, 1, 0::bigint) OVER w AS lag_segno, lag(to_offset, 1, 0::bigint) OVER w AS lag_offset,
                   lag(to_seq, 1, 1::bigint) OVER w AS lag_seq
              FROM pipeline_ship_ledger WHERE writer_id IN (SELECT writer_id FROM chosen)
            WINDOW w AS (PARTITION BY writer_id ORDER BY day)) stretches_of_days
     GROUP BY writer_id
), ends AS (
    SELECT DISTINCT ON (writer_id) writer_id, to_segno, to_offset, to_seq FROM pipeline_ship_ledger
     WHERE writer_id IN (SELECT writer_id FROM chosen) ORDER BY writer_id, day DESC
)
SELECT replace(w.writer_id::text, '-', ''), w.node, w.kind, w.run_id, r.pipeline, w.stored, w.dead, w.dropped, w.corrupt, w.torn, w.gap,
       w.closed_at IS NOT NULL, coalesce(c.rows, 0), coalesce(c.numbers, 0), coalesce(d.letters, 0), coalesce(s.seams, 1),
       (e.to_segno, e.to_offset, e.to_seq) IS DISTINCT FROM (w.segno, w.byte_offset, w.next_seq),
       w.next_seq <> 1 + w.stored + w.dead OR coalesce(c.highest >= w.next_seq, false),
       extract(epoch FROM now() - a.heartbeat_at)::float, w.drops, r.state
  FROM pipeline_writers w JOIN chosen USING (writer_id)
  LEFT JOIN counted c USING (writer_id) LEFT JOIN letters d USING (writer_id) LEFT JOIN ledger s USING (writer_id)
  LEFT JOIN ends e USING (writer_id) LEFT JOIN pipeline_agents a ON a.node = w.node LEFT JOIN pipeline_runs r ON r.run_id = w.run_id
 ORDER BY w.opened_at, w.writer_id
