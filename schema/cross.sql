-- What only shows when connections are compared: run when a capture (:capture) is complete, in the
-- program's own connection (websocket_accept() is the program's). Every statement may run again
-- without changing anything more.

-- ---- the sessions that share a Sec-WebSocket-Key with one of this capture ----
DROP TABLE IF EXISTS temp.same_key;
CREATE TEMP TABLE same_key (
    id INTEGER PRIMARY KEY, key, flow_id, capture_id, client_addr, client_port, server_addr,
    server_port, first_ns, last_ns, request_ns, response_ns, until_ns, switched
);
INSERT OR IGNORE INTO same_key
SELECT s.id, k.value, s.flow_id, f.capture_id, f.client_addr, f.client_port, f.server_addr,
    f.server_port, f.first_ns, f.last_ns, s.request_ns, s.response_ns,
    coalesce(s.response_ns, iif(s.end_reason IN ('fin', 'rst'), s.end_ns, NULL)),
    s.outcome IN ('switched', 'unsolicited')
FROM (
    SELECT DISTINCT own.value AS value
    FROM flow CROSS JOIN session ON session.flow_id = flow.id
    CROSS JOIN header own ON own.session_id = session.id
    WHERE flow.capture_id = :capture AND own.name = 'Sec-WebSocket-Key' AND own.message = 'request'
    AND EXISTS (SELECT 1 FROM header other WHERE other.name = 'Sec-WebSocket-Key'
        AND other.message = 'request' AND other.value = own.value
        AND other.session_id <> own.session_id)) shared
CROSS JOIN header k ON k.value = shared.value AND k.name = 'Sec-WebSocket-Key'
    AND k.message = 'request'
JOIN session s ON s.id = k.session_id
JOIN flow f ON f.id = s.flow_id
WHERE s.request_ns IS NOT NULL;
CREATE INDEX temp.same_key_time ON same_key(key, request_ns, id);
CREATE INDEX temp.same_key_flow ON same_key(key, client_addr, client_port, capture_id);

-- ---- hop_of: the same key, nested in time, on another connection to somewhere else ----
-- Of several sessions around one, the innermost is its hop: the one whose request came last, those
-- first whose server is this one's client (a proxy that tries its upstreams one after another). One
-- that was not answered, or refused in the meantime, waits as long as its connection lives.
UPDATE session SET hop_of = (
    SELECT o.id
    FROM same_key i JOIN (
        SELECT near.* FROM same_key here JOIN same_key near ON near.key = here.key
            AND (near.request_ns, near.id) < (here.request_ns, here.id)
        WHERE here.id = session.id ORDER BY near.request_ns DESC, near.id DESC LIMIT 64) o
    WHERE i.id = session.id AND o.flow_id <> i.flow_id
    AND (o.until_ns IS NULL OR i.request_ns <= o.until_ns)
    AND (i.response_ns IS NULL OR o.until_ns IS NULL OR NOT o.switched
        OR i.response_ns <= o.until_ns)
    AND NOT (o.client_addr = i.client_addr AND o.server_addr = i.server_addr
        AND o.server_port = i.server_port)
    ORDER BY o.capture_id = i.capture_id DESC, o.server_addr = i.client_addr DESC,
        o.request_ns DESC, o.id DESC LIMIT 1)
WHERE hop_of IS NULL AND id IN (SELECT id FROM same_key);

-- ---- ws-key-reused: a second connection with the key of the first that is no hop of another ----
-- A connection that two captures have in common is one connection.
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, other_session_id, sender,
    packet, offset, found_ns, evidence)
SELECT k.capture_id, 'ws-key-reused', k.id, s.layer_id, k.flow_id, k.first_id, 'client',
    s.request_packet, s.request_offset, k.request_ns,
    printf('key %s, used %.3f s before in session %d', k.key,
        (k.request_ns - o.request_ns) / 1e9, k.first_id)
FROM (
    SELECT *, first_value(id) OVER (PARTITION BY key ORDER BY request_ns, id) AS first_id,
        row_number() OVER (PARTITION BY key, flow_id ORDER BY request_ns, id) AS place
    FROM same_key) k
JOIN same_key o ON o.id = k.first_id
JOIN session s ON s.id = k.id
WHERE k.place = 1 AND k.flow_id <> o.flow_id AND s.hop_of IS NULL
AND NOT EXISTS (SELECT 1 FROM same_key t INDEXED BY same_key_flow
    WHERE t.key = k.key AND t.capture_id <> k.capture_id
    AND (t.request_ns, t.id) < (k.request_ns, k.id)
    AND t.client_addr = k.client_addr AND t.client_port = k.client_port
    AND t.server_addr = k.server_addr AND t.server_port = k.server_port
    AND t.first_ns <= k.last_ns AND k.first_ns <= t.last_ns)
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = k.id AND x.rule = 'ws-key-reused');
DROP TABLE temp.same_key;

-- ---- upgrade-stripped-by-proxy: name the hop that did it ----
UPDATE finding SET
    other_session_id = (SELECT s.hop_of FROM session s WHERE s.id = finding.session_id),
    evidence = coalesce(evidence || '; ', '') || (
        SELECT printf('removed by %s:%d between session %d and this one', f.server_addr,
            f.server_port, o.id)
        FROM session s JOIN session o ON o.id = s.hop_of JOIN flow f ON f.id = o.flow_id
        WHERE s.id = finding.session_id)
WHERE rule = 'upgrade-stripped-by-proxy' AND other_session_id IS NULL AND EXISTS (
    SELECT 1 FROM session s JOIN session o ON o.id = s.hop_of JOIN flow f ON f.id = o.flow_id
    WHERE s.id = finding.session_id AND o.offered IS NOT NULL);

-- ---- ws-accept-stale over ws-accept-wrong: the Accept belongs to the key of another session ----
DROP TABLE IF EXISTS temp.wrong_accept;
CREATE TEMP TABLE wrong_accept (finding_id, session_id, accept, right_id);
INSERT INTO wrong_accept (finding_id, session_id, accept)
SELECT x.id, x.session_id, a.value FROM finding x
JOIN header a ON a.session_id = x.session_id AND a.message = 'response'
    AND a.name = 'Sec-WebSocket-Accept'
WHERE x.rule = 'ws-accept-wrong' AND x.session_id IS NOT NULL;
CREATE INDEX temp.wrong_accept_value ON wrong_accept(accept);
UPDATE wrong_accept SET right_id = found.id FROM (
    SELECT w.rowid AS number, min(k.session_id) AS id FROM header k
    CROSS JOIN wrong_accept w ON w.accept = websocket_accept(k.value) AND w.session_id <> k.session_id
    WHERE k.name = 'Sec-WebSocket-Key' AND k.message = 'request'
    AND EXISTS (SELECT 1 FROM wrong_accept) GROUP BY w.rowid) found
WHERE found.number = wrong_accept.rowid;
UPDATE finding SET rule = 'ws-accept-stale', other_session_id = w.right_id,
    evidence = printf('%s is the answer to the key of session %d', w.accept, w.right_id)
FROM wrong_accept w WHERE w.finding_id = finding.id AND w.right_id IS NOT NULL;
DROP TABLE temp.wrong_accept;

-- ---- ws-origin-never-checked: one endpoint let two origins in ----
-- The host is compared, as for one origin (http and https, ports: the site's own). The second is
-- told, once per endpoint and capture; the hops behind a proxy are not asked.
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, other_session_id, sender,
    packet, offset, found_ns, evidence)
SELECT :capture, 'ws-origin-never-checked', o.id, o.layer_id, o.flow_id, o.first_id, 'server',
    o.response_packet, o.response_offset, coalesce(o.response_ns, 0),
    printf('%s in session %d and %s here were both let in', o.first_origin, o.first_id, o.origin)
FROM (
    SELECT s.*, f.server_addr, f.server_port,
        first_value(s.id) OVER endpoint AS first_id,
        first_value(s.origin) OVER endpoint AS first_origin,
        first_value(s.site) OVER endpoint AS first_site
    FROM flow f JOIN (
        SELECT *, lower(iif(behind LIKE '[%', substr(behind, 1, instr(behind, ']')),
            substr(behind, 1, instr(behind || ':', ':') - 1))) AS site
        FROM (SELECT *, substr(origin, iif(instr(origin, '://') > 0, instr(origin, '://') + 3, 1))
            AS behind FROM session)) s ON s.flow_id = f.id
    WHERE f.capture_id = :capture AND s.outcome = 'switched'
    AND s.mechanism IN ('upgrade', 'extended-connect')
    AND s.hop_of IS NULL AND typeof(s.origin) = 'text'
    AND EXISTS (SELECT 1 FROM websocket w WHERE w.session_id = s.id)
    WINDOW endpoint AS (PARTITION BY f.server_addr, f.server_port, lower(s.host), s.path
        ORDER BY s.id)) o
WHERE o.site <> o.first_site
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = o.id
    AND x.rule = 'ws-origin-never-checked')
GROUP BY o.server_addr, o.server_port, lower(o.host), o.path HAVING o.id = min(o.id);

-- ---- exfil-ratio: at least 1 MiB from the client, and 20 times what it got ----
-- A WebSocket is measured by its messages, another switch by its connection, where it is the only
-- attempt there.
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, sender, packet, offset,
    found_ns, evidence)
SELECT :capture, 'exfil-ratio', e.id, e.layer_id, e.flow_id, 'client', e.packet, e.offset, e.found_ns,
    printf('%d bytes from the client, %d from the server', e.out, e.back)
FROM (
    SELECT s.id, s.layer_id, s.flow_id, coalesce(s.response_packet, s.request_packet) AS packet,
        coalesce(s.request_offset, 0) AS offset, coalesce(s.end_ns, f.last_ns) AS found_ns,
        coalesce(w.client_message_bytes, f.client_bytes) AS out,
        coalesce(w.server_message_bytes, f.server_bytes) AS back
    FROM flow f JOIN session s ON s.flow_id = f.id LEFT JOIN websocket w ON w.session_id = s.id
    WHERE f.capture_id = :capture AND s.outcome IN ('switched', 'unsolicited') AND s.hop_of IS NULL
    AND (w.session_id IS NOT NULL OR NOT EXISTS (
        SELECT 1 FROM session t WHERE t.flow_id = f.id AND t.id <> s.id))) e
WHERE e.out >= 1048576 AND e.out >= 20 * e.back
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = e.id AND x.rule = 'exfil-ratio');

-- ---- beaconing: small messages of the client at a fixed period, for long ----
-- At least 12 data messages of at most 512 bytes over at least 5 minutes, one a second at most, whose
-- intervals differ from their mean by less than 5 % on average. Needs frames (not --detail sessions).
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, sender, packet, offset,
    found_ns, evidence)
SELECT :capture, 'beaconing', b.id, b.layer_id, b.flow_id, 'client', b.packet, b.offset, b.last_ns,
    printf('%d messages, one every %.1f s, jitter %.1f %%', b.messages, b.mean / 1e9,
        b.jitter * 100 / b.mean)
FROM (
    SELECT m.*, max(m.sent_ns) AS last_ns, avg(abs(m.apart - m.mean)) AS jitter
    FROM (
        SELECT t.*, avg(t.apart) OVER one AS mean, count(*) OVER one AS messages,
            max(t.length) OVER one AS longest, max(t.sent_ns) OVER one - min(t.sent_ns) OVER one
            AS span
        FROM (
            SELECT s.id, s.layer_id, s.flow_id, m.packet, m.offset, m.sent_ns,
                m.message_length AS length,
                m.sent_ns - lag(m.sent_ns) OVER (PARTITION BY s.id ORDER BY m.id) AS apart
            FROM flow f CROSS JOIN session s ON s.flow_id = f.id
            CROSS JOIN websocket w ON w.session_id = s.id
            CROSS JOIN frame m ON m.session_id = s.id
            WHERE f.capture_id = :capture AND s.hop_of IS NULL AND f.last_ns - f.first_ns >= 300000000000
            AND w.client_messages BETWEEN 12 AND (f.last_ns - f.first_ns) / 500000000
            AND w.client_message_bytes <= 512 * w.client_messages
            AND m.sender = 'client' AND m.message_opcode IN (1, 2)
            AND m.message_length > 2) t -- shorter ones are heartbeats: engine.io, STOMP
        WINDOW one AS (PARTITION BY t.id)) m
    WHERE m.messages >= 12 AND m.longest <= 512 AND m.span >= 300000000000 AND m.mean >= 1e9
    GROUP BY m.id) b
WHERE b.jitter < b.mean * 0.05
AND EXISTS (SELECT 1 FROM rule WHERE name = 'beaconing')
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = b.id AND x.rule = 'beaconing');
