-- A key that refers to an anonymized column holds its values: without a rule it is anonymized too, and keys no mask.
CREATE TABLE users (id integer PRIMARY KEY, ssn bigint UNIQUE, twice bigint GENERATED ALWAYS AS (ssn * 2) STORED UNIQUE);
CREATE TABLE cases (id integer PRIMARY KEY, ssn bigint REFERENCES users (ssn), twice bigint REFERENCES users (twice));
CREATE TABLE profiles (ssn bigint PRIMARY KEY REFERENCES users (ssn), note text);
CREATE TABLE remarks (id integer PRIMARY KEY, profile bigint DEFAULT 7 REFERENCES profiles);
CREATE TABLE visits (id integer, profile bigint REFERENCES profiles, PRIMARY KEY (id)) PARTITION BY LIST (id);
CREATE TABLE visits_1 PARTITION OF visits DEFAULT;
CREATE TABLE agents (id integer PRIMARY KEY, ssn bigint UNIQUE REFERENCES users (ssn));
CREATE TABLE offices (id integer PRIMARY KEY, agent bigint REFERENCES agents (ssn));
INSERT INTO users VALUES (1, 1830275), (2, 2900175);
INSERT INTO cases VALUES (1, 1830275, 3660550), (2, NULL, NULL);
INSERT INTO profiles VALUES (1830275, 'Marie'), (2900175, 'Jean');
INSERT INTO remarks VALUES (1, 1830275), (2, NULL);
INSERT INTO visits VALUES (1, 1830275);
INSERT INTO agents VALUES (1, 2900175);
INSERT INTO offices VALUES (1, 2900175);
