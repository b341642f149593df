-- The audit that an agent makes of its own node once a day, part by part: a login that may not read can ask for these sums.
-- Writers whose ledger was extended on p_since or later, in the order of their ids, behind p_after; at most p_limit of them, and no more than have
-- p_rows rows to read, for shipping waits meanwhile. A writer of a run that has more rows than that by itself is not counted, its sums and ledger
-- are looked at all the same. `doubt` as in queries/audit.sql.
CREATE FUNCTION pipeline_self_check_v1(p_node text, p_since date, p_after uuid, p_limit integer, p_rows bigint)
RETURNS TABLE (writer uuid, records bigint, counted boolean, missing bigint, duplicates bigint, doubt text) LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    RETURN QUERY
    WITH next AS (
        SELECT w.writer_id FROM pipeline_writers w
         WHERE w.node = p_node AND w.writer_id > p_after
           AND EXISTS (SELECT FROM pipeline_ship_ledger l WHERE l.writer_id = w.writer_id AND l.day >= p_since)
         ORDER BY w.writer_id LIMIT p_limit
    ), costs AS (  -- rows are found through their run, by index: all of a run's are read
        SELECT n.writer_id, coalesce(sum(p.next_pos), 0) AS cost
          FROM next n LEFT JOIN pipeline_run_writers s USING (writer_id) LEFT JOIN pipeline_run_positions p USING (run_id)
         GROUP BY n.writer_id
    ), weighed AS (
        SELECT k.writer_id, k.cost <= p_rows AS small,
               sum(CASE WHEN k.cost <= p_rows THEN k.cost ELSE 0 END) OVER (ORDER BY k.writer_id) AS so_far
          FROM costs k
    ), chosen AS (
        SELECT g.writer_id, g.small FROM weighed g WHERE g.so_far <= p_rows
    ), stretches AS (
        SELECT DISTINCT s.run_id, s.writer_id FROM pipeline_run_writers s JOIN chosen c USING (writer_id) WHERE c.small
    ), found AS (
        SELECT l.writer_id, l.seq FROM pipeline_logs l JOIN stretches USING (run_id, writer_id)
         UNION ALL SELECT e.writer_id, e.seq FROM pipeline_events e JOIN stretches USING (run_id, writer_id)
    ), counted AS (
        SELECT f.writer_id, count(*) AS rows, count(DISTINCT f.seq) AS numbers, max(f.seq) AS highest FROM found f GROUP BY f.writer_id
    ), letters AS (
        SELECT d.writer_id, count(*) AS letters FROM pipeline_dead_letters d WHERE d.writer_id IN (SELECT c.writer_id FROM chosen c) GROUP BY d.writer_id
    ), joined AS (
        SELECT j.writer_id, count(*) FILTER (WHERE (j.from_segno, j.from_offset, j.from_seq) IS DISTINCT FROM (j.lag_segno, j.lag_offset, j.lag_seq)) AS seams
          FROM (SELECT l.writer_id, l.from_segno, l.from_offset, l.from_seq, lag(l.to_segno, 1, 0::bigint) OVER w AS lag_segno,
                       lag(l.to_offset, 1, 0::bigint) OVER w AS lag_offset, lag(l.to_seq, 1, 1::bigint) OVER w AS lag_seq
                  FROM pipeline_ship_ledger l WHERE l.writer_id IN (SELECT c.writer_id FROM chosen c)
                WINDOW w AS (PARTITION BY l.writer_id ORDER BY l.day)) j
         GROUP BY j.writer_id
    ), ends AS (
        SELECT DISTINCT ON (l.writer_id) l.writer_id, l.to_segno, l.to_offset, l.to_seq FROM pipeline_ship_ledger l
         WHERE l.writer_id IN (SELECT c.writer_id FROM chosen c) ORDER BY l.writer_id, l.day DESC
    )
    SELECT w.writer_id, w.stored + w.dead, h.small,
           CASE WHEN h.small THEN greatest(0, w.stored - coalesce(c.numbers, 0)) ELSE 0 END + greatest(0, w.dead - coalesce(d.letters, 0)),
           coalesce(c.rows - c.numbers, 0),
           CASE WHEN coalesce(j.seams, 1) > 0 THEN 'its ledger has a seam'
                WHEN (e.to_segno, e.to_offset, e.to_seq) IS DISTINCT FROM (w.segno, w.byte_offset, w.next_seq) THEN 'its ledger ends elsewhere'
                WHEN w.next_seq <> 1 + w.stored + w.dead OR coalesce(c.highest >= w.next_seq, false) THEN 'its numbers do not add up'
                ELSE '' END
      FROM pipeline_writers w JOIN chosen h USING (writer_id) LEFT JOIN counted c USING (writer_id) LEFT JOIN letters d USING (writer_id)
      LEFT JOIN joined j USING (writer_id) LEFT JOIN ends e USING (writer_id)
     ORDER BY w.writer_id;
END $$;
