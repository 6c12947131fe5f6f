-- needs extension: citext
-- Masks of texts that are compared in ways in which patterns fail.
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN word AS citext;
CREATE DOMAIN folded AS text COLLATE any_case;
CREATE TABLE people (
    id integer PRIMARY KEY,
    post_code citext,
    ip citext,
    email citext,
    a_domain word NOT NULL,
    folded_code text COLLATE any_case,
    folded_ip text COLLATE any_case,
    folded_email text COLLATE any_case,
    a_folded folded NOT NULL
);
INSERT INTO people VALUES
    (1, '62000', '10.1.2.3', 'A@Gmail.com', 'A@CD62.fr', '62000', '10.1.2.3', 'A@Gmail.com', 'A@Ain.gouv.fr'),
    (2, '2A004', 'FE80::1', 'a@dupont.fr', '', '2A004', 'FE80::1', 'a@dupont.fr', ''),
    (3, '2a004', 'x', '', 'x', '2a004', '１0.1.2.3', '', 'a@AUTRE'),
    (4, NULL, NULL, NULL, 'x', NULL, NULL, NULL, 'x');
