-- What runs use, one row per number: derived from events `metrics`, which stay where they are. An audit counts those; these are written in the same
-- transaction and counted by nobody. Partitioned by day like them.
CREATE TABLE pipeline_metrics (
    run_id    text COLLATE "C" NOT NULL,
    ts        timestamptz NOT NULL,
    pos       bigint NOT NULL,               -- of the event
    seq       bigint NOT NULL,
    writer_id uuid NOT NULL,
    node      text NOT NULL,
    name      text NOT NULL,
    kind      text NOT NULL,                 -- gauge; counter: only grows, as long as one process counts
    value     double precision NOT NULL,
    labels    jsonb NOT NULL DEFAULT '{}'
) PARTITION BY RANGE (ts);
CREATE INDEX pipeline_metrics_run ON pipeline_metrics (run_id, name, ts);
CREATE INDEX pipeline_metrics_ts ON pipeline_metrics USING brin (ts) WITH (autosummarize = on);

-- The functions are those of migration 0004 but for the third parent.
CREATE OR REPLACE FUNCTION pipeline_partitions_ensure_v1(p_days integer[]) RETURNS SETOF integer LANGUAGE plpgsql AS $$
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
        FOREACH parent IN ARRAY ARRAY['pipeline_logs', 'pipeline_events', 'pipeline_metrics'] LOOP
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
     WHERE p.oid IN (to_regclass('pipeline_logs'), to_regclass('pipeline_events'), to_regclass('pipeline_metrics')) AND NOT i.inhdetachpending
       AND c.relname ~ ('^' || p.relname || '_[0-9]{8}$')
     GROUP BY right(c.relname, 8) HAVING count(*) = 3;
END $$;

-- Removes one day, for those who keep the store small; not yesterday's nor anything later, which may still be written to.
-- It waits shortly for readers and gives up then, to be called again.
CREATE OR REPLACE FUNCTION pipeline_partition_drop_v1(p_day integer) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    parent text;
    child text;
    found_one boolean := false;
BEGIN
    IF p_day >= (now() AT TIME ZONE 'UTC')::date - date '1970-01-01' - 1 THEN
        RAISE EXCEPTION 'this day may still be written to' USING ERRCODE = '42501';
    END IF;
    FOREACH parent IN ARRAY ARRAY['pipeline_logs', 'pipeline_events', 'pipeline_metrics'] LOOP
        child := parent || to_char(date '1970-01-01' + p_day, '"_"YYYYMMDD');
        IF EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = to_regclass(child) AND i.inhparent = to_regclass(parent)) THEN
            EXECUTE format('DROP TABLE %I', child);
            found_one := true;
        END IF;
    END LOOP;
    RETURN found_one;
END $$;
