-- Foreign keys survive, but for those from or towards a masked column, a truncated table, another schema, a key that is gone.
CREATE SCHEMA other;
CREATE TABLE other.things (id integer PRIMARY KEY);
CREATE TABLE agents (id integer PRIMARY KEY, email text UNIQUE, code integer NOT NULL UNIQUE, city text, number integer,
                     UNIQUE (city, number));
CREATE TABLE versions (id integer PRIMARY KEY, item_id integer REFERENCES agents, email text);
CREATE TABLE secrets (id integer PRIMARY KEY, owner_id integer REFERENCES agents);
CREATE TABLE includes (id integer, label text);
CREATE UNIQUE INDEX by_id_with_label ON includes (id) INCLUDE (label);
CREATE TABLE rdvs (
    id integer PRIMARY KEY,
    agent_id integer NOT NULL,
    agent_email text,
    agent_code integer,
    masked_agent_id integer REFERENCES agents,
    masked_agent_id_never_null integer NOT NULL REFERENCES agents,
    parent_id integer,
    version_id integer REFERENCES versions,
    secret_id integer REFERENCES secrets,
    thing_id integer REFERENCES other.things,
    include_id integer REFERENCES includes (id),
    agent_city text,
    agent_number integer,
    CONSTRAINT cascading FOREIGN KEY (agent_id) REFERENCES agents ON DELETE CASCADE ON UPDATE SET NULL,
    CONSTRAINT deferred FOREIGN KEY (agent_id) REFERENCES agents DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT to_masked_text FOREIGN KEY (agent_email) REFERENCES agents (email),
    CONSTRAINT to_masked_number FOREIGN KEY (agent_code) REFERENCES agents (code),
    CONSTRAINT "to itself" FOREIGN KEY (parent_id) REFERENCES rdvs,
    CONSTRAINT composite FOREIGN KEY (agent_number, agent_city) REFERENCES agents (number, city) MATCH FULL
);
INSERT INTO other.things VALUES (1);
INSERT INTO agents VALUES (1, 'a@a.fr', 10, 'Lyon', 1);
INSERT INTO versions VALUES (1, 1, 'a@a.fr');
INSERT INTO secrets VALUES (5, 1);
INSERT INTO includes VALUES (3, 'x');
INSERT INTO rdvs VALUES (1, 1, 'a@a.fr', 10, 1, 1, NULL, 1, 5, 1, 3, 'Lyon', 1), (2, 1, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL);
SET CONSTRAINTS ALL IMMEDIATE;
-- One that was never true of all rows.
ALTER TABLE rdvs ADD orphan_id integer DEFAULT 404;
ALTER TABLE rdvs ADD CONSTRAINT not_valid FOREIGN KEY (orphan_id) REFERENCES agents NOT VALID;
CREATE INDEX by_agent ON rdvs (agent_id);
