-- Indexes of frames. Keeping them up to date doubles the time of inserting, so that a new file gets
-- them when all its frames are there.
CREATE INDEX IF NOT EXISTS frame_session ON frame(session_id);
CREATE INDEX IF NOT EXISTS frame_control ON frame(session_id, opcode, rtt_ns) WHERE opcode >= 8;
