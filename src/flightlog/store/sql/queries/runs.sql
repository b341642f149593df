-- Runs, for selectors, lists and status. Parameters that are NULL do not restrict.

-- name: list
SELECT run_id, pipeline, node, parent, origin, attempt, kind, state, exit_code, term_signal, wait_status, verdict, confidence,
       command, pid, cwd, os_user, started_at, ended_at, lines, warnings, errors, last_at, last_stage, last_progress, data
  FROM pipeline_runs
 WHERE (%(runs)s::text[] IS NULL OR run_id = ANY (%(runs)s))
   AND (%(pipelines)s::text[] IS NULL OR pipeline = ANY (%(pipelines)s))
   AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
   AND (%(since)s::timestamptz IS NULL OR started_at >= %(since)s)
 ORDER BY run_id DESC
 LIMIT %(limit)s

-- name: latest_of_each
SELECT DISTINCT ON (pipeline)
       run_id, pipeline, node, parent, origin, attempt, kind, state, exit_code, term_signal, wait_status, verdict, confidence,
       command, pid, cwd, os_user, started_at, ended_at, lines, warnings, errors, last_at, last_stage, last_progress, data
  FROM pipeline_runs
 ORDER BY pipeline, run_id DESC

-- name: of_pipeline
SELECT run_id FROM pipeline_runs
 WHERE pipeline = %(pipeline)s
   AND (%(since)s::timestamptz IS NULL OR started_at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR started_at < %(until)s)
 ORDER BY run_id DESC OFFSET %(skip)s LIMIT %(limit)s

-- name: failed
SELECT run_id FROM pipeline_runs WHERE state IN ('failed', 'lost') ORDER BY run_id DESC LIMIT 1

-- name: by_id
SELECT run_id, pipeline, state FROM pipeline_runs
 WHERE run_id >= %(id)s AND run_id < %(id)s || 'Z' || 'Z' OR run_id LIKE '%%' || %(suffix)s
 ORDER BY run_id DESC LIMIT 11

-- name: pipelines
SELECT pipeline FROM pipeline_runs GROUP BY pipeline ORDER BY max(run_id) DESC LIMIT 10000

-- name: newer
SELECT run_id FROM pipeline_runs WHERE pipeline = ANY (%(pipelines)s) AND run_id > %(after)s

-- name: states
SELECT run_id, state FROM pipeline_runs WHERE run_id = ANY (%(runs)s)

-- name: last_line
SELECT level, message, ts FROM pipeline_logs
 WHERE run_id = %(run)s AND ts >= %(since)s::timestamptz - interval '1 day' ORDER BY ts DESC, pos DESC LIMIT 1

-- name: agents
SELECT node, heartbeat_at, extract(epoch FROM now() - heartbeat_at)::float, agent_pid, version, status FROM pipeline_agents ORDER BY node
