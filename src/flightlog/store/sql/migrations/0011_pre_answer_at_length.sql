-- The stacks of a run that goes on elsewhere are an answer too, of many lines. The function of before stays for agents of the version before.
ALTER TABLE pipeline_commands DROP CONSTRAINT pipeline_commands_result_check;
ALTER TABLE pipeline_commands ADD CONSTRAINT pipeline_commands_result_check CHECK (length(result) <= 262144) NOT VALID;  -- nothing longer is there

CREATE FUNCTION pipeline_command_complete_v2(p_node text, p_epoch bigint, p_command text, p_done boolean, p_result text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    IF (SELECT a.epoch FROM pipeline_agents a WHERE a.node = p_node) IS DISTINCT FROM p_epoch THEN
        RAISE EXCEPTION 'a newer agent has node %', p_node USING ERRCODE = 'FL001';
    END IF;
    UPDATE pipeline_commands c
       SET state = CASE WHEN p_done THEN 'done' ELSE 'failed' END, completed_at = now(),
           result = left(p_result, CASE WHEN c.verb = 'stacks' THEN 262144 ELSE 1000 END)
     WHERE c.command_id = p_command AND c.node = p_node AND c.state = 'claimed';
    RETURN FOUND;
END $$;
