-- One plain table for a partitioned one, under the root's rules, with the root's keys, indexes and comments.
CREATE SCHEMA archive;
CREATE TABLE users (id integer PRIMARY KEY);
INSERT INTO users VALUES (1), (2);
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    created_on date NOT NULL,
    user_id integer REFERENCES users,
    email text,
    PRIMARY KEY (id, created_on)
) PARTITION BY RANGE (created_on);
COMMENT ON TABLE events IS 'by year';
COMMENT ON COLUMN events.email IS 'of the user';
CREATE TABLE events_2023 PARTITION OF events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (created_on);
CREATE TABLE events_2024_may PARTITION OF events_2024 FOR VALUES IN ('2024-05-01');
CREATE TABLE events_2024_others PARTITION OF events_2024 DEFAULT;
CREATE TABLE archive.events_2022 PARTITION OF events FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
-- Its columns are in another order, and it has an index of its own.
CREATE TABLE events_default (email text, user_id integer, id bigint NOT NULL, created_on date NOT NULL);
ALTER TABLE events ATTACH PARTITION events_default DEFAULT;
CREATE INDEX only_here ON events_default (email);
ALTER TABLE events_2023 ADD CONSTRAINT town FOREIGN KEY (user_id) REFERENCES users;
CREATE INDEX by_user ON events (user_id, created_on DESC);
CREATE UNIQUE INDEX by_email ON events (email, created_on);
CREATE INDEX never_valid ON ONLY events (created_on);
INSERT INTO events (created_on, user_id, email) VALUES
    ('2024-05-01', 1, 'a@a.fr'), ('2024-06-01', 2, 'b@b.fr'), ('2023-05-01', 1, ''), ('2022-05-01', 2, NULL), ('1999-05-01', NULL, 'c@c.fr');
CREATE TABLE notes (id integer PRIMARY KEY, event_id bigint, created_on date, FOREIGN KEY (event_id, created_on) REFERENCES events);
INSERT INTO notes VALUES (1, 1, '2024-05-01');
CREATE TABLE hashed (id integer PRIMARY KEY, name text) PARTITION BY HASH (id);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT n, 'Marie' FROM generate_series(1, 4) AS n;
CREATE TABLE without_partitions (id integer, name text) PARTITION BY LIST (id);
CREATE TABLE dropped_rows (id integer PRIMARY KEY, name text) PARTITION BY LIST (id);
CREATE TABLE dropped_rows_1 PARTITION OF dropped_rows DEFAULT;
INSERT INTO dropped_rows VALUES (1, 'Marie');
