-- A natural key of a truncated table is in no key that refers to it; numbers and uuids are, to count by.
CREATE DOMAIN secret AS text;
CREATE TABLE access_tokens (
    token secret PRIMARY KEY,
    id bigserial UNIQUE,
    uuid uuid UNIQUE,
    nir numeric(15) UNIQUE,
    parent secret REFERENCES access_tokens,
    UNIQUE (id, nir)
);
CREATE TABLE calls (
    token secret REFERENCES access_tokens,
    token_id bigint REFERENCES access_tokens (id),
    token_uuid uuid REFERENCES access_tokens (uuid),
    kept_token text REFERENCES access_tokens,
    PRIMARY KEY (token)
);
CREATE TABLE retries (id integer PRIMARY KEY, call secret NOT NULL REFERENCES calls);
CREATE TABLE visits (
    id integer,
    token_id bigint,
    nir numeric(15),
    PRIMARY KEY (id),
    FOREIGN KEY (token_id, nir) REFERENCES access_tokens (id, nir)
) PARTITION BY LIST (id);
CREATE TABLE visits_1 PARTITION OF visits DEFAULT;
CREATE TABLE users (ssn bigint PRIMARY KEY);
CREATE TABLE sessions (ssn bigint PRIMARY KEY REFERENCES users);
CREATE TABLE pages (id integer PRIMARY KEY, ssn bigint REFERENCES sessions);
INSERT INTO access_tokens VALUES ('s3cret', 1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 183027500000000, NULL);
INSERT INTO calls VALUES ('s3cret', 1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 's3cret');
INSERT INTO retries VALUES (1, 's3cret');
INSERT INTO visits VALUES (1, 1, 183027500000000);
INSERT INTO users VALUES (1830275);
INSERT INTO sessions VALUES (1830275);
INSERT INTO pages VALUES (1, 1830275);
