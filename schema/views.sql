-- What people read: rows joined, times as ISO 8601 text in UTC, opcodes as names. The columns are a
-- contract, described in README.md. Everything works in a plain sqlite3 3.40 shell.

-- A flow's layers from the root to each leaf, 'http1>websocket>ssh'. Where layers branch (streams of
-- one connection, say), the different paths stand behind one another in the order of their first
-- leaf, 'http2>websocket + http2>tls'.
DROP VIEW IF EXISTS chain;
CREATE VIEW chain AS
SELECT f.id AS flow_id,
    (WITH RECURSIVE path(id, names) AS (
        SELECT l.id, l.protocol FROM layer l WHERE l.flow_id = f.id AND l.parent_id IS NULL
        UNION ALL
        SELECT l.id, p.names || '>' || l.protocol FROM path p JOIN layer l ON l.parent_id = p.id
    )
    SELECT group_concat(names, ' + ') FROM (
        SELECT p.names FROM path p
        WHERE NOT EXISTS (SELECT 1 FROM layer l WHERE l.parent_id = p.id)
        GROUP BY p.names ORDER BY min(p.id))) AS chain,
    (SELECT count(*) FROM layer l WHERE l.flow_id = f.id) AS layers
FROM flow f;

DROP VIEW IF EXISTS session_summary;
CREATE VIEW session_summary AS
SELECT s.id AS id,
    c.source AS capture,
    printf('%s.%09dZ', strftime('%Y-%m-%dT%H:%M:%S', coalesce(s.request_ns, s.response_ns)
        / 1000000000, 'unixepoch'), coalesce(s.request_ns, s.response_ns) % 1000000000) AS time,
    f.client_addr AS client,
    f.client_port AS client_port,
    f.server_addr AS server,
    f.server_port AS server_port,
    s.mechanism AS mechanism,
    s.host AS host,
    s.path AS path,
    s.offered AS offered,
    s.accepted AS accepted,
    s.outcome AS outcome,
    s.cause AS cause,
    s.status AS status,
    round((s.response_ns - s.request_ns) / 1e6, 3) AS handshake_ms,
    round((s.end_ns - coalesce(s.response_ns, s.request_ns)) / 1e9, 3) AS duration_s,
    (SELECT h.chain FROM chain h WHERE h.flow_id = s.flow_id) AS chain,
    w.subprotocol AS subprotocol,
    w.extensions AS extensions,
    w.client_frames AS client_frames,
    w.server_frames AS server_frames,
    w.client_messages AS client_messages,
    w.server_messages AS server_messages,
    w.client_bytes AS client_bytes,
    w.server_bytes AS server_bytes,
    w.client_message_bytes AS client_message_bytes,
    w.server_message_bytes AS server_message_bytes,
    w.client_close_code AS client_close_code,
    w.server_close_code AS server_close_code,
    s.end_reason AS end_reason,
    s.end_side AS end_side,
    round(s.idle_ns / 1e9, 3) AS idle_s,
    (SELECT count(*) FROM finding x WHERE x.session_id = s.id) AS findings,
    (SELECT coalesce(x.severity, r.severity) FROM finding x JOIN rule r ON r.name = x.rule WHERE x.session_id = s.id
        ORDER BY CASE coalesce(x.severity, r.severity) WHEN 'high' THEN 0 WHEN 'medium' THEN 1 WHEN 'low' THEN 2 ELSE 3 END
        LIMIT 1) AS worst,
    s.hop_of AS hop_of,
    s.flow_id AS flow_id,
    s.verdict AS verdict
FROM session s
LEFT JOIN flow f ON f.id = s.flow_id
LEFT JOIN capture c ON c.id = f.capture_id
LEFT JOIN websocket w ON w.session_id = s.id;

-- Complete messages: data, close, ping and pong.
DROP VIEW IF EXISTS message;
CREATE VIEW message AS
SELECT m.id AS id,
    m.session_id AS session_id,
    printf('%s.%09dZ', strftime('%Y-%m-%dT%H:%M:%S', m.sent_ns / 1000000000, 'unixepoch'),
        m.sent_ns % 1000000000) AS time,
    m.sender AS sender,
    CASE m.message_opcode WHEN 1 THEN 'text' WHEN 2 THEN 'binary' WHEN 8 THEN 'close'
        WHEN 9 THEN 'ping' WHEN 10 THEN 'pong' ELSE m.message_opcode END AS opcode,
    m.message_length AS length,
    m.fragments AS fragments,
    m.compressed AS compressed,
    m.cut AS cut,
    round(m.rtt_ns / 1e6, 3) AS rtt_ms,
    m.packet AS packet,
    m.offset AS offset,
    s.host AS host,
    s.path AS path,
    m.payload AS payload
FROM frame m
LEFT JOIN session s ON s.id = m.session_id
WHERE m.message_length IS NOT NULL;

-- Attempts that were not granted, and where they were lost: `hop` is the session in front of this
-- one, when both sides of a proxy were captured.
DROP VIEW IF EXISTS failed_switch;
CREATE VIEW failed_switch AS
SELECT s.id AS id,
    printf('%s.%09dZ', strftime('%Y-%m-%dT%H:%M:%S', coalesce(s.request_ns, s.response_ns)
        / 1000000000, 'unixepoch'), coalesce(s.request_ns, s.response_ns) % 1000000000) AS time,
    f.client_addr AS client,
    f.server_addr AS server,
    f.server_port AS server_port,
    s.mechanism AS mechanism,
    s.host AS host,
    s.path AS path,
    s.offered AS offered,
    s.origin AS origin,
    s.user_agent AS user_agent,
    s.outcome AS outcome,
    s.cause AS cause,
    s.status AS status,
    s.reason AS reason,
    round((s.response_ns - s.request_ns) / 1e6, 3) AS waited_ms,
    s.hop_of AS hop,
    s.verdict AS verdict
FROM session s
LEFT JOIN flow f ON f.id = s.flow_id
WHERE s.outcome IN ('refused', 'ignored', 'unanswered');

-- One attempt seen on both sides of a proxy: what the proxy changed between the session of its
-- client (outer) and the one it forwards (inner).
DROP VIEW IF EXISTS hop_pair;
CREATE VIEW hop_pair AS
SELECT o.id AS outer_id,
    i.id AS inner_id,
    of.client_addr AS client,
    of.server_addr AS proxy,
    of.server_port AS proxy_port,
    f.server_addr AS upstream,
    f.server_port AS upstream_port,
    o.host AS outer_host,
    i.host AS inner_host,
    o.target AS outer_target,
    i.target AS inner_target,
    o.offered AS outer_offered,
    i.offered AS inner_offered,
    o.outcome AS outer_outcome,
    i.outcome AS inner_outcome,
    o.status AS outer_status,
    i.status AS inner_status,
    round((i.request_ns - o.request_ns) / 1e6, 3) AS forward_ms,
    round((o.response_ns - i.response_ns) / 1e6, 3) AS return_ms,
    (SELECT group_concat(name, ', ') FROM (SELECT lower(h.name) AS name FROM header h
        WHERE h.session_id = o.id AND h.message = 'request' AND NOT EXISTS (SELECT 1 FROM header g
            WHERE g.session_id = i.id AND g.message = 'request' AND g.name = h.name)
        GROUP BY 1 ORDER BY 1)) AS request_removed,
    (SELECT group_concat(name, ', ') FROM (SELECT lower(h.name) AS name FROM header h
        WHERE h.session_id = i.id AND h.message = 'request' AND NOT EXISTS (SELECT 1 FROM header g
            WHERE g.session_id = o.id AND g.message = 'request' AND g.name = h.name)
        GROUP BY 1 ORDER BY 1)) AS request_added,
    (SELECT group_concat(name, ', ') FROM (SELECT lower(h.name) AS name FROM header h
        WHERE h.session_id = o.id AND h.message = 'request' AND EXISTS (SELECT 1 FROM header g
            WHERE g.session_id = i.id AND g.message = 'request' AND g.name = h.name)
        AND NOT EXISTS (SELECT 1 FROM header g
            WHERE g.session_id = i.id AND g.message = 'request' AND g.name = h.name
            AND g.value IS h.value)
        GROUP BY 1 ORDER BY 1)) AS request_changed,
    (SELECT group_concat(name, ', ') FROM (SELECT lower(h.name) AS name FROM header h
        WHERE h.session_id = i.id AND h.message = 'response' AND NOT EXISTS (SELECT 1 FROM header g
            WHERE g.session_id = o.id AND g.message = 'response' AND g.name = h.name)
        GROUP BY 1 ORDER BY 1)) AS response_removed,
    (SELECT group_concat(name, ', ') FROM (SELECT lower(h.name) AS name FROM header h
        WHERE h.session_id = o.id AND h.message = 'response' AND NOT EXISTS (SELECT 1 FROM header g
            WHERE g.session_id = i.id AND g.message = 'response' AND g.name = h.name)
        GROUP BY 1 ORDER BY 1)) AS response_added,
    (SELECT group_concat(name, ', ') FROM (SELECT lower(h.name) AS name FROM header h
        WHERE h.session_id = i.id AND h.message = 'response' AND EXISTS (SELECT 1 FROM header g
            WHERE g.session_id = o.id AND g.message = 'response' AND g.name = h.name)
        AND NOT EXISTS (SELECT 1 FROM header g
            WHERE g.session_id = o.id AND g.message = 'response' AND g.name = h.name
            AND g.value IS h.value)
        GROUP BY 1 ORDER BY 1)) AS response_changed
FROM session i
JOIN session o ON o.id = i.hop_of
LEFT JOIN flow f ON f.id = i.flow_id
LEFT JOIN flow of ON of.id = o.flow_id
WHERE i.hop_of IS NOT NULL;

-- How long servers take to answer an attempt, by host (nearest rank).
DROP VIEW IF EXISTS host_latency;
CREATE VIEW host_latency AS
SELECT host,
    count(*) AS sessions,
    round(min(ns) / 1e6, 3) AS min_ms,
    round(avg(ns) / 1e6, 3) AS mean_ms,
    round(min(CASE WHEN place * 100 >= total * 50 THEN ns END) / 1e6, 3) AS p50_ms,
    round(min(CASE WHEN place * 100 >= total * 95 THEN ns END) / 1e6, 3) AS p95_ms,
    round(min(CASE WHEN place * 100 >= total * 99 THEN ns END) / 1e6, 3) AS p99_ms,
    round(max(ns) / 1e6, 3) AS max_ms
FROM (
    SELECT host, ns, row_number() OVER (PARTITION BY host ORDER BY ns) AS place,
        count(*) OVER (PARTITION BY host) AS total
    FROM (SELECT lower(host) AS host, response_ns - request_ns AS ns FROM session
          WHERE response_ns IS NOT NULL AND request_ns IS NOT NULL))
GROUP BY host;

DROP VIEW IF EXISTS finding_summary;
CREATE VIEW finding_summary AS
SELECT x.id AS id,
    printf('%s.%09dZ', strftime('%Y-%m-%dT%H:%M:%S', x.found_ns / 1000000000, 'unixepoch'),
        x.found_ns % 1000000000) AS time,
    coalesce(x.severity, r.severity) AS severity,
    x.rule AS rule,
    r.level AS level,
    x.session_id AS session_id,
    x.flow_id AS flow_id,
    c.source AS capture,
    f.client_addr AS client,
    f.client_port AS client_port,
    f.server_addr AS server,
    f.server_port AS server_port,
    s.host AS host,
    s.path AS path,
    x.sender AS sender,
    x.packet AS packet,
    x.offset AS offset,
    x.count AS count,
    x.evidence AS evidence,
    x.other_session_id AS other_session_id,
    r.source AS source,
    r.summary AS summary
FROM finding x
LEFT JOIN rule r ON r.name = x.rule
LEFT JOIN capture c ON c.id = x.capture_id
LEFT JOIN flow f ON f.id = x.flow_id
LEFT JOIN session s ON s.id = x.session_id;
