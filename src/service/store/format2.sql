-- The place in the order of work: `due` is when the job came, less a minute for each step of its priority.
ALTER TABLE job ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
-- Milliseconds since 1970 after which a job that still waits has expired.
ALTER TABLE job ADD COLUMN not_after INTEGER;
-- The topic below which the answers go instead of the usual one.
ALTER TABLE job ADD COLUMN reply TEXT;
UPDATE job SET
    due = accepted - priority * 60000,
    not_after = CAST(round(unixepoch(json_extract(request, '$.not_after'), 'subsec') * 1000) AS INTEGER);

-- A request may hold pictures of megabytes: by itself it is not written again with every change of its job.
CREATE TABLE request (
    job INTEGER PRIMARY KEY REFERENCES job (key) ON DELETE CASCADE,
    body TEXT NOT NULL           -- the request with every default written out
);
INSERT INTO request SELECT key, request FROM job;
ALTER TABLE job DROP COLUMN request;

DROP INDEX job_by_turn;
CREATE INDEX job_by_client ON job (client);
CREATE INDEX job_by_due ON job (client, due) WHERE state = 'queued';
CREATE INDEX job_by_deadline ON job (not_after) WHERE state = 'queued' AND not_after IS NOT NULL;
CREATE INDEX job_by_end ON job (finished) WHERE finished IS NOT NULL;
CREATE INDEX job_running ON job (client) WHERE state = 'running';

-- What would take too long to count or to look for. The triggers keep it.
CREATE TABLE client (
    name TEXT PRIMARY KEY,
    turn INTEGER NOT NULL,       -- the client with the lowest is served first; rises when one of its jobs begins
    open INTEGER NOT NULL,       -- number of its jobs that wait or run
    head INTEGER                 -- the least `due` of its queued jobs, null if there are none
);
CREATE INDEX client_by_turn ON client (turn, head) WHERE head IS NOT NULL;
CREATE INDEX client_by_head ON client (head) WHERE head IS NOT NULL;
INSERT INTO client (name, turn, open, head)
    SELECT client, -1, sum(state IN ('queued', 'running')), min(CASE state WHEN 'queued' THEN due END)
    FROM job GROUP BY client ORDER BY min(key);
INSERT INTO fact (name, value) SELECT 'open', count(*) FROM job WHERE state IN ('queued', 'running');

-- A client that is new stands before the one that was served last, and behind all others that wait: if it stood before
-- all, ever new clients could keep the others waiting for ever.
CREATE TRIGGER job_came AFTER INSERT ON job BEGIN
    INSERT OR IGNORE INTO client (name, turn, open)
        VALUES (new.client, coalesce((SELECT value FROM fact WHERE name = 'turn'), 0) - 1, 0);
    UPDATE client SET open = open + 1, head = min(coalesce(head, new.due), new.due) WHERE name = new.client;
    UPDATE fact SET value = value + 1 WHERE name = 'open';
END;
CREATE TRIGGER job_moved AFTER UPDATE OF state ON job BEGIN
    UPDATE client SET
        open = open + (new.state IN ('queued', 'running')) - (old.state IN ('queued', 'running')),
        head = (SELECT min(due) FROM job WHERE client = new.client AND state = 'queued')
        WHERE name = new.client;
    UPDATE fact SET value = value + (new.state IN ('queued', 'running')) - (old.state IN ('queued', 'running'))
        WHERE name = 'open' AND (new.state IN ('queued', 'running')) <> (old.state IN ('queued', 'running'));
END;
-- Only jobs that have ended are ever deleted.
CREATE TRIGGER job_went AFTER DELETE ON job
WHEN NOT EXISTS (SELECT 1 FROM job WHERE client = old.client) BEGIN
    DELETE FROM client WHERE name = old.client;
END;

-- The file comes last: what stands behind it in a row could only be read by walking through it.
ALTER TABLE picture RENAME TO picture1;
CREATE TABLE picture (
    key INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES job (key) ON DELETE CASCADE,
    k INTEGER NOT NULL,
    format TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    size INTEGER NOT NULL,       -- bytes of the file
    sha256 TEXT NOT NULL,
    seed INTEGER NOT NULL,
    part_bytes INTEGER NOT NULL, -- 0 if it goes as a whole
    push INTEGER NOT NULL,       -- whether the parts go without being asked for
    bytes BLOB NOT NULL,
    UNIQUE (job, k)
);
-- What format 1 did not keep of a picture stands in the status that told of it.
INSERT INTO picture (job, k, format, width, height, size, sha256, seed, part_bytes, push, bytes)
    SELECT picture1.job, picture1.k, picture1.format,
        coalesce(told.value ->> 'width', 0), coalesce(told.value ->> 'height', 0), length(picture1.bytes),
        coalesce(told.value ->> 'sha256', ''), coalesce(told.value ->> 'seed', 0), 0, 1, picture1.bytes
    FROM picture1 JOIN job ON job.key = picture1.job
    LEFT JOIN json_each(job.answer, '$.images') AS told ON told.value ->> 'k' = picture1.k;
DROP TABLE picture1;

-- Parts `next` to `last` of a picture; part -1 is its manifest.
ALTER TABLE mail ADD COLUMN next INTEGER;
ALTER TABLE mail ADD COLUMN last INTEGER;
-- 0 for a status without a picture of its own job before it, which goes before all others; else 1.
ALTER TABLE mail ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
UPDATE mail SET rank = 1 WHERE k IS NOT NULL OR EXISTS (
    SELECT 1 FROM mail AS before WHERE before.job = mail.job AND before.key < mail.key AND before.k IS NOT NULL
);
CREATE INDEX mail_by_rank ON mail (rank);

CREATE TABLE upload (
    key INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    name TEXT NOT NULL,
    time INTEGER NOT NULL,       -- milliseconds since 1970
    bytes BLOB NOT NULL,
    UNIQUE (client, name)
);
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
