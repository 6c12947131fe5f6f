-- Entries with a name and nothing else: all columns of these tables are keys.
CREATE TABLE agents (id integer PRIMARY KEY, email text UNIQUE);
CREATE TABLE territories (id integer PRIMARY KEY);
CREATE TABLE agent_territorial_roles (
    id integer PRIMARY KEY, agent_id integer NOT NULL REFERENCES agents, territory_id integer REFERENCES territories
);
CREATE TABLE links (agent_id integer REFERENCES agents, territory_id integer REFERENCES territories, PRIMARY KEY (agent_id, territory_id));
CREATE TABLE addressees (id integer PRIMARY KEY, email text REFERENCES agents (email));
CREATE TABLE years (id integer, year integer, PRIMARY KEY (id, year)) PARTITION BY LIST (year);
CREATE TABLE years_2026 PARTITION OF years FOR VALUES IN (2026);
CREATE TABLE without_columns ();
INSERT INTO agents VALUES (1, 'marie@exemple.org'), (2, 'jean@exemple.org');
INSERT INTO territories VALUES (7), (8);
INSERT INTO agent_territorial_roles VALUES (1, 1, 7), (2, 2, NULL);
INSERT INTO links VALUES (1, 7), (2, 8);
INSERT INTO addressees VALUES (1, 'marie@exemple.org'), (2, NULL);
INSERT INTO years VALUES (1, 2026);
