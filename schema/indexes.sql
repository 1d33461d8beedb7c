-- Where a connection that was open when a series of files went on is told of, too: 'from' the file
-- before, 'to' the next one. Row ids run through the series. Here, because files that are older than
-- this table get it when they are opened for writing.
CREATE TABLE IF NOT EXISTS continuation (
    flow_id INTEGER NOT NULL REFERENCES flow(id) ON DELETE CASCADE,
    session_id INTEGER REFERENCES session(id) ON DELETE CASCADE,
    direction TEXT NOT NULL,
    file TEXT NOT NULL
);

-- Indexes of everything but frames: for the questions people ask, and so that a capture can be
-- deleted without reading each child table once per row.
CREATE INDEX IF NOT EXISTS flow_capture ON flow(capture_id);
CREATE INDEX IF NOT EXISTS flow_client ON flow(client_addr, first_ns);
CREATE INDEX IF NOT EXISTS layer_flow ON layer(flow_id);
CREATE INDEX IF NOT EXISTS layer_parent ON layer(parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS session_flow ON session(flow_id);
CREATE INDEX IF NOT EXISTS session_layer ON session(layer_id);
CREATE INDEX IF NOT EXISTS session_successor ON session(successor_id) WHERE successor_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS session_hop ON session(hop_of) WHERE hop_of IS NOT NULL;
CREATE INDEX IF NOT EXISTS session_time ON session(request_ns);
CREATE INDEX IF NOT EXISTS session_host ON session(host, path, request_ns);
CREATE INDEX IF NOT EXISTS header_session ON header(session_id);
CREATE INDEX IF NOT EXISTS header_key ON header(value, session_id)
    WHERE name = 'Sec-WebSocket-Key' AND message = 'request';
CREATE INDEX IF NOT EXISTS finding_session ON finding(session_id, rule);
CREATE INDEX IF NOT EXISTS finding_flow ON finding(flow_id);
CREATE INDEX IF NOT EXISTS finding_rule ON finding(rule);
CREATE INDEX IF NOT EXISTS finding_capture ON finding(capture_id);
CREATE INDEX IF NOT EXISTS finding_layer ON finding(layer_id);
CREATE INDEX IF NOT EXISTS finding_frame ON finding(frame_id) WHERE frame_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS finding_other ON finding(other_session_id)
    WHERE other_session_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS gap_flow ON gap(flow_id);
CREATE INDEX IF NOT EXISTS continuation_flow ON continuation(flow_id);
CREATE INDEX IF NOT EXISTS continuation_session ON continuation(session_id);
