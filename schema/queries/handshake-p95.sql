-- How long the hosts take to answer an attempt, the slowest first (least=: sessions at least)
SELECT host, sessions, p50_ms, p95_ms, p99_ms, max_ms
FROM host_latency
WHERE sessions >= coalesce(:least, 1)
ORDER BY p95_ms DESC LIMIT coalesce(:limit, 50);
