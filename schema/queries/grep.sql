-- Messages that contain a text (text=); capital letters matter
SELECT id, session_id, time, sender, opcode, length, host, path, substr(payload, 1, 200) AS payload
FROM message
WHERE instr(payload, coalesce(:text, '')) > 0 AND (:session IS NULL OR session_id = :session)
ORDER BY id LIMIT coalesce(:limit, 50);
