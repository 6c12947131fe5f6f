-- needs extension: citext
-- A citext is compared as the text that it is published as.
CREATE DOMAIN login AS citext;
CREATE TABLE users (id integer PRIMARY KEY, fund citext, login login, name text);
INSERT INTO users VALUES
    (1, 'CAF', 'CAF', 'Marie'),
    (2, 'caf', 'caf', 'Paul'),
    (3, '', '', 'Léa'),
    (4, NULL, NULL, NULL);
