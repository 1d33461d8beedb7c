-- What the layers of one connection show together and no single dissector sees: run after cross.sql.
-- Every statement may run again without changing anything more.

-- ---- addresses that are not global (RFC 6890) ----
CREATE TEMP TABLE IF NOT EXISTS private_address (pattern TEXT PRIMARY KEY);
INSERT OR IGNORE INTO private_address (pattern) VALUES
    ('10.*'), ('127.*'), ('169.254.*'), ('192.168.*'), ('0.*'), ('192.0.[02].*'), ('198.1[89].*'),
    ('198.51.100.*'), ('203.0.113.*'), ('172.1[6-9].*'), ('172.2[0-9].*'), ('172.3[01].*'),
    ('100.6[4-9].*'), ('100.[789][0-9].*'), ('100.1[01][0-9].*'), ('100.12[0-7].*'),
    ('22[4-9].*'), ('23[0-9].*'), ('24[0-9].*'), ('25[0-5].*'), ('::'), ('::1'), ('fe[89ab]*'),
    ('f[cdf]*'), ('2001:db8:*');

-- ---- ws-smuggling-fake-101: HTTP requests behind a 101 that was no answer to a handshake ----
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, sender, packet, offset,
    found_ns, evidence)
SELECT f.capture_id, 'ws-smuggling-fake-101', s.id, l.id, f.id, 'server', s.response_packet,
    s.response_offset, coalesce(s.response_ns, f.last_ns),
    printf('%s %s: 101 %s, then HTTP requests', s.method, s.path,
        iif(s.method <> 'GET', 'to a ' || s.method, 'without a valid Sec-WebSocket-Accept'))
FROM flow f JOIN session s ON s.flow_id = f.id JOIN layer l ON l.id = s.successor_id
LEFT JOIN websocket w ON w.session_id = s.id
WHERE f.capture_id = :capture AND s.status = 101 AND s.method IS NOT NULL
AND l.expected = 'websocket' AND l.protocol = 'http1'
AND (s.method <> 'GET' OR coalesce(w.accept_valid, 0) = 0)
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = s.id
    AND x.rule = 'ws-smuggling-fake-101');

-- ---- http-message-after-101: HTTP goes on behind a 101 for something else ----
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, sender, packet, offset,
    found_ns, evidence)
SELECT f.capture_id, 'http-message-after-101', s.id, l.id, f.id,
    iif(l.packet >= s.response_packet AND l.client_head IS NULL, 'server', 'client'), l.packet,
    l.server_offset, l.first_ns, printf('the 101 says %s', s.accepted)
FROM flow f JOIN session s ON s.flow_id = f.id JOIN layer l ON l.id = s.successor_id
WHERE f.capture_id = :capture AND s.status = 101 AND l.protocol = 'http1'
AND coalesce(l.expected, '') NOT IN ('http1', 'websocket')
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = s.id
    AND x.rule = 'http-message-after-101');

-- ---- upgrade-tunnel-inner-protocol: a WebSocket that carries another protocol ----
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, sender, packet, offset,
    found_ns, evidence)
SELECT f.capture_id, 'upgrade-tunnel-inner-protocol', s.id, l.id, f.id, 'client', l.packet, 0,
    l.first_ns, l.protocol || ' inside websocket'
FROM flow f JOIN layer l ON l.flow_id = f.id JOIN layer p ON p.id = l.parent_id
JOIN session s ON s.successor_id = p.id
WHERE f.capture_id = :capture AND l.relation = 'carry' AND p.protocol = 'websocket'
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = s.id
    AND x.rule = 'upgrade-tunnel-inner-protocol');

-- ---- connect-tunnel-inner-protocol: what a tunnel really carries ----
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, sender, packet, offset,
    found_ns, evidence)
SELECT f.capture_id, 'connect-tunnel-inner-protocol', s.id, l.id, f.id, 'client', l.packet,
    l.client_offset, l.first_ns, l.protocol
FROM flow f JOIN session s ON s.flow_id = f.id JOIN layer l ON l.id = s.successor_id
WHERE f.capture_id = :capture AND s.mechanism = 'connect' AND l.protocol <> 'opaque'
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = s.id
    AND x.rule = 'connect-tunnel-inner-protocol');

-- ---- plaintext-ws-to-public-address ----
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, sender, packet, offset,
    found_ns, evidence)
SELECT f.capture_id, 'plaintext-ws-to-public-address', s.id, s.layer_id, f.id, 'client',
    s.request_packet, coalesce(s.request_offset, 0), coalesce(s.request_ns, s.response_ns, f.first_ns),
    f.server_addr
FROM flow f JOIN session s ON s.flow_id = f.id JOIN layer l ON l.id = s.successor_id
WHERE f.capture_id = :capture AND s.mechanism IN ('upgrade', 'extended-connect')
AND l.protocol = 'websocket'
AND NOT EXISTS (SELECT 1 FROM layer t WHERE t.flow_id = f.id AND t.protocol = 'tls')
AND NOT EXISTS (SELECT 1 FROM private_address p WHERE f.server_addr GLOB p.pattern)
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = s.id
    AND x.rule = 'plaintext-ws-to-public-address');

-- ---- docker-api-exposed: attach or exec over the plain port, from another host ----
INSERT INTO finding (capture_id, rule, session_id, layer_id, flow_id, sender, packet, offset,
    found_ns, evidence)
SELECT f.capture_id, 'docker-api-exposed', s.id, s.layer_id, f.id, 'server', s.response_packet,
    coalesce(s.response_offset, 0), coalesce(s.response_ns, f.last_ns),
    printf('%s from %s on port 2375', s.path, f.client_addr)
FROM flow f JOIN session s ON s.flow_id = f.id
WHERE f.capture_id = :capture AND f.server_port = 2375 AND s.outcome = 'switched'
AND (s.mechanism = 'docker' OR lower(s.accepted) IN ('tcp', 'h2c'))
AND f.client_addr <> f.server_addr AND f.client_addr NOT GLOB '127.*' AND f.client_addr <> '::1'
AND NOT EXISTS (SELECT 1 FROM finding x WHERE x.session_id = s.id
    AND x.rule = 'docker-api-exposed');

-- ---- severities that depend on where it happened ----
-- Credentials on loopback, or where a proxy in front says that it spoke TLS, never crossed a network.
UPDATE finding SET severity = 'low', evidence = evidence || '; on loopback'
WHERE capture_id = :capture AND rule = 'cleartext-credentials-in-handshake' AND severity IS NULL
AND EXISTS (SELECT 1 FROM flow f WHERE f.id = finding.flow_id
    AND (f.client_addr GLOB '127.*' OR f.client_addr = '::1' OR f.client_addr = f.server_addr));
UPDATE finding SET severity = 'low'
WHERE capture_id = :capture AND rule = 'cleartext-credentials-in-handshake' AND severity IS NULL
AND evidence LIKE '%; the first hop was encrypted';
-- Where the hop in front was captured, its Host is the one that the browser asked for.
DELETE FROM finding
WHERE capture_id = :capture AND rule IN ('cswsh-cross-origin-accepted', 'cswsh-null-or-missing-origin')
AND EXISTS (SELECT 1 FROM session s WHERE s.id = finding.session_id AND s.hop_of IS NOT NULL);
-- A proxy on the client's own machine reaches what its client reaches anyway.
UPDATE finding SET severity = 'low'
WHERE capture_id = :capture AND rule = 'connect-to-private-address' AND severity IS NULL
AND EXISTS (SELECT 1 FROM flow f WHERE f.id = finding.flow_id
    AND (f.client_addr GLOB '127.*' OR f.client_addr = '::1'));
-- Behind a proxy that was not captured, Host may have been rewritten.
UPDATE finding SET severity = 'low'
WHERE capture_id = :capture AND rule = 'cswsh-cross-origin-accepted' AND severity IS NULL
AND evidence LIKE '%; a proxy may have rewritten Host'; -- at the end: Origin is in there, too
-- A server that forwards what it gets is a proxy: absolute form is right there (RFC 9112 3.2.2).
DELETE FROM finding
WHERE capture_id = :capture AND rule = 'ws-request-target-form'
AND evidence LIKE 'absolute form%' AND EXISTS (
    SELECT 1 FROM session i WHERE i.hop_of = finding.session_id);
-- A proxy has no reason to pass on any other protocol than websocket.
UPDATE finding SET severity = 'medium'
WHERE capture_id = :capture AND rule = 'upgrade-forwarded-by-proxy' AND severity IS NULL
AND EXISTS (SELECT 1 FROM session s WHERE s.id = finding.session_id
    AND lower(coalesce(s.offered, '')) NOT LIKE '%websocket%');

-- ---- what was sent behind an Upgrade request is told once ----
DELETE FROM finding
WHERE capture_id = :capture AND rule = 'ws-not-websocket-after-101' AND sender = 'client'
AND EXISTS (SELECT 1 FROM finding p WHERE p.session_id = finding.session_id
    AND p.rule = 'pipelined-after-upgrade' AND p.offset = finding.offset);

-- ---- one event, one finding: rules.def says which (temp.superseded is the program's) ----
DELETE FROM finding WHERE capture_id = :capture
AND rule IN (SELECT loser FROM temp.superseded) AND EXISTS (
    SELECT 1 FROM temp.superseded p JOIN finding w ON w.rule = p.winner
        AND w.session_id = finding.session_id
    WHERE p.loser = finding.rule AND (p.any_side OR w.sender IS finding.sender));

-- ---- capture-gap: one gap is told once, with its session and how the reading went on ----
UPDATE finding SET evidence = (SELECT g.evidence FROM finding g WHERE g.flow_id = finding.flow_id
        AND g.session_id IS NULL AND g.rule = 'capture-gap' AND g.sender = finding.sender)
    || '; ' || evidence
WHERE capture_id = :capture AND rule = 'capture-gap' AND session_id IS NOT NULL
AND EXISTS (SELECT 1 FROM finding g WHERE g.flow_id = finding.flow_id AND g.session_id IS NULL
    AND g.rule = 'capture-gap' AND g.sender = finding.sender);
DELETE FROM finding WHERE capture_id = :capture AND rule = 'capture-gap' AND session_id IS NULL
AND EXISTS (SELECT 1 FROM finding s WHERE s.flow_id = finding.flow_id AND s.session_id IS NOT NULL
    AND s.rule = 'capture-gap' AND s.sender = finding.sender);

-- ---- an answer that was not captured is no missing answer ----
UPDATE session SET verdict = 'unknown: ' || coalesce((
    SELECT min(f.evidence) FROM finding f
    WHERE f.rule = 'switch-unresolved' AND f.session_id = session.id), 'the answer was not captured')
WHERE outcome = 'unanswered' AND verdict LIKE 'unanswered%' AND id IN (
    SELECT session_id FROM finding WHERE capture_id = :capture AND rule = 'switch-unresolved');

-- ---- the verdict of both hops names the proxy that removed Upgrade ----
UPDATE session SET cause = 'stripped-header',
    verdict = substr(verdict, 1, instr(verdict || ';', ';') - 1) || (
        SELECT printf('; the proxy at %s:%d removed Upgrade%s', f.server_addr, f.server_port,
            iif(x.evidence LIKE '%(HTTP/1.0)%', ' and spoke HTTP/1.0; in nginx set '
                || 'proxy_http_version 1.1 and proxy_set_header Upgrade and Connection',
                '; it has to be told to pass Upgrade and Connection on'))
        FROM finding x JOIN session i ON i.id = x.session_id JOIN session o ON o.id = i.hop_of
        JOIN flow f ON f.id = o.flow_id
        WHERE x.rule = 'upgrade-stripped-by-proxy' AND session.id IN (i.id, o.id)
        ORDER BY x.id LIMIT 1)
WHERE outcome IN ('refused', 'ignored') AND verdict NOT LIKE '%; the proxy at %'
AND id IN (
    SELECT i.id FROM finding x JOIN session i ON i.id = x.session_id
    WHERE x.rule = 'upgrade-stripped-by-proxy' AND i.hop_of IS NOT NULL
    UNION SELECT i.hop_of FROM finding x JOIN session i ON i.id = x.session_id
    WHERE x.rule = 'upgrade-stripped-by-proxy' AND i.hop_of IS NOT NULL);
