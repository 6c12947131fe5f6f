-- NOT NULL stays where a mask always has a value for a value, and goes where it may have none, with the primary key.
CREATE TABLE rooms (
    id integer NOT NULL UNIQUE,
    name text NOT NULL,
    size integer NOT NULL,
    opened date NOT NULL,
    kind text NOT NULL,
    price numeric NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (name, size)
);
CREATE TABLE doors (id integer PRIMARY KEY, room integer REFERENCES rooms (id), width integer);
INSERT INTO rooms VALUES (1, 'Marie', 5, '2020-02-03', 'flat', 50, 'red'), (2, 'Jean', 15, '2021-05-06', 'hall', 50, 'blue');
INSERT INTO rooms VALUES (3, 'Luc', 25, '2022-07-08', 'flat', 250, '');
INSERT INTO doors VALUES (1, 1, 90), (2, 3, 120);
