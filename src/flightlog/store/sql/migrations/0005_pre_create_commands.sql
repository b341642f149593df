-- What operators want done: a row names a run or a program that is configured on its node, never a command line (DESIGN D20).
-- Whoever can write here can stop a run or start what the node's administrator has configured, and nothing else.

CREATE TABLE pipeline_commands (
    command_id   text COLLATE "C" PRIMARY KEY CHECK (command_id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    verb         text NOT NULL CHECK (verb IN ('stop', 'pause', 'resume', 'restart', 'kill', 'stacks', 'checkpoint', 'start')),
    node         text NOT NULL CHECK (node ~ '^[A-Za-z0-9._:-]{1,255}$'),
    run_id       text COLLATE "C" CHECK (run_id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    program      text CHECK (program ~ '^[A-Za-z0-9._-]{1,64}$'),
    arguments    jsonb NOT NULL DEFAULT '{}',
    requested_by text NOT NULL DEFAULT session_user,
    requested_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL DEFAULT now() + interval '10 minutes',
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'claimed', 'done', 'failed')),
    claimed_at   timestamptz,
    claimed_by   bigint,                     -- the agent's epoch
    completed_at timestamptz,
    result       text CHECK (length(result) <= 1000),
    CONSTRAINT pipeline_commands_one_target CHECK (num_nonnulls(run_id, program) = 1 AND (verb <> 'start' OR program IS NOT NULL)),
    CONSTRAINT pipeline_commands_expires CHECK (expires_at > requested_at AND expires_at <= requested_at + interval '1 day'),
    -- coalesce: a CHECK lets NULL pass.
    CONSTRAINT pipeline_commands_arguments CHECK (coalesce(
        jsonb_typeof(arguments) = 'object'
        AND arguments - ARRAY['grace_seconds', 'signal'] = '{}'
        AND CASE jsonb_typeof(arguments->'grace_seconds')
            WHEN 'number' THEN (arguments->>'grace_seconds')::numeric BETWEEN 0 AND 86400
            ELSE NOT arguments ? 'grace_seconds' END
        AND CASE jsonb_typeof(arguments->'signal')
            WHEN 'string' THEN arguments->>'signal' IN ('HUP', 'INT', 'QUIT', 'TERM', 'KILL', 'USR1', 'USR2', 'STOP', 'CONT')
            ELSE NOT arguments ? 'signal' END, false))
);
CREATE INDEX pipeline_commands_open ON pipeline_commands (node, requested_at) WHERE state IN ('pending', 'claimed');

-- For the agent that holds the node. A command that nobody claimed in time is failed, not done late; one whose agent went away is not
-- done twice.
CREATE FUNCTION pipeline_commands_claim_v1(p_node text, p_epoch bigint, p_limit integer)
RETURNS TABLE (command_id text, verb text, run_id text, program text, arguments jsonb, requested_by text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    IF (SELECT a.epoch FROM pipeline_agents a WHERE a.node = p_node) IS DISTINCT FROM p_epoch THEN
        RAISE EXCEPTION 'a newer agent has node %', p_node USING ERRCODE = 'FL001';
    END IF;
    UPDATE pipeline_commands c SET state = 'failed', completed_at = now(), result = 'nobody claimed it in time'
     WHERE c.node = p_node AND c.state = 'pending' AND c.expires_at <= now();
    UPDATE pipeline_commands c SET state = 'failed', completed_at = now(), result = 'its agent ended; whether it was done is not known'
     WHERE c.node = p_node AND c.state = 'claimed' AND c.claimed_by < p_epoch;
    RETURN QUERY
    WITH taken AS (
        UPDATE pipeline_commands c SET state = 'claimed', claimed_at = now(), claimed_by = p_epoch
         WHERE c.command_id IN (SELECT o.command_id FROM pipeline_commands o WHERE o.node = p_node AND o.state = 'pending'
                                 ORDER BY o.requested_at, o.command_id LIMIT least(p_limit, 100) FOR UPDATE SKIP LOCKED)
        RETURNING c.*
    )
    SELECT t.command_id::text, t.verb, t.run_id::text, t.program, t.arguments, t.requested_by
      FROM taken t ORDER BY t.requested_at, t.command_id;
END $$;

CREATE FUNCTION pipeline_command_complete_v1(p_node text, p_epoch bigint, p_command text, p_done boolean, p_result text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    IF (SELECT a.epoch FROM pipeline_agents a WHERE a.node = p_node) IS DISTINCT FROM p_epoch THEN
        RAISE EXCEPTION 'a newer agent has node %', p_node USING ERRCODE = 'FL001';
    END IF;
    UPDATE pipeline_commands c
       SET state = CASE WHEN p_done THEN 'done' ELSE 'failed' END, completed_at = now(), result = left(p_result, 1000)
     WHERE c.command_id = p_command AND c.node = p_node AND c.state = 'claimed';
    RETURN FOUND;
END $$;
