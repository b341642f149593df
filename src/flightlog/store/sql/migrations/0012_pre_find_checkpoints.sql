-- What a run is resumed from is asked for by run, among all of its events; its attempts by their origin, runs inside it by their parent.
CREATE INDEX pipeline_events_checkpoints ON pipeline_events (run_id, ts) WHERE event = 'checkpoint';
CREATE INDEX IF NOT EXISTS pipeline_runs_origin ON pipeline_runs (origin) WHERE origin IS NOT NULL;
CREATE INDEX IF NOT EXISTS pipeline_runs_parent ON pipeline_runs (parent) WHERE parent IS NOT NULL;
