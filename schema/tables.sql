-- The tables of a switchtap database, version 1 (PRAGMA user_version). Times are nanoseconds since
-- the Unix epoch, sides are 'client' and 'server', booleans 0 and 1, packets 1-based numbers within
-- the capture. A TEXT column holds valid UTF-8 without NUL; bytes that are not are stored as BLOB.
-- README.md explains the columns.

-- What the program keeps for itself: the key of the redaction hashes, what the catalogue is made of.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value BLOB
) WITHOUT ROWID;

CREATE TABLE rule (
    name TEXT PRIMARY KEY,
    severity TEXT NOT NULL,
    level TEXT NOT NULL,
    source TEXT NOT NULL,
    summary TEXT NOT NULL
);

CREATE TABLE capture (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    fingerprint TEXT,
    sensor TEXT,
    link_type INTEGER,
    snaplen INTEGER,
    filter TEXT,
    options TEXT,
    started_ns INTEGER NOT NULL,
    ended_ns INTEGER,
    first_packet_ns INTEGER,
    last_packet_ns INTEGER,
    packets INTEGER,
    bytes INTEGER,
    kernel_dropped INTEGER,
    interface_dropped INTEGER,
    truncated INTEGER NOT NULL DEFAULT 0,
    version TEXT NOT NULL
);

CREATE TABLE capture_file (
    capture_id INTEGER NOT NULL REFERENCES capture(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    fingerprint TEXT,
    first_packet INTEGER NOT NULL,
    PRIMARY KEY (capture_id, position)
) WITHOUT ROWID;

CREATE TABLE counter (
    capture_id INTEGER NOT NULL REFERENCES capture(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (capture_id, name)
) WITHOUT ROWID;

CREATE TABLE flow (
    id INTEGER PRIMARY KEY,
    capture_id INTEGER NOT NULL REFERENCES capture(id) ON DELETE CASCADE,
    client_addr TEXT NOT NULL,
    client_port INTEGER NOT NULL,
    server_addr TEXT NOT NULL,
    server_port INTEGER NOT NULL,
    vlan INTEGER,
    community_id TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    client_packets INTEGER NOT NULL DEFAULT 0,
    server_packets INTEGER NOT NULL DEFAULT 0,
    client_bytes INTEGER NOT NULL DEFAULT 0,
    server_bytes INTEGER NOT NULL DEFAULT 0,
    client_missing INTEGER NOT NULL DEFAULT 0,
    server_missing INTEGER NOT NULL DEFAULT 0,
    client_retransmits INTEGER NOT NULL DEFAULT 0,
    server_retransmits INTEGER NOT NULL DEFAULT 0,
    client_rtt_ns INTEGER,
    server_rtt_ns INTEGER,
    handshake TEXT,
    end TEXT,
    ndpi_protocol TEXT,
    ndpi_category TEXT,
    ndpi_risk TEXT
);

CREATE TABLE layer (
    id INTEGER PRIMARY KEY,
    flow_id INTEGER NOT NULL REFERENCES flow(id) ON DELETE CASCADE,
    parent_id INTEGER REFERENCES layer(id) ON DELETE CASCADE,
    relation TEXT NOT NULL,
    protocol TEXT NOT NULL,
    expected TEXT,
    first_ns INTEGER NOT NULL,
    packet INTEGER,
    client_offset INTEGER NOT NULL,
    server_offset INTEGER NOT NULL,
    client_head BLOB,
    server_head BLOB,
    ndpi_protocol TEXT,
    ndpi_category TEXT,
    ndpi_risk TEXT,
    detail TEXT
);

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    flow_id INTEGER NOT NULL REFERENCES flow(id) ON DELETE CASCADE,
    layer_id INTEGER REFERENCES layer(id) ON DELETE CASCADE,
    successor_id INTEGER REFERENCES layer(id) ON DELETE SET NULL,
    hop_of INTEGER REFERENCES session(id) ON DELETE SET NULL,
    mechanism TEXT NOT NULL,
    offered TEXT,
    accepted TEXT,
    outcome TEXT NOT NULL,
    cause TEXT,
    method TEXT,
    target TEXT,
    path TEXT,
    host TEXT,
    origin TEXT,
    user_agent TEXT,
    forwarded_for TEXT,
    status INTEGER,
    reason TEXT,
    request_ns INTEGER,
    response_ns INTEGER,
    request_packet INTEGER,
    response_packet INTEGER,
    request_offset INTEGER,
    response_offset INTEGER,
    end_ns INTEGER,
    end_reason TEXT,
    end_side TEXT,
    idle_ns INTEGER,
    frames_lost INTEGER NOT NULL DEFAULT 0,
    verdict TEXT NOT NULL
);

CREATE TABLE header (
    session_id INTEGER NOT NULL REFERENCES session(id) ON DELETE CASCADE,
    message TEXT NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    value TEXT
);

CREATE TABLE websocket (
    session_id INTEGER PRIMARY KEY REFERENCES session(id) ON DELETE CASCADE,
    subprotocol TEXT,
    extensions TEXT,
    accept_valid INTEGER,
    deflate INTEGER NOT NULL DEFAULT 0,
    client_frames INTEGER NOT NULL DEFAULT 0,
    server_frames INTEGER NOT NULL DEFAULT 0,
    client_messages INTEGER NOT NULL DEFAULT 0,
    server_messages INTEGER NOT NULL DEFAULT 0,
    client_bytes INTEGER NOT NULL DEFAULT 0,
    server_bytes INTEGER NOT NULL DEFAULT 0,
    client_message_bytes INTEGER NOT NULL DEFAULT 0,
    server_message_bytes INTEGER NOT NULL DEFAULT 0,
    client_close_code INTEGER,
    client_close_reason TEXT,
    server_close_code INTEGER,
    server_close_reason TEXT
);

CREATE TABLE frame (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES session(id) ON DELETE CASCADE,
    sender TEXT NOT NULL,
    sent_ns INTEGER NOT NULL,
    packet INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    fin INTEGER NOT NULL,
    rsv INTEGER NOT NULL,
    opcode INTEGER NOT NULL,
    masked INTEGER NOT NULL,
    length INTEGER NOT NULL,
    message_opcode INTEGER,
    message_length INTEGER,
    fragments INTEGER,
    compressed INTEGER NOT NULL,
    cut INTEGER,
    rtt_ns INTEGER,
    payload BLOB
);

CREATE TABLE finding (
    id INTEGER PRIMARY KEY,
    capture_id INTEGER NOT NULL REFERENCES capture(id) ON DELETE CASCADE,
    rule TEXT NOT NULL REFERENCES rule(name),
    session_id INTEGER REFERENCES session(id) ON DELETE CASCADE,
    layer_id INTEGER REFERENCES layer(id) ON DELETE CASCADE,
    flow_id INTEGER REFERENCES flow(id) ON DELETE CASCADE,
    frame_id INTEGER REFERENCES frame(id) ON DELETE SET NULL,
    other_session_id INTEGER REFERENCES session(id) ON DELETE SET NULL,
    sender TEXT,
    packet INTEGER,
    offset INTEGER,
    found_ns INTEGER NOT NULL,
    evidence TEXT,
    count INTEGER NOT NULL DEFAULT 1,
    severity TEXT -- where the place makes it another one than the rule's
);

CREATE TABLE gap (
    flow_id INTEGER NOT NULL REFERENCES flow(id) ON DELETE CASCADE,
    sender TEXT NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    at_ns INTEGER NOT NULL
);
