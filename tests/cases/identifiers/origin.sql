-- Names that need quotes, or would be taken for something else.
CREATE TYPE "Kind of %s" AS ENUM ('a b', 'c');
CREATE TABLE "User" ("ID" integer PRIMARY KEY, "First Name" text, "e""mail" text, "id" integer UNIQUE);
CREATE TABLE "user" (id integer PRIMARY KEY, "First Name" text, "first name" text);
CREATE TABLE "select" ("from" integer PRIMARY KEY, "where" text, "table" integer REFERENCES "user" (id), "user" text);
CREATE TABLE "a.b" ("c.d" integer PRIMARY KEY, "%s" text, "{}" text, "$1" text, "a\b" text, ":x" text, "100%" "Kind of %s");
CREATE TABLE "it's ""quoted""" ("it's" integer PRIMARY KEY, "--" text, "/*" text, ";" text, "," text);
CREATE TABLE "Été à l’ouest" ("né(e)" date, "prénom" text, "👩‍👩‍👧" integer PRIMARY KEY, "日本" text);
CREATE TABLE "un nom de table dont la longueur est de soixante-trois octets !"
    ("une colonne dont le nom fait exactement soixante-trois octets !" integer PRIMARY KEY, " x " text, "USING" text, "a WHERE b" text);
CREATE TABLE public.pg_class (oid integer PRIMARY KEY, relname text);
CREATE TABLE element (id integer PRIMARY KEY, "row" text, element text);
CREATE INDEX "Index on "" %s {}" ON "a.b" ("%s", "{}", lower("a\b")) WHERE "100%" = 'a b';
CREATE INDEX " USING btree (x)" ON "un nom de table dont la longueur est de soixante-trois octets !" ("USING", "a WHERE b");
CREATE UNIQUE INDEX "un index dont le nom fait exactement soixante-trois octets… !" ON "select" ("where");
CREATE INDEX by_relname ON public.pg_class (relname);
CREATE INDEX "né" ON "Été à l’ouest" ("né(e)" DESC, "日本");
ALTER TABLE "select" ADD CONSTRAINT "une clé étrangère !" FOREIGN KEY ("table") REFERENCES "User" ("id");
COMMENT ON TABLE "it's ""quoted""" IS 'it''s';
COMMENT ON COLUMN "it's ""quoted"""."--" IS '%s {}';
INSERT INTO "User" VALUES (1, 'Marie', 'm@m.fr', 7);
INSERT INTO "user" VALUES (7, 'Marie', 'Lyon');
INSERT INTO "select" VALUES (1, 'Marie', 7, 'Lyon');
INSERT INTO "a.b" VALUES (1, 'Marie', 'Marie', 'Marie', 'Marie', 'Marie', 'a b');
INSERT INTO "it's ""quoted""" VALUES (1, 'Marie', 'Marie', 'Lyon', 'Lyon');
INSERT INTO "Été à l’ouest" VALUES ('1999-12-31', 'Marie', 1, 'Lyon');
INSERT INTO "un nom de table dont la longueur est de soixante-trois octets !" VALUES (1, 'Marie', 'Lyon', 'Lyon');
INSERT INTO public.pg_class VALUES (1, 'Marie');
INSERT INTO element VALUES (1, 'Marie', 'Lyon');
