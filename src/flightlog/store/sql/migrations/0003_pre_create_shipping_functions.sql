-- The agent's two doors: taking a node, and committing a batch. Raised here, with codes of our own:
-- FL001 a newer agent holds the node, FL002 a position is not the one the agent thought.

CREATE FUNCTION pipeline_agent_open_v1(p_node text, p_pid integer, p_version text)
RETURNS TABLE (epoch bigint, store_id uuid) LANGUAGE plpgsql AS $$
DECLARE
    old integer;
BEGIN
    SELECT a.backend_pid INTO old FROM pipeline_agents a WHERE a.node = p_node;
    -- A zombie's transaction may still hold locks or be about to commit; it must be gone before positions are read.
    IF old IS NOT NULL AND old <> pg_backend_pid() THEN
        PERFORM pg_terminate_backend(s.pid, 5000) FROM pg_stat_activity s
         WHERE s.pid = old AND s.usename = current_user AND s.application_name = 'flightlog agent ' || p_node;
    END IF;
    RETURN QUERY
    INSERT INTO pipeline_agents AS a (node, epoch, backend_pid, agent_pid, started_at, heartbeat_at, version)
    VALUES (p_node, 1, pg_backend_pid(), p_pid, now(), now(), p_version)
    ON CONFLICT (node) DO UPDATE
       SET epoch = a.epoch + 1, backend_pid = EXCLUDED.backend_pid, agent_pid = EXCLUDED.agent_pid,
           started_at = EXCLUDED.started_at, heartbeat_at = EXCLUDED.heartbeat_at, version = EXCLUDED.version
    RETURNING a.epoch, (SELECT s.store_id FROM pipeline_store s);
END $$;

-- One call per batch. p_writers: [{writer, kind, run, pid, opened, header, segno, offset, seq, to_segno, to_offset, to_seq, n, logs,
-- events, dead, dropped, corrupt, torn, closed}], p_runs: [{run, pos, to_pos, writers}]. Set-based; rows are locked in the order of their
-- keys. The agent's own row is only read: a heartbeat must not wait for a batch. What does not fit raises, so that nothing is committed.
CREATE FUNCTION pipeline_ship_commit_v1(p_node text, p_epoch bigint, p_writers jsonb, p_runs jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint := jsonb_array_length(p_writers);
    changed bigint;
BEGIN
    IF (SELECT a.epoch FROM pipeline_agents a WHERE a.node = p_node) IS DISTINCT FROM p_epoch THEN
        RAISE EXCEPTION 'a newer agent ships for node %', p_node USING ERRCODE = 'FL001';
    END IF;
    IF EXISTS (SELECT FROM jsonb_to_recordset(p_writers) AS w(seq bigint, to_seq bigint, logs bigint, events bigint, dead bigint)
                WHERE w.to_seq <> w.seq + w.logs + w.events + w.dead) THEN
        RAISE EXCEPTION 'a batch of node % does not add up', p_node USING ERRCODE = 'FL002';
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
           corrupt = p.corrupt + w.corrupt, torn = p.torn + w.torn, closed_at = CASE WHEN w.closed THEN now() END
      FROM jsonb_to_recordset(p_writers) AS w(
           writer uuid, segno bigint, "offset" bigint, seq bigint, to_segno bigint, to_offset bigint, to_seq bigint, n bigint,
           logs bigint, events bigint, dead bigint, dropped bigint, corrupt bigint, torn integer, closed boolean)
     WHERE p.writer_id = w.writer AND p.node = p_node
       AND (p.segno, p.byte_offset, p.next_seq) = (w.segno, w."offset", w.seq);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> wanted THEN
        RAISE EXCEPTION '% of % writers of node % are not where the agent left them', wanted - changed, wanted, p_node
              USING ERRCODE = 'FL002';
    END IF;

    INSERT INTO pipeline_ship_ledger AS l (writer_id, day, from_segno, from_offset, to_segno, to_offset, from_seq, to_seq,
                                           logs, events, dead, corrupt)
    SELECT w.writer, (now() AT TIME ZONE 'UTC')::date, w.segno, w."offset", w.to_segno, w.to_offset, w.seq, w.to_seq,
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
        RAISE EXCEPTION 'the ledger of % writers of node % has a seam', wanted - changed, p_node USING ERRCODE = 'FL002';
    END IF;

    INSERT INTO pipeline_run_positions (run_id, node, next_pos)
    SELECT r.run, p_node, 1 FROM jsonb_to_recordset(p_runs) AS r(run text, pos bigint) WHERE r.pos = 1 ORDER BY r.run
    ON CONFLICT (run_id, node) DO NOTHING;
    UPDATE pipeline_run_positions p SET next_pos = r.to_pos
      FROM jsonb_to_recordset(p_runs) AS r(run text, pos bigint, to_pos bigint)
     WHERE p.run_id = r.run AND p.node = p_node AND p.next_pos = r.pos;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> jsonb_array_length(p_runs) THEN
        RAISE EXCEPTION 'positions of % runs on node % have moved', jsonb_array_length(p_runs) - changed, p_node
              USING ERRCODE = 'FL002';
    END IF;
    INSERT INTO pipeline_run_writers (run_id, writer_id, node)
    SELECT DISTINCT r.run, x.writer::uuid, p_node
      FROM jsonb_to_recordset(p_runs) AS r(run text, writers jsonb), jsonb_array_elements_text(r.writers) AS x(writer)
     ORDER BY r.run, x.writer::uuid
    ON CONFLICT DO NOTHING;
END $$;

-- What a batch says about runs: [{run, pipeline, node, started, lines, ...}]; counts are added, facts fill what was unknown.
-- The first end stands; a verdict of loss gives way to a real end that arrives later, never the other way round.
CREATE FUNCTION pipeline_runs_apply_v1(p_runs jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pipeline_runs AS r (run_id, pipeline, node, parent, origin, attempt, kind, state, exit_code, term_signal, wait_status,
                                    verdict, confidence, command, pid, cwd, os_user, started_at, ended_at, lines, warnings, errors,
                                    last_at, last_stage, last_progress, data)
    SELECT n.run, n.pipeline, n.node, n.parent, n.origin, coalesce(n.attempt, 1), coalesce(n.kind, 'implicit'),
           coalesce(n.state, 'running'), n.exit_code, n.term_signal, n.wait_status, n.verdict, n.confidence, n.command, n.pid, n.cwd,
           n.os_user, n.started, n.ended, n.lines, n.warnings, n.errors, n.last_at, n.last_stage, n.last_progress,
           coalesce(n.data, '{}')
      FROM jsonb_to_recordset(p_runs) AS n(
           run text, pipeline text, node text, parent text, origin text, attempt integer, kind text, state text, exit_code integer,
           term_signal text, wait_status integer, verdict text, confidence text, command jsonb, pid integer, cwd text, os_user text,
           started timestamptz, ended timestamptz, lines bigint, warnings bigint, errors bigint, last_at timestamptz,
           last_stage text, last_progress jsonb, data jsonb)
     ORDER BY n.run
    ON CONFLICT (run_id) DO UPDATE SET
           pipeline = CASE WHEN EXCLUDED.kind <> 'implicit' OR EXCLUDED.command IS NOT NULL THEN EXCLUDED.pipeline ELSE r.pipeline END,
           node = CASE WHEN EXCLUDED.pid IS NOT NULL THEN EXCLUDED.node ELSE r.node END,
           parent = coalesce(EXCLUDED.parent, r.parent),
           origin = coalesce(EXCLUDED.origin, r.origin),
           attempt = greatest(EXCLUDED.attempt, r.attempt),
           kind = CASE WHEN EXCLUDED.kind <> 'implicit' THEN EXCLUDED.kind ELSE r.kind END,
           state = CASE WHEN r.state IN ('succeeded', 'failed') THEN r.state
                        WHEN EXCLUDED.state IN ('succeeded', 'failed') THEN EXCLUDED.state
                        WHEN r.state = 'lost' THEN r.state ELSE EXCLUDED.state END,
           exit_code = CASE WHEN r.state IN ('succeeded', 'failed') THEN r.exit_code ELSE coalesce(EXCLUDED.exit_code, r.exit_code) END,
           term_signal = CASE WHEN r.state IN ('succeeded', 'failed') THEN r.term_signal ELSE coalesce(EXCLUDED.term_signal, r.term_signal) END,
           wait_status = CASE WHEN r.state IN ('succeeded', 'failed') THEN r.wait_status ELSE coalesce(EXCLUDED.wait_status, r.wait_status) END,
           verdict = CASE WHEN r.state IN ('succeeded', 'failed') THEN r.verdict ELSE coalesce(EXCLUDED.verdict, r.verdict) END,
           confidence = CASE WHEN r.state IN ('succeeded', 'failed') THEN r.confidence ELSE coalesce(EXCLUDED.confidence, r.confidence) END,
           command = coalesce(EXCLUDED.command, r.command),
           pid = coalesce(EXCLUDED.pid, r.pid),
           cwd = coalesce(EXCLUDED.cwd, r.cwd),
           os_user = coalesce(EXCLUDED.os_user, r.os_user),
           started_at = least(EXCLUDED.started_at, r.started_at),
           ended_at = CASE WHEN r.state IN ('succeeded', 'failed') THEN r.ended_at ELSE coalesce(EXCLUDED.ended_at, r.ended_at) END,
           lines = r.lines + EXCLUDED.lines,
           warnings = r.warnings + EXCLUDED.warnings,
           errors = r.errors + EXCLUDED.errors,
           last_at = greatest(EXCLUDED.last_at, r.last_at),
           last_stage = coalesce(EXCLUDED.last_stage, r.last_stage),
           last_progress = coalesce(EXCLUDED.last_progress, r.last_progress),
           data = EXCLUDED.data || r.data
$$;

-- Runs of a node that have no end although everybody who wrote into them is gone for good. p_known: runs that the agent still has
-- unshipped records or living writers of.
CREATE FUNCTION pipeline_runs_lost_v1(p_node text, p_known text[]) RETURNS SETOF text LANGUAGE sql AS $$
    UPDATE pipeline_runs r
       SET state = 'lost', verdict = 'unknown', confidence = 'unknown', ended_at = coalesce(r.last_at, r.started_at)
     WHERE r.node = p_node AND r.state IN ('starting', 'running', 'stopping') AND r.run_id <> ALL (p_known)
       AND EXISTS (SELECT FROM pipeline_run_writers x WHERE x.run_id = r.run_id)
       AND NOT EXISTS (SELECT FROM pipeline_run_writers x JOIN pipeline_writers w USING (writer_id)
                        WHERE x.run_id = r.run_id AND w.closed_at IS NULL)
 RETURNING r.run_id
$$;
