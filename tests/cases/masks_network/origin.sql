-- Addresses in types of their own and in texts, and what looks like one.
CREATE DOMAIN address AS inet;
CREATE TABLE visits (
    id integer PRIMARY KEY,
    ip inet NOT NULL,
    net cidr,
    a_domain address,
    a_text text,
    a_varchar varchar(45) NOT NULL,
    padded char(20)
);
CREATE INDEX by_ip ON visits (ip);
INSERT INTO visits VALUES
    (1, '10.1.2.3', '10.1.2.0/24', '10.1.2.3', '10.1.2.3', '10.1.2.3', '10.1.2.3'),
    (2, '10.1.2.3/16', '10.1.0.0/16', '10.1.2.3/32', '10.1.2.3/24', '10.1.2.3/16', '10.1.2.3/32'),
    (3, '10.1.2.3/8', '10.0.0.0/8', '0.0.0.0/0', '10.1.2.3/8', '10.1.2.3/0', '10.1.2.3/15'),
    (4, '2001:db8:1:2::3', '2001:db8:1::/48', '2001:db8:1:2::3', '2001:DB8:1:2::3', '2001:db8:1:2::3/64', '2001:db8::'),
    (5, '2001:db8::1/20', '2001::/16', '::/0', '2001:db8::1/20', '1:2:3:4:5:6:7:8', '1::'),
    (6, '::1', '::/128', '::ffff:10.1.2.3', '::1', '::', '::ffff:10.1.2.3'),
    (7, 'fe80::1', NULL, NULL, '', '', ''),
    (8, '0.0.0.0', NULL, NULL, NULL, '255.255.255.255', NULL),
    -- no addresses: a zone, a port, a list, zeros in front, numbers too big, groups too many, too few, too long
    (9, '1.2.3.4', NULL, NULL, 'fe80::1%eth0', '1.2.3.4:80', '1.2.3.4, 5.6.7.8'),
    (10, '1.2.3.4', NULL, NULL, '010.1.1.1', '256.1.1.1', '1.2.3'),
    (11, '1.2.3.4', NULL, NULL, '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7', '12345::'),
    (12, '1.2.3.4', NULL, NULL, '1::2::3', '[::1]:80', ':::'),
    (13, '1.2.3.4', NULL, NULL, '1.2.3.4/33', '::/129', '::1:'),
    (14, '1.2.3.4', NULL, NULL, '１.2.3.4', E'1.2.3.4\n', ':1:2:3:4:5:6:7'),
    (15, '1.2.3.4', NULL, NULL, 'unknown', ' 1.2.3.4', '1.2.3.4/08'),
    (16, '1.2.3.4', NULL, NULL, '::ffff:1.2.3.456', '::ffff::192.0.2.1', ':'),
    -- too long for one
    (17, '1.2.3.4', NULL, NULL, repeat('1', 500000), '', '');
