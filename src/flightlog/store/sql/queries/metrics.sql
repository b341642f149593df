-- What a run's processes used. Of a counter, what it grew by per second; `total` is what it had come to.

-- name: points
SELECT m.name, m.kind, m.ts, m.value AS total,
       CASE m.kind WHEN 'counter' THEN (m.value - lag(m.value) OVER w) / nullif(extract(epoch FROM m.ts - lag(m.ts) OVER w), 0)
                   ELSE m.value END AS value
  FROM pipeline_metrics m
 WHERE m.run_id = %(run)s
   AND (%(names)s::text[] IS NULL OR EXISTS (SELECT FROM unnest(%(names)s::text[]) AS n(name)
                                              WHERE m.name = n.name OR starts_with(m.name, n.name || '_')))
WINDOW w AS (PARTITION BY m.name, m.labels, m.writer_id ORDER BY m.ts, m.seq)

-- name: span
SELECT min(ts), max(ts), count(*) FROM pipeline_metrics WHERE run_id = %(run)s

-- name: summary
WITH points AS ({points})
SELECT name, min(kind), count(value), min(value), avg(value), percentile_cont(0.95) WITHIN GROUP (ORDER BY value), max(value),
       (array_agg(total ORDER BY ts DESC))[1]
  FROM points GROUP BY name ORDER BY name

-- name: steps
WITH points AS ({points})
SELECT name, date_bin(%(step)s, ts, %(origin)s) AS step, avg(value)
  FROM points WHERE value IS NOT NULL GROUP BY name, step ORDER BY name, step
