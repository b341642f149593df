-- What flightlog's own processes have used that serve all runs of a node.

-- name: agent
SELECT (status ->> 'cpu_s')::float, (status ->> 'rows')::bigint FROM pipeline_agents WHERE node = %(node)s
