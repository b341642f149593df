-- What a store that lost its memory cannot get back: `gap` counts records that were acknowledged once and are in the spool no more.
-- And a ledger that goes on when the server's clock was put back over midnight: a writer's newest row is extended, whatever day it is.

ALTER TABLE pipeline_writers ADD COLUMN gap bigint NOT NULL DEFAULT 0;

-- The function is the one of migration 0003 but for these two; where a guard was put in front of it, it has another name.
DO $do$
BEGIN
EXECUTE format($body$
CREATE OR REPLACE FUNCTION %I(p_node text, p_epoch bigint, p_writers jsonb, p_runs jsonb)
RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    wanted bigint := jsonb_array_length(p_writers);
    changed bigint;
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF (SELECT a.epoch FROM pipeline_agents a WHERE a.node = p_node) IS DISTINCT FROM p_epoch THEN
        RAISE EXCEPTION 'a newer agent ships for node %%', p_node USING ERRCODE = 'FL001';
    END IF;
    IF EXISTS (SELECT FROM jsonb_to_recordset(p_writers) AS w(seq bigint, to_seq bigint, logs bigint, events bigint, dead bigint)
                WHERE w.to_seq <> w.seq + w.logs + w.events + w.dead) THEN
        RAISE EXCEPTION 'a batch of node %% does not add up', p_node USING ERRCODE = 'FL002';
    END IF;

    -- A writer the store has never heard of begins at the beginning; any other where the last batch ended.
    INSERT INTO pipeline_writers AS p (writer_id, node, kind, run_id, pid, segno, byte_offset, next_seq, opened_at, header)
    SELECT w.writer, p_node, w.kind, w.run, w.pid, 0, 0, 1, w.opened, coalesce(w.header, '{}')
      FROM jsonb_to_recordset(p_writers) AS w(writer uuid, kind text, run text, pid integer, opened timestamptz, header jsonb,
                                              segno bigint, "offset" bigint, seq bigint)
     WHERE (w.segno, w."offset", w.seq) = (0, 0, 1)
     ORDER BY w.writer
    ON CONFLICT (writer_id) DO NOTHING;
    PERFORM FROM pipeline_writers p
      WHERE p.writer_id IN (SELECT w.writer FROM jsonb_to_recordset(p_writers) AS w(writer uuid))
      ORDER BY p.writer_id FOR UPDATE;
    UPDATE pipeline_writers p
       SET segno = w.to_segno, byte_offset = w.to_offset, next_seq = w.to_seq, highest_n = greatest(p.highest_n, w.n),
           stored = p.stored + w.logs + w.events, dead = p.dead + w.dead, dropped = greatest(p.dropped, w.dropped),
           corrupt = p.corrupt + w.corrupt, torn = p.torn + w.torn, gap = p.gap + coalesce(w.gap, 0),
           closed_at = CASE WHEN w.closed THEN now() END
      FROM jsonb_to_recordset(p_writers) AS w(
           writer uuid, segno bigint, "offset" bigint, seq bigint, to_segno bigint, to_offset bigint, to_seq bigint, n bigint,
           logs bigint, events bigint, dead bigint, dropped bigint, corrupt bigint, torn integer, gap bigint, closed boolean)
     WHERE p.writer_id = w.writer AND p.node = p_node
       AND (p.segno, p.byte_offset, p.next_seq) = (w.segno, w."offset", w.seq);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> wanted THEN
        RAISE EXCEPTION '%% of %% writers of node %% are not where the agent left them', wanted - changed, wanted, p_node
              USING ERRCODE = 'FL002';
    END IF;

    INSERT INTO pipeline_ship_ledger AS l (writer_id, day, from_segno, from_offset, to_segno, to_offset, from_seq, to_seq,
                                           logs, events, dead, corrupt)
    SELECT w.writer, greatest(today, (SELECT max(d.day) FROM pipeline_ship_ledger d WHERE d.writer_id = w.writer)), w.segno, w."offset", w.to_segno, w.to_offset, w.seq, w.to_seq,
           w.logs, w.events, w.dead, w.corrupt
      FROM jsonb_to_recordset(p_writers) AS w(writer uuid, segno bigint, "offset" bigint, seq bigint, to_segno bigint, to_offset bigint,
                                              to_seq bigint, logs bigint, events bigint, dead bigint, corrupt bigint)
     ORDER BY w.writer
    ON CONFLICT (writer_id, day) DO UPDATE
       SET to_segno = EXCLUDED.to_segno, to_offset = EXCLUDED.to_offset, to_seq = EXCLUDED.to_seq, logs = l.logs + EXCLUDED.logs,
           events = l.events + EXCLUDED.events, dead = l.dead + EXCLUDED.dead, corrupt = l.corrupt + EXCLUDED.corrupt, shipped_at = now()
     WHERE (l.to_segno, l.to_offset, l.to_seq) = (EXCLUDED.from_segno, EXCLUDED.from_offset, EXCLUDED.from_seq);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> wanted THEN
        RAISE EXCEPTION 'the ledger of %% writers of node %% has a seam', wanted - changed, p_node USING ERRCODE = 'FL002';
    END IF;

    INSERT INTO pipeline_run_positions (run_id, node, next_pos)
    SELECT r.run, p_node, 1 FROM jsonb_to_recordset(p_runs) AS r(run text, pos bigint) WHERE r.pos = 1 ORDER BY r.run
    ON CONFLICT (run_id, node) DO NOTHING;
    UPDATE pipeline_run_positions p SET next_pos = r.to_pos
      FROM jsonb_to_recordset(p_runs) AS r(run text, pos bigint, to_pos bigint)
     WHERE p.run_id = r.run AND p.node = p_node AND p.next_pos = r.pos;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> jsonb_array_length(p_runs) THEN
        RAISE EXCEPTION 'positions of %% runs on node %% have moved', jsonb_array_length(p_runs) - changed, p_node
              USING ERRCODE = 'FL002';
    END IF;
    INSERT INTO pipeline_run_writers (run_id, writer_id, node)
    SELECT DISTINCT r.run, x.writer::uuid, p_node
      FROM jsonb_to_recordset(p_runs) AS r(run text, writers jsonb), jsonb_array_elements_text(r.writers) AS x(writer)
     ORDER BY r.run, x.writer::uuid
    ON CONFLICT DO NOTHING;
END $function$
$body$, CASE WHEN to_regprocedure('pipeline_ship_commit_unchecked_v1(text, bigint, jsonb, jsonb)') IS NULL
             THEN 'pipeline_ship_commit_v1' ELSE 'pipeline_ship_commit_unchecked_v1' END);
END $do$;
