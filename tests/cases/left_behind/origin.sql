-- Defaults, sequences, checks, triggers, rules, policies, functions, statistics and storage options stay in the origin.
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.city := 'touched'; RETURN NEW; END $$;
CREATE SEQUENCE numbers;
CREATE UNLOGGED TABLE users (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    serial_number serial,
    number integer NOT NULL DEFAULT nextval('numbers') CHECK (number > 0),
    city text DEFAULT 'Lyon' CONSTRAINT known CHECK (city <> ''),
    name text CHECK (length(name) < 10)
) WITH (fillfactor = 50);
CREATE TRIGGER touches BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE nothing AS ON DELETE TO users DO INSTEAD NOTHING;
CREATE STATISTICS related ON number, city FROM users;
ALTER TABLE users ALTER name SET STORAGE EXTERNAL;
ALTER TABLE users CLUSTER ON users_pkey;
GRANT SELECT ON users TO PUBLIC;
INSERT INTO users (name) VALUES ('Marie'), ('Jean');
CREATE POLICY only_lyon ON users USING (city = 'Lyon');
