-- Whether the job still has its request and its pictures: where room is short they go first, and what answers a
-- repetition stays.
ALTER TABLE job ADD COLUMN whole INTEGER NOT NULL DEFAULT 1;
-- Whether its last status was delivered before and is only repeated now.
ALTER TABLE job ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_whole_by_end ON job (finished) WHERE finished IS NOT NULL AND whole = 1;
