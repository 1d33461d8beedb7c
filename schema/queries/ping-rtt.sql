-- Round trips of ping and pong, by session and by the side that answered (session=)
SELECT session_id, sender AS answered_by, count(*) AS pongs, round(min(rtt_ns) / 1e6, 3) AS min_ms,
    round(avg(rtt_ns) / 1e6, 3) AS mean_ms, round(max(rtt_ns) / 1e6, 3) AS max_ms
FROM frame
WHERE opcode = 10 AND opcode >= 8 AND rtt_ns IS NOT NULL
    AND (:session IS NULL OR session_id = :session)
GROUP BY session_id, sender ORDER BY max_ms DESC LIMIT coalesce(:limit, 50);
