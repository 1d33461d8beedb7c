-- Removes the captures of :fingerprint that no run finished, with all that belongs to them.
CREATE TEMP TABLE gone AS SELECT id FROM capture WHERE fingerprint = :fingerprint AND ended_ns IS NULL;
CREATE TEMP TABLE gone_flow AS
SELECT f.id FROM temp.gone g CROSS JOIN flow f ON f.capture_id = g.id;
CREATE TEMP TABLE gone_session AS
SELECT s.id FROM temp.gone_flow g CROSS JOIN session s ON s.flow_id = g.id;
UPDATE session SET hop_of = NULL WHERE hop_of IN (SELECT id FROM temp.gone_session);
UPDATE finding SET other_session_id = NULL
WHERE other_session_id IN (SELECT id FROM temp.gone_session);
DELETE FROM frame WHERE session_id IN (SELECT id FROM temp.gone_session);
DELETE FROM header WHERE session_id IN (SELECT id FROM temp.gone_session);
DELETE FROM websocket WHERE session_id IN (SELECT id FROM temp.gone_session);
DELETE FROM session WHERE id IN (SELECT id FROM temp.gone_session);
DELETE FROM continuation WHERE flow_id IN (SELECT id FROM temp.gone_flow);
DELETE FROM layer WHERE flow_id IN (SELECT id FROM temp.gone_flow);
DELETE FROM gap WHERE flow_id IN (SELECT id FROM temp.gone_flow);
DELETE FROM finding WHERE capture_id IN (SELECT id FROM temp.gone);
DELETE FROM flow WHERE capture_id IN (SELECT id FROM temp.gone);
DELETE FROM counter WHERE capture_id IN (SELECT id FROM temp.gone);
DELETE FROM capture_file WHERE capture_id IN (SELECT id FROM temp.gone);
DELETE FROM capture WHERE id IN (SELECT id FROM temp.gone);
DROP TABLE temp.gone;
DROP TABLE temp.gone_flow;
DROP TABLE temp.gone_session;
