-- What the agent does besides INSERT goes through functions, so that its role needs no SELECT, UPDATE or DELETE on any table.
-- Whom they belong to, that they run with their owner's rights, and who may call them: sql/queries/roles.sql, brought about after each migration.

-- A login role that is listed here ships for these nodes and no other one; one that is not listed is not restricted.
CREATE TABLE pipeline_node_roles (
    node text NOT NULL,
    role text NOT NULL CHECK (role <> ''),
    PRIMARY KEY (node, role)
);

-- session_user is who logged in, whatever roles were taken since.
CREATE FUNCTION pipeline_node_check_v1(p_node text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF EXISTS (SELECT FROM pipeline_node_roles b WHERE b.role = session_user::text)
       AND NOT EXISTS (SELECT FROM pipeline_node_roles b WHERE b.role = session_user::text AND b.node = p_node) THEN
        RAISE EXCEPTION 'role % is bound to other nodes than %', session_user, p_node USING ERRCODE = '42501';
    END IF;
END $$;

CREATE FUNCTION pipeline_positions_v1(p_writers uuid[])
RETURNS TABLE (writer text, segno bigint, byte_offset bigint, next_seq bigint, highest_n bigint, dropped bigint, closed boolean)
LANGUAGE sql STABLE AS $$
    SELECT replace(w.writer_id::text, '-', ''), w.segno, w.byte_offset, w.next_seq, w.highest_n, w.dropped, w.closed_at IS NOT NULL
      FROM pipeline_writers w WHERE w.writer_id = ANY (p_writers)
$$;

-- Whose files a writer's are: the uid that the agent found when it first shipped them. A name can be copied by somebody else.
CREATE FUNCTION pipeline_writer_owners_v1(p_writers uuid[]) RETURNS TABLE (writer text, uid bigint) LANGUAGE sql STABLE AS $$
    SELECT replace(w.writer_id::text, '-', ''), (w.header->>'uid')::bigint
      FROM pipeline_writers w WHERE w.writer_id = ANY (p_writers) AND jsonb_typeof(w.header->'uid') = 'number'
$$;

CREATE FUNCTION pipeline_run_positions_v1(p_node text, p_runs text[]) RETURNS TABLE (run_id text, next_pos bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    RETURN QUERY SELECT p.run_id::text, p.next_pos FROM pipeline_run_positions p WHERE p.node = p_node AND p.run_id = ANY (p_runs);
END $$;

-- The agent's own row: who has the node, taking it, saying that one lives.
CREATE FUNCTION pipeline_agent_backend_v1(p_node text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    RETURN (SELECT a.backend_pid FROM pipeline_agents a WHERE a.node = p_node);
END $$;

CREATE FUNCTION pipeline_agent_take_v1(p_node text, p_pid integer, p_version text)
RETURNS TABLE (epoch bigint, store_id uuid) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    RETURN QUERY
    INSERT INTO pipeline_agents AS a (node, epoch, backend_pid, agent_pid, started_at, heartbeat_at, version)
    VALUES (p_node, 1, pg_backend_pid(), p_pid, now(), now(), p_version)
    ON CONFLICT (node) DO UPDATE
       SET epoch = a.epoch + 1, backend_pid = EXCLUDED.backend_pid, agent_pid = EXCLUDED.agent_pid,
           started_at = EXCLUDED.started_at, heartbeat_at = EXCLUDED.heartbeat_at, version = EXCLUDED.version
    RETURNING a.epoch, (SELECT s.store_id FROM pipeline_store s);
END $$;

-- Runs with the rights of its caller, unlike all others: ending a session of one's own takes the rights of who logged in, which neither
-- the writer role nor the owner of the functions has. The role is put down for that one statement.
CREATE OR REPLACE FUNCTION pipeline_agent_open_v1(p_node text, p_pid integer, p_version text)
RETURNS TABLE (epoch bigint, store_id uuid) LANGUAGE plpgsql AS $$
DECLARE
    old integer := pipeline_agent_backend_v1(p_node);
    taken text := current_setting('role');
BEGIN
    -- A zombie's transaction may still hold locks or be about to commit; it must be gone before positions are read.
    IF old IS NOT NULL AND old <> pg_backend_pid() THEN
        PERFORM set_config('role', 'none', true);
        PERFORM pg_terminate_backend(s.pid, 5000) FROM pg_stat_activity s
         WHERE s.pid = old AND s.usename = session_user AND s.application_name = current_setting('application_name')
           AND s.datname = current_database();
        PERFORM set_config('role', taken, true);
    END IF;
    RETURN QUERY SELECT t.epoch, t.store_id FROM pipeline_agent_take_v1(p_node, p_pid, p_version) t;
END $$;

CREATE FUNCTION pipeline_agent_beat_v1(p_node text, p_epoch bigint, p_status jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    UPDATE pipeline_agents a SET heartbeat_at = now(), status = p_status WHERE a.node = p_node AND a.epoch = p_epoch;
    RETURN FOUND;
END $$;

-- The three that change what is stored get a guard in front; what they do stays where migration 0003 says it.
ALTER FUNCTION pipeline_ship_commit_v1(text, bigint, jsonb, jsonb) RENAME TO pipeline_ship_commit_unchecked_v1;
CREATE FUNCTION pipeline_ship_commit_v1(p_node text, p_epoch bigint, p_writers jsonb, p_runs jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    PERFORM pipeline_ship_commit_unchecked_v1(p_node, p_epoch, p_writers, p_runs);
END $$;

ALTER FUNCTION pipeline_runs_apply_v1(jsonb) RENAME TO pipeline_runs_apply_unchecked_v1;
CREATE FUNCTION pipeline_runs_apply_v1(p_runs jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(n.node) FROM (SELECT DISTINCT r.node FROM jsonb_to_recordset(p_runs) AS r(node text)) n;
    PERFORM pipeline_runs_apply_unchecked_v1(p_runs);
END $$;

ALTER FUNCTION pipeline_runs_lost_v1(text, text[]) RENAME TO pipeline_runs_lost_unchecked_v1;
CREATE FUNCTION pipeline_runs_lost_v1(p_node text, p_known text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    RETURN QUERY SELECT l.run FROM pipeline_runs_lost_unchecked_v1(p_node, p_known) AS l(run);
END $$;

-- Day partitions, for roles that may not create tables. Days are counted from 1970-01-01, UTC. A partition is created alone and then
-- attached: CREATE ... PARTITION OF waits for every open transaction on the parent. Returns the days that every parent has.
CREATE FUNCTION pipeline_partitions_ensure_v1(p_days integer[]) RETURNS SETOF integer LANGUAGE plpgsql AS $$
DECLARE
    today integer := (now() AT TIME ZONE 'UTC')::date - date '1970-01-01';
    wanted integer;
    parent text;
    child text;
    low text;
    high text;
    locked boolean := false;
BEGIN
    IF cardinality(p_days) > 100 OR EXISTS (SELECT FROM unnest(p_days) AS d(day) WHERE d.day NOT BETWEEN today - 366 AND today + 366) THEN
        RAISE EXCEPTION 'no partitions are made for days that far away; is the clock right?' USING ERRCODE = '42501';
    END IF;
    FOR wanted IN SELECT DISTINCT d.day FROM unnest(p_days) AS d(day) ORDER BY d.day LOOP
        FOREACH parent IN ARRAY ARRAY['pipeline_logs', 'pipeline_events'] LOOP
            child := parent || to_char(date '1970-01-01' + wanted, '"_"YYYYMMDD');
            CONTINUE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = to_regclass(child) AND i.inhparent = to_regclass(parent));
            IF NOT locked THEN
                PERFORM pg_advisory_xact_lock(1718378608);  -- "fldp": one makes partitions at a time
                locked := true;
                CONTINUE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = to_regclass(child) AND i.inhparent = to_regclass(parent));
            END IF;
            low := to_char(date '1970-01-01' + wanted, 'YYYY-MM-DD') || ' 00:00:00+00';
            high := to_char(date '1970-01-01' + wanted + 1, 'YYYY-MM-DD') || ' 00:00:00+00';
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE %I INCLUDING ALL)', child, parent);
            -- The constraint says what the bounds will say, so that attaching need not read the table.
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I', child, child || '_day');
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (ts >= %L AND ts < %L)', child, child || '_day', low, high);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, low, high);
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', child, child || '_day');
        END LOOP;
    END LOOP;
    RETURN QUERY
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') - date '1970-01-01'
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
     WHERE p.oid IN (to_regclass('pipeline_logs'), to_regclass('pipeline_events')) AND NOT i.inhdetachpending
       AND c.relname ~ ('^' || p.relname || '_[0-9]{8}$')
     GROUP BY right(c.relname, 8) HAVING count(*) = 2;
END $$;

-- Removes one day, for those who keep the store small; not yesterday's nor anything later, which may still be written to.
-- It waits shortly for readers and gives up then, to be called again.
CREATE FUNCTION pipeline_partition_drop_v1(p_day integer) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    parent text;
    child text;
    found_one boolean := false;
BEGIN
    IF p_day >= (now() AT TIME ZONE 'UTC')::date - date '1970-01-01' - 1 THEN
        RAISE EXCEPTION 'this day may still be written to' USING ERRCODE = '42501';
    END IF;
    FOREACH parent IN ARRAY ARRAY['pipeline_logs', 'pipeline_events'] LOOP
        child := parent || to_char(date '1970-01-01' + p_day, '"_"YYYYMMDD');
        IF EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = to_regclass(child) AND i.inhparent = to_regclass(parent)) THEN
            EXECUTE format('DROP TABLE %I', child);
            found_one := true;
        END IF;
    END LOOP;
    RETURN found_one;
END $$;

-- Which migrations there are, for everybody who has to do with this schema.
CREATE FUNCTION pipeline_schema_v1() RETURNS TABLE (name text, checksum text, applied_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT m.name, m.checksum, m.applied_at FROM pipeline_migrations m
$$;
