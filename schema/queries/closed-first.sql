-- Which side ends sessions, how and with which code, by host
SELECT host, end_side, end_reason,
    CASE end_side WHEN 'server' THEN server_close_code ELSE client_close_code END AS code,
    count(*) AS sessions, round(avg(duration_s), 1) AS mean_duration_s
FROM session_summary
WHERE outcome = 'switched' AND end_reason IS NOT NULL
GROUP BY host, end_side, end_reason, code ORDER BY sessions DESC LIMIT coalesce(:limit, 50);
