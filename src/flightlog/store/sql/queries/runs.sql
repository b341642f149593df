-- Runs, for selectors, lists and status. Parameters that are NULL do not restrict.

-- name: columns
r.run_id, r.pipeline, r.node, r.parent, r.origin, r.attempt, r.kind, r.state, r.exit_code, r.term_signal, r.wait_status, r.verdict,
r.confidence, r.command, r.pid, r.cwd, r.os_user, r.started_at, r.ended_at, r.lines, r.warnings, r.errors, r.last_at, r.last_stage,
r.last_progress, r.data

-- name: list
SELECT {columns}
  FROM pipeline_runs r
 WHERE (%(runs)s::text[] IS NULL OR run_id = ANY (%(runs)s))
   AND (%(pipelines)s::text[] IS NULL OR pipeline = ANY (%(pipelines)s))
   AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
   AND (%(since)s::timestamptz IS NULL OR started_at >= %(since)s)
 ORDER BY CASE %(sort)s::text
          WHEN 'ended' THEN extract(epoch FROM ended_at)
          WHEN 'duration' THEN extract(epoch FROM coalesce(ended_at, now()) - started_at)
          WHEN 'lines' THEN lines
          WHEN 'warnings' THEN warnings
          WHEN 'errors' THEN errors END * %(sign)s::int DESC NULLS LAST,
       CASE WHEN %(sign)s::int < 0 AND %(sort)s::text = 'started' THEN run_id END, run_id DESC
 LIMIT %(limit)s

-- name: latest
-- The latest run of each pipeline, by one step in the index per pipeline: DISTINCT ON would read every run there ever was.
WITH RECURSIVE latest AS (
    (SELECT pipeline, run_id FROM pipeline_runs ORDER BY pipeline, run_id DESC LIMIT 1)
    UNION ALL
    SELECT next.pipeline, next.run_id
      FROM latest, LATERAL (SELECT pipeline, run_id FROM pipeline_runs WHERE pipeline > latest.pipeline
                             ORDER BY pipeline, run_id DESC LIMIT 1) next
)

-- name: latest_of_each
{latest}
SELECT {columns} FROM latest JOIN pipeline_runs r USING (run_id) ORDER BY r.pipeline

-- name: pipelines
{latest}
SELECT pipeline FROM latest ORDER BY run_id DESC

-- name: of_pipeline
SELECT run_id FROM pipeline_runs
 WHERE pipeline = %(pipeline)s
   AND (%(since)s::timestamptz IS NULL OR started_at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR started_at < %(until)s)
 ORDER BY run_id DESC OFFSET %(skip)s LIMIT %(limit)s

-- name: failed
SELECT run_id FROM pipeline_runs
 WHERE state IN ('failed', 'lost') AND (%(pipelines)s::text[] IS NULL OR pipeline = ANY (%(pipelines)s))
 ORDER BY run_id DESC LIMIT 1

-- name: by_prefix
-- '[' is what follows Z.
SELECT run_id, pipeline, state FROM pipeline_runs
 WHERE run_id >= %(id)s AND run_id < %(id)s || '[' ORDER BY run_id DESC LIMIT %(limit)s

-- name: by_short_form
-- There is no index for it; LIKE is five times as fast as right().
SELECT run_id, pipeline, state FROM pipeline_runs WHERE run_id LIKE '%%' || %(id)s ORDER BY run_id DESC LIMIT %(limit)s

-- name: last_line
SELECT level, message, ts FROM pipeline_logs WHERE run_id = %(run)s ORDER BY ts DESC, node DESC, pos DESC LIMIT 1
