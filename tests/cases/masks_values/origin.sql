-- Values that are listed, values that look like them, an empty text, a quote, and an enum whose label none of them is.
CREATE TYPE fund AS ENUM ('CAF', 'MSA', 'other', '');
CREATE DOMAIN code AS varchar(10);
CREATE TABLE affiliations (
    id integer PRIMARY KEY,
    a_text text,
    a_varchar varchar(10),
    a_char_5 char(5),
    a_name name,
    a_domain code,
    an_enum fund,
    never_null text NOT NULL,
    with_quotes text
);
CREATE INDEX affiliations_a_varchar ON affiliations (a_varchar);
INSERT INTO affiliations VALUES
    (1, 'CAF', 'CAF', 'CAF', 'CAF', 'CAF', 'CAF', 'CAF', $$l'été \ " 5 %s$$),
    (2, 'MSA', 'MSA', 'MSA', 'MSA', 'MSA', 'MSA', 'MSA', 'MSA'),
    (3, 'caf', 'caf', 'caf', 'caf', 'caf', 'other', '', 'CAF'),
    (4, 'CAF ', 'CAF ', ' CAF', ' CAF', 'CAF ', '', 'CAF' || chr(160), $$l'ete \ "$$),
    (5, '', '', '', '', '', NULL, '[autre]', ''),
    (6, NULL, NULL, NULL, NULL, NULL, NULL, 'Marie', NULL);
