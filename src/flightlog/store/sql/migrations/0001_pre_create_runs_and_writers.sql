-- Runs, writers and their read positions: one row per run, per writer, per (run, node).
-- Every table that grows with the number of records carries run_id, never null, so that it can be distributed by it (DESIGN D1).

CREATE TABLE pipeline_store (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    store_id   uuid NOT NULL DEFAULT gen_random_uuid(),  -- a restored copy of a database is another store
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO pipeline_store DEFAULT VALUES;

CREATE TABLE pipeline_runs (
    run_id        text COLLATE "C" PRIMARY KEY CHECK (length(run_id) = 26),
    pipeline      text NOT NULL,
    node          text NOT NULL,
    parent        text COLLATE "C",
    origin        text COLLATE "C",
    attempt       integer NOT NULL DEFAULT 1,
    kind          text NOT NULL DEFAULT 'implicit',  -- supervised, attached, implicit
    state         text NOT NULL DEFAULT 'running'
                  CHECK (state IN ('starting', 'running', 'stopping', 'succeeded', 'failed', 'lost')),
    exit_code     integer,
    term_signal   text,
    wait_status   integer,
    verdict       text,
    confidence    text,
    command       jsonb,
    pid           integer,
    cwd           text,
    os_user       text,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    lines         bigint NOT NULL DEFAULT 0,
    warnings      bigint NOT NULL DEFAULT 0,
    errors        bigint NOT NULL DEFAULT 0,
    last_at       timestamptz,
    last_stage    text,
    last_progress jsonb,
    data          jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 70);
CREATE INDEX pipeline_runs_pipeline ON pipeline_runs (pipeline, run_id DESC);
CREATE INDEX pipeline_runs_unfinished ON pipeline_runs (node) WHERE state IN ('starting', 'running', 'stopping');

-- Where the agent stands in each writer's segments. It is here and nowhere else, beside the rows it speaks of (DESIGN D8).
CREATE TABLE pipeline_writers (
    writer_id   uuid PRIMARY KEY,
    node        text NOT NULL,
    kind        text NOT NULL,               -- journal, capture
    run_id      text COLLATE "C" NOT NULL,   -- the run it belonged to at birth; empty when it had none
    pid         integer,
    segno       bigint NOT NULL,             -- the segment to read next
    byte_offset bigint NOT NULL,             -- and from where
    next_seq    bigint NOT NULL,
    highest_n   bigint NOT NULL DEFAULT 0,   -- the writer's own count, for the audit
    stored      bigint NOT NULL DEFAULT 0,
    dead        bigint NOT NULL DEFAULT 0,
    dropped     bigint NOT NULL DEFAULT 0,
    corrupt     bigint NOT NULL DEFAULT 0,
    torn        integer NOT NULL DEFAULT 0,  -- bytes of a call that never returned, at the end of a dead writer
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    header      jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
CREATE INDEX pipeline_writers_run ON pipeline_writers (run_id);
CREATE INDEX pipeline_writers_open ON pipeline_writers (node) WHERE closed_at IS NULL;

CREATE TABLE pipeline_run_positions (
    run_id   text COLLATE "C" NOT NULL,
    node     text NOT NULL,
    next_pos bigint NOT NULL,
    PRIMARY KEY (run_id, node)
) WITH (fillfactor = 50);

-- Who wrote into which run: a run is lost when it has no end and all of these are closed, and an audit counts their records.
CREATE TABLE pipeline_run_writers (
    run_id    text COLLATE "C" NOT NULL,
    writer_id uuid NOT NULL,
    node      text NOT NULL,
    PRIMARY KEY (run_id, writer_id)
);
CREATE INDEX pipeline_run_writers_writer ON pipeline_run_writers (writer_id);

-- One row per writer and day: what was shipped, so that an audit is possible long after the logs are gone.
CREATE TABLE pipeline_ship_ledger (
    writer_id   uuid NOT NULL,
    day         date NOT NULL,               -- UTC, of shipping
    from_segno  bigint NOT NULL,
    from_offset bigint NOT NULL,
    to_segno    bigint NOT NULL,
    to_offset   bigint NOT NULL,
    from_seq    bigint NOT NULL,
    to_seq      bigint NOT NULL,             -- exclusive
    logs        bigint NOT NULL,
    events      bigint NOT NULL,
    dead        bigint NOT NULL,
    corrupt     bigint NOT NULL,
    shipped_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (writer_id, day)
) WITH (fillfactor = 50);

CREATE TABLE pipeline_dead_letters (
    writer_id uuid NOT NULL,
    seq       bigint NOT NULL,
    run_id    text COLLATE "C" NOT NULL,
    node      text NOT NULL,
    ts        timestamptz NOT NULL DEFAULT now(),
    raw       bytea NOT NULL,
    sqlstate  text NOT NULL,
    error     text NOT NULL,
    PRIMARY KEY (writer_id, seq)
);
CREATE INDEX pipeline_dead_letters_run ON pipeline_dead_letters (run_id);

CREATE TABLE pipeline_agents (
    node         text PRIMARY KEY,
    epoch        bigint NOT NULL,
    backend_pid  integer NOT NULL,
    agent_pid    integer NOT NULL,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    version      text NOT NULL,
    status       jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
