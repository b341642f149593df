-- Why a run ended: its end as the shim told it, what died inside, and the runs to compare it with.

-- name: ends
SELECT ts, data FROM pipeline_events WHERE run_id = %(run)s AND event IN ('run.ended', 'run.left') ORDER BY (event = 'run.left'), ts LIMIT 2

-- name: stalls
SELECT ts, data FROM pipeline_events WHERE run_id = %(run)s AND event = 'run.stalled' ORDER BY ts LIMIT 20

-- name: uncaught
SELECT ts, pid, thread, message, file, line, func, exception
  FROM pipeline_logs
 WHERE run_id = %(run)s AND levelno >= 40 AND logger LIKE 'flightlog.uncaught%%' ORDER BY ts, node, pos LIMIT 20

-- name: last_lines
SELECT ts, level, message FROM pipeline_logs WHERE run_id = %(run)s ORDER BY ts DESC, node DESC, pos DESC LIMIT %(limit)s

-- name: boots
SELECT DISTINCT w.header ->> 'boot'
  FROM pipeline_run_writers x JOIN pipeline_writers w USING (writer_id)
 WHERE x.run_id = %(run)s AND x.node = %(node)s AND w.header ? 'boot'

-- name: last_good
-- The run to compare with: the latest one of the pipeline before this one that ended well.
SELECT run_id FROM pipeline_runs
 WHERE pipeline = %(pipeline)s AND run_id < %(run)s AND state = 'succeeded' ORDER BY run_id DESC LIMIT 1

-- name: history
-- What is usual: earlier runs of the pipeline that ended well.
SELECT lines, warnings, extract(epoch FROM ended_at - started_at)::float8
  FROM (SELECT * FROM pipeline_runs WHERE pipeline = %(pipeline)s AND run_id < %(run)s ORDER BY run_id DESC LIMIT 200) earlier
 WHERE state = 'succeeded' AND ended_at IS NOT NULL ORDER BY run_id DESC LIMIT 30
