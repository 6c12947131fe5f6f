-- Index definitions are read by everyone who can log in: none quotes a value of a masked column, wherever the constant stands.
CREATE TABLE users (
    id integer PRIMARY KEY,
    email text,
    year integer,
    score numeric,
    sal float8,
    dropped text,
    address2 text,
    status text,
    plain integer
);
ALTER TABLE users DROP COLUMN dropped;
INSERT INTO users VALUES (1, 'marie@x.fr', 1983, 0.73, 0.8125, 'Lyon', 'active', 7);
CREATE INDEX by_first ON users (plain) WHERE 1983 = year;
CREATE INDEX by_fraction ON users (plain) WHERE score = 0.73;
CREATE INDEX by_cast ON users (plain) WHERE sal = 0.8125::float8;
CREATE INDEX by_list ON users (plain) WHERE year IN (0, 1983);
CREATE INDEX by_difference ON users (plain) WHERE (year - 1983) = 0;
CREATE INDEX by_expression ON users ((year - 1983), plain);
CREATE INDEX by_argument ON users (plain, coalesce(year, 1983));
CREATE INDEX by_text ON users (plain) WHERE email = 'marie@x.fr';
CREATE INDEX by_row ON users (plain) WHERE users.* = ROW(1, 'marie@x.fr', 1983, 0.73, 0.8125, 'Lyon', 'active', 7)::users;
CREATE INDEX by_row_of_key ON users ((users.* = ROW(1, 'marie@x.fr', 1983, 0.73, 0.8125, 'Lyon', 'active', 7)::users));
-- These say nothing of a masked value.
CREATE UNIQUE INDEX kept_of_active ON users (email) WHERE status = 'active';
CREATE INDEX kept_of_digits ON users (md5(address2), plain) WHERE float8(year) > 0 AND email <> '';
CREATE INDEX kept_beside ON users (lower(email), (plain + 12)) WHERE plain > 1983;
CREATE TABLE tokens (id integer PRIMARY KEY, token text);
CREATE INDEX by_token ON tokens ((tokens.* = ROW(1, 'secret')::tokens));
