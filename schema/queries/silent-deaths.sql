-- Sessions that ended without a close after a silence (seconds=60): idle limits of proxies, mostly
SELECT id, time, client, host, path, duration_s, idle_s, end_reason, end_side, verdict
FROM session_summary
WHERE outcome = 'switched' AND end_reason IN ('fin', 'rst', 'idle')
    AND idle_s >= coalesce(:seconds, 60)
ORDER BY idle_s DESC LIMIT coalesce(:limit, 50);
