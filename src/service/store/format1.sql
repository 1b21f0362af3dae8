CREATE TABLE job (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    client TEXT NOT NULL,
    id TEXT NOT NULL,
    origin TEXT NOT NULL,
    correlation BLOB,
    hash BLOB NOT NULL,          -- SHA-256 of the payload as it came
    request TEXT NOT NULL,       -- the request with every default written out
    accepted INTEGER NOT NULL,   -- milliseconds since 1970
    started INTEGER,
    finished INTEGER,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    seq INTEGER NOT NULL,        -- number of the last status
    attempt INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    boot TEXT,                   -- boot of the machine in which it was last started
    cancel INTEGER NOT NULL DEFAULT 0,
    answer TEXT NOT NULL,        -- the newest status that a repeated request gets again
    UNIQUE (client, id)
);
CREATE INDEX job_by_turn ON job (state, priority DESC, key);
CREATE INDEX job_by_hash ON job (client, hash);
CREATE TABLE picture (
    job INTEGER NOT NULL REFERENCES job (key) ON DELETE CASCADE,
    k INTEGER NOT NULL,
    format TEXT NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (job, k)
);
CREATE TABLE mail (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL REFERENCES job (key) ON DELETE CASCADE,
    k INTEGER,                   -- index of a picture, or null for a status
    body TEXT                    -- the status, or null for a picture
);
CREATE INDEX mail_by_job ON mail (job, key);
CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
