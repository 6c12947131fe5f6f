-- One person in several spellings, values of each type that fits, what is empty, and what refers to a pseudonym.
CREATE TABLE people (
    id integer PRIMARY KEY,
    email varchar(40),
    phone text,
    nir char(20) NOT NULL,
    uid uuid,
    matricule bigint
);
INSERT INTO people VALUES
    (1, 'Marie@Example.org', '06 12 34 56 78', '2850175', '0188c0de-5a1f-7000-8000-00000000abcd', 12345678901),
    (2, ' marie@example.org', '+33 (0)6 12 34 56 78', ' 2850175 ', NULL, 0),
    (3, ' ', 'aucun', '', NULL, NULL),
    (4, NULL, NULL, '1', NULL, -1);
