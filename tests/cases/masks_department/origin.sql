-- Postal codes and those of INSEE, each in a column of another type of the text family.
CREATE DOMAIN code AS varchar(5);
CREATE TABLE people (
    id integer PRIMARY KEY,
    post_code text,
    insee varchar(5) NOT NULL,
    padded char(8),
    a_domain code,
    in_c text COLLATE "C"
);
CREATE INDEX by_post_code ON people (post_code);
INSERT INTO people VALUES
    (1, '01000', '01053', '01000', '01000', '01000'),
    (2, ' 62400' || E'\t\r\n', '62119', '62400', '62400', '62400'),
    (3, '20000', '2A004', '20190', '20000', '20000'),
    (4, '20200', '2B033', '20600', '20200', '20200'),
    (5, '97400', '97411', '97133', '97500', '97600'),
    (6, '98800', '98818', '98600', '98700', '97800'),
    (7, '95000', '19272', '21000', '10000', '75383'),
    (8, '', '', '', '', ''),
    (9, NULL, '20700', NULL, NULL, NULL),
    -- what has no department: Monaco, a birth abroad, the army, lands where nobody lives, an old code, a new one
    (10, '98000', '99352', '00100', '98400', '98900'),
    (11, '96000', '20800', '97900', '97000', '00000'),
    -- what is no code
    (12, '1000', '2a004', '750010', '2C004', '2A04'),
    (13, '75 01', '7500A', 'F-75001', '75001', '75001 PARIS'),
    (14, '７５００１', '٧٥٠٠١', '75001x', E'7500\n', E'75001\u00a0'),
    (15, E'75001\n75002', '2A00A', '+7500', '-7500', '75.01'),
    -- too long for one
    (16, repeat(' ', 500) || '75001', '', '', '', repeat('7', 500000));
