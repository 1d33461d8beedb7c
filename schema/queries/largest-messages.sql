-- The largest messages (sender=client or server)
SELECT id, session_id, time, sender, opcode, length, fragments, compressed, host, path
FROM message
WHERE length >= coalesce(:least, 0) AND (:sender IS NULL OR sender = :sender)
ORDER BY length DESC LIMIT coalesce(:limit, 20);
