-- Why upgrades failed: by path, outcome and cause, since a time (path= since=2026-01-31 host=)
SELECT count(*) AS times, path, outcome, cause, status, max(time) AS latest, max(id) AS example,
    verdict
FROM failed_switch
WHERE path GLOB coalesce(:path, '*') AND time >= coalesce(:since, '')
    AND coalesce(host, '') GLOB coalesce(:host, '*')
GROUP BY path, outcome, cause, status ORDER BY times DESC LIMIT coalesce(:limit, 50);
