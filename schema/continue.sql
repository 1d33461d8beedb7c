-- Copies what is still open (temp.open_flow) of capture :capture from the file `before` into this
-- one, with its row ids. Frames stay where they are.
INSERT INTO main.setting SELECT * FROM before.setting WHERE name = 'secret_key'
ON CONFLICT (name) DO UPDATE SET value = excluded.value;
INSERT INTO main.capture SELECT * FROM before.capture WHERE id = :capture;
INSERT INTO main.counter SELECT * FROM before.counter WHERE capture_id = :capture;
INSERT INTO main.flow SELECT * FROM before.flow WHERE id IN (SELECT id FROM temp.open_flow);
INSERT INTO main.layer SELECT * FROM before.layer WHERE flow_id IN (SELECT id FROM temp.open_flow);
INSERT INTO main.session
SELECT * FROM before.session WHERE flow_id IN (SELECT id FROM temp.open_flow);
INSERT INTO main.header SELECT * FROM before.header WHERE session_id IN (SELECT id FROM main.session);
INSERT INTO main.websocket
SELECT * FROM before.websocket WHERE session_id IN (SELECT id FROM main.session);
INSERT INTO main.gap SELECT * FROM before.gap WHERE flow_id IN (SELECT id FROM temp.open_flow);
INSERT INTO main.finding
SELECT * FROM before.finding WHERE flow_id IN (SELECT id FROM temp.open_flow)
    OR (flow_id IS NULL AND capture_id = :capture);
UPDATE main.session SET hop_of = NULL WHERE hop_of NOT IN (SELECT id FROM main.session);
UPDATE main.finding SET frame_id = NULL WHERE frame_id IS NOT NULL;
UPDATE main.finding SET other_session_id = NULL
WHERE other_session_id NOT IN (SELECT id FROM main.session);
