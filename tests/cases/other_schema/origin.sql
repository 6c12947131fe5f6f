-- origin schema: Odd "Schema"
-- An origin schema of another name; what stands in public is not read, be it named like what is.
CREATE SCHEMA "Odd ""Schema""";
CREATE TYPE "Odd ""Schema""".status AS ENUM ('new', 'closed');
CREATE TYPE public.status AS ENUM ('public');
CREATE TYPE public.kind AS ENUM ('small', 'large');
CREATE TABLE public.users (id integer PRIMARY KEY, name text, city text);
CREATE TABLE public.secrets (id integer PRIMARY KEY, name text);
CREATE TABLE "Odd ""Schema""".users (
    id integer PRIMARY KEY,
    name text UNIQUE,
    status "Odd ""Schema""".status NOT NULL,
    kind public.kind,
    owner regclass
);
CREATE TABLE "Odd ""Schema""".pg_class (id integer PRIMARY KEY, user_id integer REFERENCES "Odd ""Schema""".users);
CREATE INDEX where_status ON "Odd ""Schema""".users (id) WHERE status = 'new';
CREATE INDEX where_kind ON "Odd ""Schema""".users (id) WHERE kind = 'small';
CREATE INDEX by_user ON "Odd ""Schema""".pg_class (user_id);
INSERT INTO public.users VALUES (7, 'Marie', 'Lyon');
INSERT INTO "Odd ""Schema""".users VALUES (1, 'Jean', 'closed', 'large', '"Odd ""Schema""".users');
INSERT INTO "Odd ""Schema""".pg_class VALUES (2, 1);
