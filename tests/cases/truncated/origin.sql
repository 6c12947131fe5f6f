-- A truncated table is published empty: its columns in their published types, its keys and indexes, no mask and no rule of a column.
CREATE TYPE event AS ENUM ('create', 'update');
CREATE TABLE users (id integer PRIMARY KEY);
CREATE TABLE versions (
    id bigserial PRIMARY KEY,
    item_type varchar(20) NOT NULL,
    event event NOT NULL DEFAULT 'create',
    whodunnit varchar(10)[],
    user_id integer REFERENCES users,
    object jsonb
);
CREATE UNIQUE INDEX by_item ON versions (item_type, event) WHERE event = 'create';
INSERT INTO users VALUES (1);
INSERT INTO versions (item_type, user_id, object) VALUES ('Marie', 1, '{"name": "Marie"}');
