-- What a writer has dropped, by "<level>/<reason>": totals, as it says them itself. `dropped` stays their sum.
ALTER TABLE pipeline_writers ADD COLUMN drops jsonb NOT NULL DEFAULT '{}';

-- In the transaction that ships the records which say so, behind pipeline_ship_commit_v1, which has locked these rows and checked the epoch.
-- p_drops: [{writer, drops: {"10/pressure": 120}}]. Totals only grow, so an older batch cannot take anything back.
CREATE FUNCTION pipeline_drops_apply_v1(p_node text, p_drops jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pipeline_node_check_v1(p_node);
    UPDATE pipeline_writers p SET drops = p.drops || d.drops
      FROM jsonb_to_recordset(p_drops) AS d(writer uuid, drops jsonb)
     WHERE p.writer_id = d.writer AND p.node = p_node AND jsonb_typeof(d.drops) = 'object';
END $$;
