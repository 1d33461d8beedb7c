-- Bytes and what compression saved, by subprotocol
SELECT subprotocol, count(*) AS sessions, sum(extensions LIKE '%permessage-deflate%') AS compressed,
    sum(client_message_bytes + server_message_bytes) AS message_bytes,
    sum(client_bytes + server_bytes) AS wire_bytes,
    round(100.0 - 100.0 * sum(client_bytes + server_bytes)
        / nullif(sum(client_message_bytes + server_message_bytes), 0), 1) AS saved_percent
FROM session_summary WHERE client_frames IS NOT NULL
GROUP BY subprotocol ORDER BY wire_bytes DESC LIMIT coalesce(:limit, 50);
