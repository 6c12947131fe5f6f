-- What is not masked arrives as it was: extremes, special values, every bit.
SET lc_monetary = 'C';
CREATE TABLE numbers (
    id integer PRIMARY KEY,
    a_smallint smallint,
    an_integer integer,
    a_bigint bigint,
    a_numeric numeric,
    a_numeric_6_2 numeric(6,2),
    a_real real,
    a_double double precision,
    a_money money,
    a_boolean boolean,
    an_oid oid
);
INSERT INTO numbers VALUES
    (1, -32768, -2147483648, -9223372036854775808, '1e-100', -9999.99, 'NaN', 'NaN', '-92233720368547758.08', true, 4294967295),
    (2, 32767, 2147483647, 9223372036854775807, 'NaN', 9999.99, '-Infinity', 'Infinity', '92233720368547758.07', false, 0),
    (3, 0, 0, 0, 12345678901234567890.123456789000, 0.10, 1.1, 0.1, 0.01, NULL, NULL),
    (4, NULL, NULL, NULL, '1e100', 'NaN', '-0', 5e-324, NULL, NULL, NULL);
CREATE TABLE moments (
    id integer PRIMARY KEY,
    a_date date,
    a_time time,
    a_timetz timetz,
    a_timestamp timestamp,
    a_timestamptz timestamptz,
    a_timestamptz_3 timestamptz(3),
    an_interval interval
);
INSERT INTO moments VALUES
    (1, '-infinity', '00:00', '00:00+15:59', '-infinity', '-infinity', '-infinity', '0'),
    (2, 'infinity', '24:00', '24:00-15:59', 'infinity', 'infinity', 'infinity', '-178000000 years'),
    (3, '0044-03-15 BC', '23:59:59.999999', '12:00+02', '4713-11-24 00:00 BC', '0001-01-01 00:00+00 BC', '1999-12-31 23:59:59.9999+01',
     '1 mon -1 day 00:00:00.000001'),
    (4, '5874897-12-31', NULL, NULL, '294276-12-31 23:59:59.999999', '2024-03-31 02:30 Europe/Paris', NULL, '24:00');
CREATE TABLE texts (
    id integer PRIMARY KEY,
    a_text text,
    a_varchar_5 varchar(5)
);
INSERT INTO texts VALUES
    (1, '\.', '\.'),
    (2, E'tab\tline\nreturn\rbackslash\\ feed\fbell\b \\N \\x41', '\N'),
    (3, '''; DROP TABLE texts; --', $$';--"$$),
    (4, '%s %(id)s {} {0} $1 :id', '%s{}'),
    (5, 'Zoë, l’été, 日本, 👩‍👩‍👧 e' || U&'\0301', 'été👍'),
    (6, repeat('é|', 10), 'a|b,c');
CREATE TABLE others (
    id integer PRIMARY KEY,
    a_uuid uuid,
    a_bytea bytea,
    a_bit_3 bit(3),
    a_varbit bit varying,
    an_inet inet,
    a_cidr cidr,
    a_macaddr macaddr,
    a_macaddr8 macaddr8,
    a_point point,
    a_line line,
    a_lseg lseg,
    a_box box,
    a_path path,
    a_polygon polygon,
    a_circle circle,
    a_tsvector tsvector,
    a_tsquery tsquery,
    a_pg_lsn pg_lsn,
    an_xid xid,
    a_cid cid,
    an_xid8 xid8,
    a_tid tid,
    a_pg_snapshot pg_snapshot,
    a_jsonpath jsonpath,
    a_refcursor refcursor,
    an_int4range int4range,
    an_int8range int8range,
    a_numrange numrange,
    a_tsrange tsrange,
    a_tstzrange tstzrange,
    a_daterange daterange,
    an_int2vector int2vector,
    an_oidvector oidvector
);
INSERT INTO others VALUES
    (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff5c4e', '101', '1', '2001:db8::1/64', '2001:db8::/32', '08:00:2b:01:02:03',
     '08:00:2b:01:02:03:04:05', '(1e300,-0)', '{1,2,3}', '[(1,2),(3,4)]', '(3,4),(1,2)', '[(1,2),(3,4)]', '((1,2),(3,4))', '<(1,2),3>',
     '''l''''été'':1A,2B fat', '!cat & (rat <-> dog:*A)', 'FFFFFFFF/FFFFFFFF', '4294967295', '4294967295', '18446744073709551615',
     '(4294967294,65535)', '10:20:10,14,15', '$.a[*] ? (@ > 1)', 'c', '[1,5)', '(,)', '(1.5,2.50]', '[2024-01-01 00:00,infinity]',
     '[2024-01-01 00:00+01,)', '[-infinity,2024-01-01)', '1 -2', '1 2'),
    (2, '00000000-0000-0000-0000-000000000000', '', '000', '', '0.0.0.0/0', '0.0.0.0/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00',
     '(NaN,Infinity)', '{0,1,0}', '[(0,0),(0,0)]', '(0,0),(0,0)', '((0,0))', '((0,0))', '<(0,0),0>', '', '''''''''', '0/0', '0', '0', '0', '(0,0)',
     '1:1:', '$', '', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', '0', '0');
INSERT INTO others (id) VALUES (3);
