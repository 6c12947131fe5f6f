-- The ends of what a type holds and the first year that is truncated, a leap day, a week of two years, days of 23 and 25 hours.
CREATE DOMAIN birthday AS date;
CREATE TABLE days (
    id integer PRIMARY KEY,
    of_year date,
    of_quarter date,
    of_month date NOT NULL,
    of_week date,
    of_domain birthday
);
CREATE INDEX days_of_year ON days (of_year);
INSERT INTO days SELECT id, value, value, coalesce(value, '2000-05-05'), value, value FROM (VALUES
    (1, date '2024-02-29'), (2, '2021-01-03'), (3, '2024-12-30'), (4, '0044-03-15 BC'), (5, '5874897-12-31'),
    (6, '4714-11-24 BC'), (7, 'infinity'), (8, '-infinity'), (9, NULL), (10, '4710-01-01 BC'), (11, '4711-12-31 BC')) AS days (id, value);
CREATE TABLE times (
    id integer PRIMARY KEY,
    of_day timestamp,
    of_week timestamp(0) NOT NULL,
    of_year timestamp(3)
);
INSERT INTO times SELECT id, value, coalesce(value, '2021-01-03 23:00'), value FROM (VALUES
    (1, timestamp '2024-02-29 23:59:59.999'), (2, '294276-12-31 12:00'), (3, '4714-11-24 BC'), (4, 'infinity'),
    (5, '-infinity'), (6, NULL), (7, '4710-01-01 BC'), (8, '4711-12-31 BC')) AS times (id, value);
CREATE TABLE moments (
    id integer PRIMARY KEY,
    of_day timestamptz,
    of_week timestamptz,
    of_month timestamptz(0),
    of_quarter timestamptz,
    of_year timestamptz
);
INSERT INTO moments SELECT id, value, value, value, value, value FROM (VALUES
    (1, timestamptz '2023-12-31 23:30+00'), (2, '2023-12-31 22:30+00'), (3, '2024-03-31 12:00+00'), (4, '2024-10-27 00:30+00'),
    (5, '2024-10-27 01:30+00'), (6, '1900-06-15 12:00+00'), (7, '4714-11-24 00:00+00 BC'), (8, 'infinity'), (9, '-infinity'),
    (10, NULL), (11, '4710-01-01 00:00+00 BC'), (12, '4711-12-31 12:00+00 BC')) AS moments (id, value);
