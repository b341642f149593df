-- What a run's processes used. Of a counter, what it grew by per second; `total` is what it had come to.

-- name: points
SELECT m.name, m.kind, m.ts, m.value AS total, m.labels, m.writer_id, m.seq,
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
-- The last value of a gauge; of a counter what all have come to that count it: processes, stages.
WITH points AS MATERIALIZED ({points}), newest AS (
    SELECT DISTINCT ON (name, labels, writer_id) name, kind, total, ts FROM points ORDER BY name, labels, writer_id, ts DESC, seq DESC
), totals AS (
    SELECT name, CASE min(kind) WHEN 'counter' THEN sum(total) ELSE (array_agg(total ORDER BY ts DESC))[1] END AS total
      FROM newest GROUP BY name
)
SELECT p.name, min(p.kind), count(p.value), min(p.value), avg(p.value), percentile_cont(0.95) WITHIN GROUP (ORDER BY p.value), max(p.value),
       min(t.total), min(p.labels ->> 'unit')
  FROM points p JOIN totals t USING (name) GROUP BY p.name ORDER BY p.name

-- name: steps
WITH points AS ({points})
SELECT name, date_bin(%(step)s, ts, %(origin)s) AS step, avg(value)
  FROM points WHERE value IS NOT NULL GROUP BY name, step ORDER BY name, step
