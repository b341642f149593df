-- Who looks at a run is told what its captures could not take, and must not read all of its events for that: such events are rare.
CREATE INDEX pipeline_events_gaps ON pipeline_events (run_id) WHERE event = 'capture.gap';
