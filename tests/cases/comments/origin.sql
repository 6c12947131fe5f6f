-- Comments of tables and columns are published, whatever they hold; those of other things are not.
CREATE TABLE users (id integer PRIMARY KEY, name text, city text, plain text);
COMMENT ON TABLE users IS E'L''usager, dit "user"\nou \\''usagère\\'' \t%s {} $1; DROP TABLE users; --';
COMMENT ON COLUMN users.id IS '';
COMMENT ON COLUMN users.name IS 'Nom de famille 👩‍👩‍👧';
COMMENT ON COLUMN users.city IS '$body$';
COMMENT ON INDEX users_pkey IS 'of the index';
COMMENT ON CONSTRAINT users_pkey ON users IS 'of the constraint';
CREATE TABLE versions (id integer PRIMARY KEY, item text);
COMMENT ON TABLE versions IS 'truncated';
COMMENT ON COLUMN versions.item IS 'truncated, too';
