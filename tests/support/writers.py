"""Writers that never stop: sessions that change an origin's rows in every way that Postgres has, while runs read them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import errors

from tests.support.gates import PATIENCE

ORIGIN = """
CREATE TYPE mood AS ENUM ('calm', 'glad', 'sad');
CREATE TYPE spot AS (city text, floor int);
CREATE TABLE users (
    id int PRIMARY KEY,
    email text UNIQUE,
    slug text NOT NULL UNIQUE,
    mood mood,
    tags text[],
    document jsonb,
    spot spot,
    boss_id int REFERENCES users ON UPDATE CASCADE ON DELETE SET NULL,
    notes text
);
CREATE INDEX ON users (boss_id);
CREATE TABLE visits (
    user_id int REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE, number int, note text, PRIMARY KEY (user_id, number)
);
CREATE TABLE tokens (
    id uuid PRIMARY KEY, user_id int REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE, secret text, at timestamptz
);
CREATE INDEX ON tokens (user_id);
CREATE TABLE words (word text PRIMARY KEY, meaning text, "Length" int GENERATED ALWAYS AS (length(word)) STORED);
CREATE TABLE ranks (id bigint PRIMARY KEY, rank int NOT NULL, UNIQUE (rank) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE prices (amount numeric NOT NULL, currency char(3) NOT NULL, note text, UNIQUE (amount, currency));
CREATE TABLE events (what text, secret text, amount numeric);
CREATE TABLE clicks (what text, amount int);
CREATE TABLE nodes (id int PRIMARY KEY, parent int REFERENCES nodes ON DELETE CASCADE, secret text);
CREATE TABLE measures (day date, id int, value numeric, secret text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE measures_1 PARTITION OF measures FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE measures_2 PARTITION OF measures FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE measures_3 PARTITION OF measures DEFAULT;
CREATE TABLE places (id int PRIMARY KEY, name text);
CREATE SCHEMA archive;
CREATE TABLE archive.places () INHERITS (places);
CREATE TABLE settings (name text PRIMARY KEY, value jsonb);
CREATE TABLE people (
    id int PRIMARY KEY, state mood, born date, post_code text, children int, latitude numeric, last_ip inet, mail text,
    email text, caisse text, settings jsonb, name text, note text
);
INSERT INTO people SELECT n, 'calm', '1980-01-01'::date + 99 * n, lpad((n * 300)::text, 5, '0'), n % 9, n / 7.0,
                          '10.0.0.0'::inet + 999 * n, n || '@orange.fr', n || '@exemple.org', 'CAF', '{"theme": 1}', 'name',
                          'note' FROM generate_series(1, 300) AS n;
INSERT INTO users SELECT n, 'u' || n || '@exemple.org', 's' || n, 'calm', '{a,b}', '{"a": 1}', ROW('Lyon', n)::spot,
                         nullif(n / 10, 0), repeat('note ' || n, 30) FROM generate_series(1, 300) AS n;
INSERT INTO visits SELECT n % 300 + 1, n, 'visit' FROM generate_series(1, 600) AS n;
INSERT INTO tokens SELECT lpad(to_hex(n), 32, '0')::uuid, n, 'secret', '2026-01-01' FROM generate_series(1, 300) AS n;
INSERT INTO words SELECT 'word' || n, 'meaning' FROM generate_series(1, 200) AS n;
INSERT INTO ranks SELECT n, n FROM generate_series(1, 100) AS n;
INSERT INTO prices SELECT n, 'EUR', 'note' FROM generate_series(1, 100) AS n;
INSERT INTO events SELECT 'event', 'secret', n FROM generate_series(1, 60) AS n;
INSERT INTO clicks SELECT 'click', n % 9 FROM generate_series(1, 200) AS n;
INSERT INTO nodes SELECT n, nullif(n / 2, 0), 'secret' FROM generate_series(1, 100) AS n;
INSERT INTO measures SELECT '2026-01-01'::date + n % 90, n, n, 'secret' FROM generate_series(1, 300) AS n;
INSERT INTO places SELECT n, 'place' FROM generate_series(1, 30) AS n;
INSERT INTO archive.places SELECT n, 'place' FROM generate_series(20, 50) AS n;
INSERT INTO settings SELECT 'setting' || n, '{"a": 1}' FROM generate_series(1, 100) AS n;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [email, notes]
    non_anonymized_column_names: [slug, mood, tags, document, spot]
  - table_name: visits
    anonymized_column_names: [note]
    masks: {note: {values: [visit], only_when: {number: ['1', '2', '3', '4', '5']}}}
  - table_name: tokens
    anonymized_column_names: [secret, at]
    masks: {at: {period: month}}
  - table_name: words
    non_anonymized_column_names: [meaning, Length]
  - table_name: ranks
    non_anonymized_column_names: [rank]
  - table_name: prices
    non_anonymized_column_names: [amount, currency, note]
  - table_name: events
    anonymized_column_names: [secret]
    non_anonymized_column_names: [what, amount]
  - table_name: clicks
    non_anonymized_column_names: [what, amount]
  - table_name: nodes
    anonymized_column_names: [secret]
  - table_name: measures
    anonymized_column_names: [secret, value]
    masks: {value: {bands: 10}}
  - table_name: places
    non_anonymized_column_names: [name]
  - table_name: settings
    non_anonymized_column_names: [value]
  - table_name: people
    anonymized_column_names: [born, post_code, children, latitude, last_ip, mail, email, caisse, settings, name, note]
    non_anonymized_column_names: [state]
    masks:
      born: {period: quarter}
      post_code: department
      children: {bands: [0, 1, 3]}
      latitude: {round: 1}
      last_ip: network
      mail: domain
      email: {pseudonym: person_email}
      caisse: {values: [CAF, MSA]}
      settings: {keys: [theme]}
      name: {only_when: {state: [glad]}}
      note: {values: [note], only_when: {state: [glad, sad]}}
"""
# what sessions that write the same rows do to each other; anything else is a fault of the test
CONFLICTS = (errors.IntegrityError, errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
_LEVELS = ("READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
_BREATH = 0.03  # seconds between two transactions of a writer: a run needs some of the machine too
_FREE = 2  # writers that never leave a transaction open: a round waits for what they do

Connection = psycopg.Connection[Any]
# what a writer does at once; `one`, `other` and `new` are any of the numbers that rows may have
_CHANGES: tuple[LiteralString, ...] = (
    """UPDATE users SET mood = 'glad', document = document || '{"b": 2}' WHERE id = %(one)s""",
    "UPDATE users SET notes = notes || 'x' WHERE id BETWEEN %(one)s AND %(one)s + 9",
    "UPDATE users SET email = %(word)s WHERE id = %(one)s",
    "UPDATE users SET id = %(new)s WHERE id = %(one)s",
    "UPDATE users SET boss_id = %(other)s WHERE id = %(one)s",
    "DELETE FROM users WHERE id = %(one)s",
    "DELETE FROM users WHERE id = %(one)s; INSERT INTO users (id, slug) VALUES (%(new)s, 's' || %(one)s)",
    """INSERT INTO users (id, email, slug, tags) VALUES (%(new)s, 'u' || %(new)s, 's' || %(new)s, ARRAY[%(word)s])
       ON CONFLICT (id) DO UPDATE SET tags = excluded.tags""",
    # two rows swap a unique value
    """UPDATE users SET slug = 'between ' || txid_current() WHERE slug = 's' || %(one)s;
       UPDATE users SET slug = 's' || %(one)s WHERE slug = 's' || %(other)s;
       UPDATE users SET slug = 's' || %(other)s WHERE slug = 'between ' || txid_current()""",
    "SELECT FROM users WHERE id BETWEEN %(one)s AND %(one)s + 20 FOR UPDATE",
    "SELECT FROM users WHERE id BETWEEN %(one)s AND %(one)s + 20 FOR KEY SHARE",
    "INSERT INTO visits VALUES (%(one)s, %(new)s, %(word)s)",
    "UPDATE visits SET number = number + 1000 WHERE user_id = %(one)s",
    "UPDATE visits SET user_id = %(other)s WHERE user_id = %(one)s",
    "DELETE FROM visits WHERE user_id = %(one)s",
    "INSERT INTO tokens VALUES (%(uuid)s, %(one)s, %(word)s, now())",
    "DELETE FROM tokens WHERE user_id BETWEEN %(one)s AND %(one)s + 5",
    "UPDATE tokens SET at = now() WHERE user_id BETWEEN %(one)s AND %(one)s + 5",
    "INSERT INTO words VALUES (%(word)s, 'new') ON CONFLICT DO NOTHING",
    "UPDATE words SET word = %(word)s WHERE word = 'word' || %(one)s",
    "DELETE FROM words WHERE word IN ('word' || %(one)s, %(word)s)",
    "INSERT INTO words VALUES ('word' || %(new)s, 'back') ON CONFLICT (word) DO UPDATE SET meaning = 'again'",
    "UPDATE ranks SET rank = 101 - rank",
    """UPDATE ranks SET rank = CASE rank WHEN %(one)s THEN %(other)s ELSE %(one)s END
       WHERE rank IN (%(one)s, %(other)s) AND 101 > ALL (ARRAY[%(one)s, %(other)s])""",
    "UPDATE prices SET amount = round(amount, %(one)s %% 4) WHERE amount = %(other)s %% 100",
    """DELETE FROM prices WHERE amount = %(one)s %% 100;
       INSERT INTO prices VALUES (%(other)s %% 100, 'USD', %(word)s)""",
    "INSERT INTO prices VALUES (%(one)s %% 100, 'EUR', %(word)s)",
    "INSERT INTO nodes VALUES (%(one)s %% 150, %(other)s %% 150, 'secret')",
    "DELETE FROM nodes WHERE id = %(one)s %% 150",
    "UPDATE nodes SET parent = %(other)s %% 150 WHERE id = %(one)s %% 150",
    "INSERT INTO measures VALUES ('2026-01-01'::date + %(other)s %% 90, %(new)s, %(one)s, 'secret')",
    "UPDATE measures SET day = '2026-01-01'::date + %(other)s %% 90 WHERE id = %(one)s",
    "UPDATE measures SET value = value + 1 WHERE id BETWEEN %(one)s AND %(one)s + 9",
    "DELETE FROM measures WHERE id = %(one)s",
    """UPDATE people SET born = born + %(other)s, children = %(new)s %% 9, latitude = latitude + 1, caisse = 'MSA'
       WHERE id = %(one)s""",
    """UPDATE people SET post_code = lpad((%(new)s * 200)::text, 5, '0'), last_ip = last_ip + %(other)s,
       mail = %(word)s || '@free.fr' WHERE id BETWEEN %(one)s AND %(one)s + 5""",
    "UPDATE people SET email = %(word)s || '@exemple.org', name = %(word)s, note = %(word)s WHERE id = %(one)s",
    """UPDATE people SET settings = settings || jsonb_build_object(%(word)s::text, 1, 'theme', %(new)s), caisse = %(word)s
       WHERE id = %(one)s""",
    """UPDATE people SET state = CASE state WHEN 'glad' THEN 'sad'::mood WHEN 'sad' THEN 'calm'::mood ELSE 'glad'::mood END
       WHERE id BETWEEN %(one)s AND %(one)s + 9""",
    "UPDATE people SET state = NULL, born = NULL, email = NULL WHERE id = %(one)s",
    "DELETE FROM people WHERE id = %(one)s; INSERT INTO people (id, mail, name) VALUES (%(new)s, %(word)s, %(word)s)",
    "COPY",  # see _apply
)
# what makes a table be taken whole: few do it, or nothing else would be tried
_SELDOM: tuple[LiteralString, ...] = (
    "INSERT INTO clicks VALUES (%(word)s, %(one)s)",
    """DELETE FROM clicks WHERE amount = %(one)s %% 9;
       INSERT INTO clicks SELECT 'click', %(one)s %% 9 FROM generate_series(1, 20)""",
    "UPDATE events SET amount = amount + 1 WHERE amount = %(one)s %% 60",
    "DELETE FROM events WHERE amount = %(one)s %% 60; INSERT INTO events VALUES (%(word)s, 'secret', %(other)s %% 60)",
    "INSERT INTO archive.places VALUES (%(one)s %% 50, 'of both')",
    "DELETE FROM ONLY places WHERE id = %(one)s %% 50",
    "INSERT INTO places VALUES (%(one)s %% 50, 'new')",
)


class Writers:
    """Four sessions that write without pause until they are stopped, of which two leave transactions open across runs.

    What each does follows from the seed, when it does so does not: a test counts what they did, and waits for more.
    """

    def __init__(self, url: str, seed: int, count: int = 4) -> None:
        """Prepare `count` writers."""
        self.done = 0
        self.held = 0
        self._url = url
        self._round = 0
        self._is_over = False
        self._failures: list[BaseException] = []
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._write, args=(Random(seed * 10 + n), n)) for n in range(count)]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Have them write; raise what any of them could not do."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()
            for thread in self._threads:
                thread.join()
        for failure in self._failures:
            raise failure

    def wait(self, transactions: int) -> None:
        """Begin a new round, and wait until they have committed some more transactions."""
        with self._changed:
            self._round += 1
            self._changed.notify_all()
            wanted = self.done + transactions
            assert self._changed.wait_for(lambda: self.done >= wanted or self._failures, PATIENCE), "the writers stand still"
        for failure in self._failures:
            raise failure

    def _write(self, random: Random, number: int) -> None:
        try:
            with psycopg.connect(
                self._url, autocommit=True, options="-c lock_timeout=20ms", cursor_factory=psycopg.ClientCursor
            ) as connection:
                while not self._is_over:
                    with suppress(*CONFLICTS):
                        try:
                            self._transact(connection, random, may_hold=number >= _FREE)
                        finally:
                            connection.execute("ROLLBACK")
                    time.sleep(_BREATH)
        except BaseException as failure:
            with self._changed:
                self._failures.append(failure)
                self._changed.notify_all()

    def _transact(self, connection: Connection, random: Random, *, may_hold: bool) -> None:
        connection.execute(f"BEGIN ISOLATION LEVEL {random.choice(_LEVELS)}".encode())
        self._change_some(connection, random)
        if may_hold and random.random() < 0.3:
            self._hold(random.randint(1, 3))
            self._change_some(connection, random)
        if random.random() < 0.15:
            return
        connection.execute("COMMIT")
        with self._changed:
            self.done += 1
            self._changed.notify_all()

    def _change_some(self, connection: Connection, random: Random) -> None:
        """Change some rows, each in the transaction itself or in one inside it, which may be rolled back."""
        for _ in range(random.randint(1, 4)):
            if random.random() < 0.6:
                _apply(connection, random)
                continue
            connection.execute("SAVEPOINT within")
            try:
                _apply(connection, random)
            except CONFLICTS:
                connection.execute("ROLLBACK TO within")
                continue
            connection.execute(random.choice([b"ROLLBACK TO within", b"RELEASE within", b"SELECT"]))

    def _hold(self, rounds: int) -> None:
        """Leave the transaction open until some more rounds have begun."""
        with self._changed:
            self.held += 1
            wanted = self._round + rounds
            self._changed.wait_for(lambda: self._round >= wanted or self._is_over)


def _apply(connection: Connection, random: Random) -> None:
    """Change one or more rows."""
    change = random.choice(_CHANGES if random.random() < 0.95 else _SELDOM)
    one, other, new = (random.randint(1, 400) for _ in range(3))
    word = random.choice(["a", "b", "", "é", "'", "\t"]) + str(random.randint(0, 9))
    uuids = [UUID(int=random.getrandbits(128)) for _ in range(5)]
    if change == "COPY":
        with connection.cursor() as cursor, cursor.copy("COPY tokens FROM STDIN") as copy:
            for uuid in uuids:
                copy.write_row([uuid, None, "copied", None])
    else:
        connection.execute(change, {"one": one, "other": other, "new": new, "word": word, "uuid": uuids[0]})


TABLES = (
    *("users", "visits", "tokens", "words", "ranks", "prices", "events", "clicks", "nodes", "places", "settings"),
    *("people", "measures_1", "measures_2", "measures_3"),
)
_REWRITES: tuple[LiteralString, ...] = (
    "VACUUM FULL users",
    "VACUUM FULL events",
    "VACUUM FULL measures_2",
    "CLUSTER visits USING visits_pkey",
)
_ALTERATIONS: tuple[LiteralString, ...] = (
    *_REWRITES,
    *(
        "VACUUM FULL clicks",
        "VACUUM FULL archive.places",
        "CLUSTER words USING words_pkey",
        "VACUUM FULL ranks",
        "VACUUM FULL nodes",
    ),
    "TRUNCATE clicks; INSERT INTO clicks SELECT 'anew', n FROM generate_series(1, 150) AS n",
    "TRUNCATE measures_2",
    "ALTER TABLE measures DETACH PARTITION measures_1; UPDATE measures_1 SET value = 0 WHERE id < 50; "
    "ALTER TABLE measures ATTACH PARTITION measures_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
)


class Keeper:
    """What an origin's owner does besides: vacuums all the time, now and then rewrites a table."""

    def __init__(self, url: str, seed: int) -> None:
        """Prepare it."""
        self._url = url
        self._random = Random(seed)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._vacuum, args=(Random(seed + 1),))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Vacuum and freeze tables in turn."""
        self._thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._thread.join()

    def alter(self) -> bool:
        """Rewrite, truncate, or detach and attach a table; tell whether the writers let it."""
        return self._do(self._random.choice(_ALTERATIONS))

    def rewrite(self) -> bool:
        """Rewrite a table; tell whether the writers let it."""
        return self._do(self._random.choice(_REWRITES))

    def _do(self, statement: LiteralString) -> bool:
        with psycopg.connect(self._url, autocommit=True, options="-c lock_timeout=200ms") as connection:
            with suppress(*CONFLICTS):
                connection.execute(statement)
                return True
        return False

    def _vacuum(self, random: Random) -> None:
        with psycopg.connect(self._url, autocommit=True, options="-c lock_timeout=20ms") as connection:
            while not self._is_over.wait(0.02):
                how = random.choice(["VACUUM", "VACUUM (FREEZE)", "VACUUM (FREEZE, DISABLE_PAGE_SKIPPING)", "ANALYZE"])
                with suppress(*CONFLICTS):
                    connection.execute(f"{how} {random.choice(TABLES)}".encode())
