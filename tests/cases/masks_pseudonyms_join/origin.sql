-- Equal values of one domain have equal pseudonyms: keys stay keys, and what refers to them still does.
CREATE TABLE people (email text PRIMARY KEY, phone text UNIQUE, city text);
CREATE TABLE letters (id integer PRIMARY KEY, email varchar(40) REFERENCES people, copy_to text REFERENCES people (email));
CREATE TABLE calls (id integer PRIMARY KEY, phone text REFERENCES people (phone), caller text REFERENCES people);
CREATE TABLE visits (person bigint, shop uuid, at date, PRIMARY KEY (person, shop));
CREATE TABLE notes (id integer PRIMARY KEY, person integer, shop uuid, FOREIGN KEY (person, shop) REFERENCES visits);
CREATE UNIQUE INDEX people_lower ON people (lower(email));
CREATE INDEX people_phone ON people (phone);
CREATE UNIQUE INDEX people_in_city ON people (city, email) WHERE phone IS NOT NULL;
CREATE INDEX visits_next ON visits ((person + 0)) WHERE at IS NOT NULL;
INSERT INTO people VALUES ('Marie@Exemple.org', '01 23 45 67 89', 'Lyon'), ('jean@exemple.org', NULL, 'Lyon');
INSERT INTO letters VALUES (1, 'Marie@Exemple.org', 'jean@exemple.org'), (2, NULL, 'Marie@Exemple.org');
INSERT INTO calls VALUES (1, '01 23 45 67 89', 'jean@exemple.org'), (2, NULL, NULL);
INSERT INTO visits VALUES (7, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2024-05-06'), (8, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', NULL);
INSERT INTO notes VALUES (1, 7, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), (2, NULL, NULL);
