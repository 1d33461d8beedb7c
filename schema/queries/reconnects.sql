-- Who connects to the same place more than ten times an hour (times=10)
SELECT client, host, path, substr(time, 1, 13) || ':00Z' AS hour, count(*) AS attempts,
    sum(outcome = 'switched') AS switched, min(id) AS first, max(id) AS last
FROM session_summary
GROUP BY client, host, path, hour HAVING count(*) > coalesce(:times, 10)
ORDER BY attempts DESC, hour LIMIT coalesce(:limit, 50);
