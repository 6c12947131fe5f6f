-- Keys that are called as 18 calls what it makes of NOT NULL, or as anything else that stands in the schema. An origin of 18
-- has them where its NOT NULLs have other names.
CREATE TYPE users_status_not_null AS ENUM ('new', 'closed');
CREATE TABLE users (
    id integer CONSTRAINT a NOT NULL,
    code integer CONSTRAINT b NOT NULL,
    name text CONSTRAINT c NOT NULL,
    status users_status_not_null CONSTRAINT d NOT NULL,
    boss_id integer CONSTRAINT e NOT NULL,
    CONSTRAINT users_code_not_null PRIMARY KEY (id),
    CONSTRAINT users_id_not_null UNIQUE (code),
    CONSTRAINT users_name_not_null UNIQUE (name),
    CONSTRAINT not_null_1 UNIQUE (code, id),
    CONSTRAINT users_boss_id_not_null1 UNIQUE (boss_id),
    CONSTRAINT users_boss_id_not_null FOREIGN KEY (boss_id) REFERENCES users
);
CREATE TABLE "users_code" ("not" integer CONSTRAINT a NOT NULL, "null" integer, CONSTRAINT "users_code_not_not_null" UNIQUE ("null"));
CREATE TABLE "a name of more than thirty bytes, é è à ù" (
    "a column of more than thirty bytes, é è à ù" integer CONSTRAINT a NOT NULL,
    CONSTRAINT "a name of more than thirty_a column of more than thir_not_null" UNIQUE ("a column of more than thirty bytes, é è à ù")
);
CREATE TABLE stays (id integer CONSTRAINT a NOT NULL, CONSTRAINT stays_id_not_null PRIMARY KEY (id)) PARTITION BY LIST (id);
CREATE TABLE stays_1 PARTITION OF stays DEFAULT;
INSERT INTO stays VALUES (1);
-- Constraints and relations have names of their own kind.
CREATE TABLE visits (id integer CONSTRAINT a NOT NULL, user_id integer, CONSTRAINT visits FOREIGN KEY (user_id) REFERENCES users,
                     CONSTRAINT users FOREIGN KEY (user_id) REFERENCES users);
CREATE UNIQUE INDEX visits_id_not_null ON visits (id);
CREATE INDEX users_boss ON users (boss_id) WHERE status = 'new';
CREATE TYPE _visits AS ENUM ('a');
CREATE TABLE pages (id integer PRIMARY KEY, kind _visits);
CREATE INDEX of_kind ON pages (id) WHERE kind = 'a';
INSERT INTO users VALUES (1, 10, 'Marie', 'new', 1);
INSERT INTO users_code VALUES (1, 2);
INSERT INTO "a name of more than thirty bytes, é è à ù" VALUES (1);
INSERT INTO visits VALUES (1, 1);
