-- E-mail addresses, written in many ways; only the domains of many people, and those that the file adds, are shown.
CREATE DOMAIN mail AS text;
CREATE TABLE people (
    id integer PRIMARY KEY,
    email text NOT NULL,
    a_varchar varchar(90),
    padded char(40),
    a_domain mail
);
CREATE INDEX by_email ON people (email);
INSERT INTO people VALUES
    (1, 'marie@gmail.com', 'paul@Orange.FR', 'a@laposte.net', 'a@free.fr'),
    (2, 'a@cd62.fr', 'a@maia.departement.fr', 'a@a.b.departement.fr', 'a@departement.fr'),
    (3, 'a@culture.gouv.fr', 'a@dgfip.finances.gouv.fr', 'a@gouv.fr', 'a@.gouv.fr'),
    (4, 'a@dupont.fr', 'a@cd62.fr.evil.org', 'a@notcd62.fr', 'a@a..gouv.fr'),
    (5, '"a@orange.fr"@gmail.com', 'Marie <marie@gmail.com>', 'marie@gmail.com.', ' marie@gmail.com '),
    (6, 'gmail.com', '@gmail.com', 'marie@', 'marie@@gmail.com'),
    (7, '', '', '', ''),
    (8, 'autre', NULL, NULL, NULL),
    (9, 'a@GMAİL.com', 'a@ｇmail.com', 'a@préfecture.gouv.fr', 'a@a_b.gouv.fr'),
    (10, 'a@x.gouv.fr b', E'a@gmail.com\nfree.fr', 'a@gmail.com, b@dupont.fr', 'a@gmail.com;'),
    (11, 'a@0123456789-123456789-123456789-123456789-123456789-1234.gouv.fr',
        'a@0123456789-123456789-123456789-123456789-123456789-12345.gouv.fr', 'a@marie dupont.gouv.fr', 'a@%.gouv.fr'),
    -- too long for one
    (12, repeat('a', 500) || '@gmail.com', '', '', repeat('a', 490) || '@gmail.com');
