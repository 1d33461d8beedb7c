-- Sessions that were open at a time (at=2026-01-31T14:00:00Z; without it, at the last opening)
SELECT id, time, client, host, path, accepted, duration_s, end_reason
FROM session_summary
WHERE outcome = 'switched' AND time <= coalesce(:at, (SELECT max(time) FROM session_summary))
    AND (duration_s IS NULL OR julianday(time) + (coalesce(handshake_ms, 0) / 1000 + duration_s)
        / 86400 >= julianday(coalesce(:at, (SELECT max(time) FROM session_summary))))
ORDER BY id LIMIT coalesce(:limit, 200);
