"""Make origins that look like two real products, and fill them with invented people."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from faker import Faker
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

APPS = ("rdvs", "rdvi")
SHOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "rdvs": ("users", ("id", "first_name", "email", "birth_date", "post_code", "number_of_children", "notes")),
    "rdvi": ("users", ("id", "first_name", "email", "birth_date", "nir", "tags")),
}
# People whom both apps know, counted without a name
BOTH = """
SELECT post_code AS department, extract(decade FROM rdvs.users.birth_date) || '0s' AS born, count(*) AS people
FROM rdvs.users JOIN rdvi.users USING (email)
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2
"""

# How many rows each table has, parents first. The organisations and the tables that are not larger do not scale.
ROWS = {
    "rdvs": {
        "territories": 8,
        "services": 8,
        "territory_services": 24,
        "organisations": 64,
        "agents": 400,
        "agent_roles": 400,
        "motif_categories": 6,
        "motifs": 256,
        "lieux": 192,
        "plage_ouvertures": 1200,
        "motifs_plage_ouvertures": 1200,
        "absences": 800,
        "users": 6000,
        "user_profiles": 6000,
        "rdvs": 8000,
        "agents_rdvs": 8000,
        "participations": 8000,
        "prescripteurs": 600,
        "receipts": 9000,
        "file_attentes": 500,
        "webhook_endpoints": 30,
        "api_calls": 4000,
        "exports": 120,
        "versions": 3000,
        "good_jobs": 300,
        "schema_migrations": 50,
        "ar_internal_metadata": 2,
    },
    "rdvi": {
        "departments": 8,
        "organisations": 40,
        "agents": 200,
        "agent_connections": 2000,
        "motif_categories": 6,
        "users": 4000,
        "users_organisations": 4000,
        "follow_ups": 4000,
        "invitations": 5000,
        "rdvs": 3000,
        "participations": 3000,
        "orientations": 1200,
        "user_list_uploads": 80,
        "user_list_upload_user_rows": 2000,
        "versions": 1500,
        "schema_migrations": 40,
    },
}

# What a day changes in rdvs
CHANGES = (
    "update users set notes = 'A déménagé, demander sa nouvelle adresse.', updated_at = now() where id % 100 = 35",
    "update rdvs set status = 'seen', updated_at = now() where id % 100 = 64",
)

T = TypeVar("T")

TODAY = datetime(2025, 6, 30, tzinfo=UTC)
POOL = 2000
# Every fourth user of each app is known to the other one too, under another number.
SHARED = 4

DEPARTMENTS = (
    ("35", "Ille-et-Vilaine", "Rennes", "Bretagne"),
    ("64", "Pyrénées-Atlantiques", "Pau", "Nouvelle-Aquitaine"),
    ("62", "Pas-de-Calais", "Arras", "Hauts-de-France"),
    ("2A", "Corse-du-Sud", "Ajaccio", "Corse"),
    ("77", "Seine-et-Marne", "Melun", "Île-de-France"),
    ("26", "Drôme", "Valence", "Auvergne-Rhône-Alpes"),
    ("974", "La Réunion", "Saint-Denis", "La Réunion"),
    ("89", "Yonne", "Auxerre", "Bourgogne-Franche-Comté"),
)
SERVICES = (
    ("Protection maternelle et infantile", "PMI"),
    ("Service social", "Social"),
    ("Insertion", "RSA"),
    ("Médiation numérique", "Numérique"),
    ("État civil", "Mairie"),
    ("Aide sociale à l'enfance", "ASE"),
    ("Autonomie", "MDPH"),
    ("Accès aux droits", "Droits"),
)
CATEGORIES = (
    ("RSA orientation", "rsa_orientation"),
    ("RSA accompagnement", "rsa_accompagnement"),
    ("RSA signature CER", "rsa_cer_signature"),
    ("RSA suivi", "rsa_follow_up"),
    ("Atelier collectif", "rsa_atelier"),
    ("SIAE entretien", "siae_interview"),
)
MOTIFS = ("Premier entretien", "Suivi", "Consultation enfant", "Carte d'identité", "Aide en ligne", "Bilan annuel")
PLACES = ("Maison des solidarités", "CCAS", "Espace France Services", "Mairie annexe", "Centre médico-social")
MAIL_HOSTS = ("courriel.example", "boite.example", "lettre.example")
BROWSERS = ("Firefox/139.0 (X11; Linux)", "Chrome/137.0 (Windows NT 10.0)", "Safari/18.5 (iPhone)")

NOTES = (
    "Rappeler au {phone} après 17 h, demander {relative} (sa sœur).",
    "{title} {name} lit mal le français : {relative} traduit, {phone}.",
    "Hébergement chez {relative} {name}, {street} à {city}.",
    "Écrire à {email}, pas de courrier à l'adresse du conjoint.",
    "Vient avec {relative}, 7 ans. Fauteuil : salle du rez-de-chaussée.",
    "Séparation en cours, ne donner l'adresse ({street}) à personne.",
    "A manqué deux RDV : maladie. Tuteur : {relative} {other}, {phone}.",
)
CONTEXTS = (
    'Demande d\'aide pour le loyer.\nPropriétaire : {relative} {other}, "pressé".',
    "{title} {name} vient avec {relative} ; prévenir au {phone}.",
    "Suite du RDV avec {relative} {other} : dossier C:\\RSA\\{name} à compléter.",
    "Perte d'emploi le mois dernier.\tRappeler au {phone}.",
)
MESSAGES = (
    "{title} {name}, votre RDV est confirmé. Lieu : {city}. Annuler : https://rdv.example/r/{token}",
    "Rappel : RDV demain pour {relative} {name} à {city}. Tél. {phone}",
)
TITLES = ("Permanence de {relative} {other}", "Congés de {relative}", "Formation chez {other}", "Visite à {name}")
REASONS = ("Garde d'enfant : {relative}", "Déménagement à {city}", "Demande de {title} {name}", "Santé de {relative}")
TAGS = ("suivi par {relative} {other}", "sans permis", "à rappeler au {phone}", "QPV {city}")


class Person(NamedTuple):
    """An invented person."""

    title: str
    first_name: str
    last_name: str
    phone: str
    street: str
    post_code: str
    city: str
    birth_date: date


@dataclass(frozen=True)
class Draw:
    """What the values of one row are made from."""

    number: int
    random: Random
    counts: Mapping[str, int]
    person: Person
    other: Person
    moment: datetime
    both: int | None = None  # the number that a person has in both apps

    def pick(self, table: str) -> int:
        """Return the number of a row of another table, of this row's organisation where there are enough."""
        organisations, count = self.counts["organisations"], self.counts[table]
        if count < organisations:
            return 1 + self.random.randrange(count)
        # Row n of every table is of organisation n modulo their number, so that composite keys find their parent.
        return 1 + (self.number - 1) % organisations + organisations * self.random.randrange(count // organisations)

    def nth(self, values: Sequence[T]) -> T:
        """Return the value whose turn it is at this row."""
        return values[(self.number - 1) % len(values)]

    def token(self, length: int) -> str:
        """Return some hexadecimal digits."""
        return f"{self.random.getrandbits(4 * length):0{length}x}"

    @property
    def email(self) -> str:
        """Return an address that no other row of the table has, at a host that cannot exist."""
        number = self.both or self.number
        host = MAIL_HOSTS[(number - 1) % len(MAIL_HOSTS)]
        return f"{_plain(self.person.first_name)}.{_plain(self.person.last_name)}{number}@{host}"

    def text(self, templates: Sequence[str]) -> str:
        """Return one of some sentences, with people in it."""
        return self.tell(self.random.choice(templates))

    def tell(self, template: str) -> str:
        """Return a sentence with this row's people in it."""
        person, other = self.person, self.other
        return template.format(
            title=person.title,
            name=person.last_name,
            relative=other.first_name,
            other=other.last_name,
            phone=other.phone,
            street=other.street,
            city=other.city,
            email=self.email,
            token=self.token(8),
        )


Maker = Callable[[Draw], object]


def seldom(share: float, maker: Maker) -> Maker:
    """Return a maker that leaves all but a share of the rows without a value."""
    return lambda d: maker(d) if d.random.random() < share else None


def _uuid(draw: Draw) -> UUID:
    return UUID(int=draw.random.getrandbits(128), version=4)


def _start(draw: Draw) -> datetime:
    """Return the beginning of an appointment, some weeks after it was made."""
    day = draw.moment + timedelta(days=draw.number % 40)
    return day.replace(hour=8 + draw.number % 9, minute=draw.nth((0, 15, 30)), second=0, microsecond=0)


def _nir(draw: Draw) -> str:
    """Return a social security number with a right check key, which no other row has."""
    sex = 1 if draw.person.title == "M." else 2
    county, town, order = draw.random.randrange(1, 95), draw.number % 990, draw.number // 990 % 1000
    number = f"{sex}{draw.person.birth_date:%y%m}{county:02}{town:03}{order:03}"
    return f"{number}{97 - int(number) % 97:02}"


def _international(phone: str) -> str:
    return "+33" + phone.replace(" ", "")[1:]


def _other_spelling(draw: Draw) -> object:
    """Return the address of a person of both apps as agents of the second one typed it: in capitals, a blank behind it."""
    return f"{draw.email.upper()} " if draw.both else seldom(0.9, lambda d: d.email)(draw)


def _plain(name: str) -> str:
    """Return a name as it looks in an address: no accents, no spaces, no capitals."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return letters.replace(" ", "-").replace("'", "").lower()


# Makers of values by column, or by table and column; other columns get a value of their type.
MAKERS: dict[str, Maker] = {
    # people
    "title": lambda d: d.text(TITLES),
    "users.title": lambda d: "madame" if d.person.title == "Mme" else "monsieur",
    "first_name": lambda d: d.person.first_name,
    "last_name": lambda d: d.person.last_name,
    "birth_name": seldom(0.2, lambda d: d.other.last_name),
    "birth_date": lambda d: d.person.birth_date,
    "rdvs.users.birth_date": seldom(0.9, lambda d: d.person.birth_date),
    "email": lambda d: d.email,
    "users.email": seldom(0.9, lambda d: d.email),
    "rdvi.users.email": _other_spelling,
    "organisations.email": lambda d: f"accueil{d.number}@collectivite.example",
    "uid": lambda d: d.email,
    "email_address": lambda d: d.email,
    "phone_number": lambda d: d.person.phone,
    "sms_phone_number": lambda d: _international(d.person.phone),
    "phone_number_formatted": lambda d: _international(d.person.phone),
    "territories.phone_number": lambda d: f"01 99 00 10 {d.number:02}",
    "help_phone_number": lambda d: d.other.phone,
    "address": lambda d: f"{d.person.street}, {d.person.post_code} {d.person.city}",
    "address_details": seldom(0.5, lambda d: d.nth(("", f"chez {d.other.last_name}, code {d.token(4)}"))),
    "post_code": lambda d: d.person.post_code,
    "city_name": lambda d: d.person.city,
    "nir": _nir,
    "caisse_affiliation": seldom(0.7, lambda d: d.random.choice(("caf", "msa", "aucune"))),
    "affiliation_number": seldom(0.7, lambda d: f"{d.random.randrange(10**6, 10**7)}"),
    "department_internal_id": seldom(0.6, lambda d: f"D{d.random.randrange(10**5, 10**6)}"),
    "france_travail_id": seldom(0.5, lambda d: f"{d.random.randrange(10**10, 10**11)}"),
    "case_number": seldom(0.3, lambda d: f"{d.random.randrange(1000, 10**5)}-{d.random.choice('ABCDE')}"),
    "quotient_familial": seldom(0.4, lambda d: Decimal(d.random.randrange(150000)) / 100),
    "monthly_income": seldom(0.5, lambda d: Decimal(d.random.randrange(180000)) / 100),
    "ants_pre_demande_number": seldom(0.1, lambda d: d.token(10).upper()),
    "franceconnect_openid_sub": seldom(0.2, lambda d: f"{d.token(64)}v1"),
    "responsible_id": seldom(0.1, lambda d: d.pick("users")),
    "old_rdv_solidarites_user_id": lambda d: 20000 + d.number,
    "rdvi.users.uid": lambda d: d.token(24),
    "tags": lambda d: [d.tell(tag) for tag in d.random.sample(TAGS, d.random.randrange(3))],
    # what people write
    "notes": seldom(0.9, lambda d: d.text(NOTES)),
    "context": seldom(0.5, lambda d: d.text(CONTEXTS)),
    "content": lambda d: d.text(MESSAGES),
    "reason": seldom(0.6, lambda d: d.text(REASONS)),
    "rdvs.name": seldom(0.1, lambda d: f"Atelier de {d.other.first_name} {d.other.last_name}"),
    "error_message": seldom(0.1, lambda d: f"numéro refusé : {_international(d.person.phone)}"),
    # secrets
    "encrypted_password": lambda d: f"$2a$11${d.token(53)}",
    "reset_password_token": seldom(0.05, lambda d: d.token(64)),
    "rdv_invitation_token": seldom(0.3, lambda d: d.token(32)),
    "invitation_token": seldom(0.3, lambda d: d.token(32)),
    "rdv_solidarites_token": lambda d: d.token(32),
    "microsoft_graph_token": seldom(0.1, lambda d: f"eyJ{d.token(80)}"),
    "calendar_uid": lambda d: str(_uuid(d)),
    "tokens": lambda d: Jsonb({d.token(22): {"token": f"$2a$10${d.token(53)}", "expiry": 1751000000 + d.number}}),
    "secret": lambda d: d.token(40),
    "sms_configuration": lambda d: Jsonb({"user_pwd": f"{_plain(d.other.last_name)}:{d.token(12)}"}),
    "link": lambda d: f"https://rdvi.example/i/r/{d.token(16)}?phone={d.person.phone.replace(' ', '')}",
    # the trail of machines
    "ip_address": lambda d: f"203.0.113.{d.random.randrange(256)}",
    "last_sign_in_ip": seldom(0.8, lambda d: f"2001:db8::{d.token(4)}"),
    "remote_ip": lambda d: f"198.51.100.{d.random.randrange(256)}",
    "user_agent": lambda d: f"Mozilla/5.0 {d.random.choice(BROWSERS)}",
    "raw_http": lambda d: Jsonb({"method": "GET", "path": f"/api/v1/users/{d.number}", "headers": {"uid": d.email}}),
    "controller_name": lambda d: d.random.choice(("users", "rdvs", "absences")),
    "action_name": lambda d: d.random.choice(("index", "show", "create", "update")),
    "object_changes": lambda d: Jsonb({"email": [None, d.email], "last_name": ["", d.person.last_name]}),
    "cnaf_data": lambda d: Jsonb({"email": d.email, "phone_number": d.person.phone}),
    "serialized_params": lambda d: Jsonb({"job_class": "SmsJob", "arguments": [d.person.phone, d.text(MESSAGES)]}),
    "whodunnit": lambda d: f"[Agent] {d.other.first_name} {d.other.last_name}",
    "item_type": lambda d: "User",
    "item_id": lambda d: d.pick("users"),
    # places and offers
    "number": lambda d: d.nth(DEPARTMENTS)[0],
    "departement_number": lambda d: d.nth(DEPARTMENTS)[0],
    "departement": lambda d: d.nth(DEPARTMENTS)[0],
    "territories.name": lambda d: d.nth(DEPARTMENTS)[1],
    "departments.name": lambda d: d.nth(DEPARTMENTS)[1],
    "capital": lambda d: d.nth(DEPARTMENTS)[2],
    "region": lambda d: d.nth(DEPARTMENTS)[3],
    "pronoun": lambda d: "le",
    "services.name": lambda d: d.nth(SERVICES)[0],
    "services.short_name": lambda d: d.nth(SERVICES)[1],
    "motif_categories.name": lambda d: d.nth(CATEGORIES)[0],
    "motif_categories.short_name": lambda d: d.nth(CATEGORIES)[1],
    "motifs.name": lambda d: d.random.choice(MOTIFS),
    "motifs.color": lambda d: f"#{d.token(6)}",
    "restriction_for_rdv": seldom(0.2, lambda d: "Apporter le carnet de santé et un justificatif de domicile"),
    "organisations.name": lambda d: f"{d.nth(PLACES)} {d.nth(DEPARTMENTS)[2]}",
    "lieux.name": lambda d: f"{d.random.choice(PLACES)} {d.nth(DEPARTMENTS)[2]}",
    "lieux.address": lambda d: f"{d.random.randrange(1, 90)} place de la République, {d.nth(DEPARTMENTS)[2]}",
    "slug": lambda d: f"organisation-{d.number}",
    "human_id": lambda d: f"organisation-{d.number}",
    "external_id": seldom(0.3, lambda d: str(10**6 + d.number)),
    "horaires": lambda d: "lundi au vendredi, 9 h - 12 h et 14 h - 17 h",
    "website": seldom(0.5, lambda d: f"https://www.{_plain(d.nth(DEPARTMENTS)[2])}.example"),
    "latitude": lambda d: d.random.uniform(43, 50),
    "longitude": lambda d: d.random.uniform(-1, 6),
    # days and hours
    "created_at": lambda d: d.moment,
    "received_at": lambda d: d.moment,
    "connected_at": lambda d: d.moment,
    "updated_at": lambda d: d.moment + timedelta(minutes=d.random.randrange(20000)),
    "deleted_at": seldom(0.03, lambda d: d.moment + timedelta(days=30)),
    "archived_at": seldom(0.1, lambda d: d.moment + timedelta(days=30)),
    "cancelled_at": seldom(0.1, lambda d: d.moment + timedelta(days=3)),
    "starts_at": _start,
    "ends_at": lambda d: _start(d) + timedelta(minutes=d.nth((20, 30, 45, 60))),
    "duration_in_min": lambda d: d.nth((20, 30, 45, 60)),
    "default_duration_in_min": lambda d: d.nth((20, 30, 45, 60)),
    "start_time": lambda d: time(d.random.randrange(8, 12)),
    "end_time": lambda d: time(d.random.randrange(13, 18), 30),
    "validity": lambda d: Range(d.moment.date(), d.moment.date() + timedelta(days=180)),
    "period": lambda d: Range(d.moment.date(), d.nth((None, d.moment.date() + timedelta(days=365)))),
    "recurrence": seldom(0.6, lambda d: Jsonb({"every": "week", "on": ["monday"], "interval": d.nth((1, 2))})),
    # tables that join two others, and keys that must differ
    "organisation_id": lambda d: d.pick("organisations"),
    "territory_id": lambda d: 1 + (d.number - 1) % d.counts["territories"],
    "territory_services.service_id": lambda d: 1 + (d.number - 1) // d.counts["territories"],
    "agent_roles.agent_id": lambda d: d.number,
    "motifs_plage_ouvertures.plage_ouverture_id": lambda d: d.number,
    "user_profiles.user_id": lambda d: d.number,
    "users_organisations.user_id": lambda d: d.number,
    "agents_rdvs.rdv_id": lambda d: d.number,
    "participations.rdv_id": lambda d: d.number,
    "participation_id": lambda d: d.number,
    "file_attentes.rdv_id": lambda d: d.number,
    "version": lambda d: str(20230101000000 + d.number),
    "key": lambda d: d.nth(("environment", "schema_sha1")),
    "value": lambda d: d.nth(("production", d.token(40))),
    # the rest
    "uuid": _uuid,
    "created_by_id": lambda d: d.pick("agents"),
    "created_by_type": lambda d: "Agent",
    "created_by": lambda d: d.random.choice(("agent", "user", "prescripteur")),
    "provider": lambda d: "email",
    "sms_provider": lambda d: d.random.choice(("netsize", "sfr_mail2sms")),
    "event": lambda d: d.random.choice(("rdv_created", "rdv_upcoming_reminder", "rdv_cancelled")),
    "versions.event": lambda d: d.random.choice(("create", "update")),
    "outlook_id": seldom(0.05, lambda d: f"AAMk{d.token(40)}"),
    "target_url": lambda d: f"https://crm{d.number}.example/webhooks",
    "subscriptions": lambda d: d.random.sample(("rdv", "user", "absence", "motif"), d.random.randrange(4)),
    "export_type": lambda d: d.random.choice(("rdv_export", "participations_export")),
    "file_name": lambda d: f"export-{d.moment.date()}-{d.number}.xls",
    "organisation_ids": lambda d: sorted(d.random.sample(range(1, 1 + d.counts["organisations"]), 2)),
    "options": lambda d: Jsonb({"status": d.nth(("seen", "noshow"))}),
    "queue_name": lambda d: d.random.choice(("default", "mailers", "sms")),
}


def create(url: str, app: str) -> None:
    """Make the tables of an app in an empty database."""
    with psycopg.connect(url) as connection:
        connection.execute(Path(__file__).with_name(f"{app}.sql").read_bytes())


def fill(url: str, app: str, *, seed: int = 35, scale: float = 1.0) -> int:
    """Put rows into the empty tables of an app, the same for the same seed and scale; return how many."""
    counts = _counts(app, scale)
    people = _people(seed)
    with psycopg.connect(url) as connection:
        for table, count in counts.items():
            columns = _columns(connection, table)
            draws = _draws(Random(f"{seed}/{app}/{table}"), people, counts, count)
            if table == "users":
                draws = _with_both(draws, people, seed, APPS.index(app))
            _copy(connection, table, columns, _rows(app, columns, draws))
            _move_sequence(connection, table, columns, count)
        connection.execute("analyze")
    return sum(counts.values())


def change(url: str) -> int:
    """Change some rows of rdvs, as a day does; return how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        return sum(connection.execute(statement).rowcount for statement in CHANGES)


@dataclass(frozen=True)
class Column:
    """A column that takes values, with the labels of its enum and the table that it refers to."""

    table: str
    name: str
    type: str
    nullable: bool
    labels: tuple[str, ...]
    parent: str | None


COLUMNS = """
select c.relname, a.attname, format_type(a.atttypid, null), not a.attnotnull,
    array(select e.enumlabel::text from pg_enum e where e.enumtypid in (t.oid, t.typelem) order by e.enumsortorder),
    (
        select f.confrelid::regclass::text
        from pg_constraint f
        join unnest(f.conkey, f.confkey) as pair (child, parent) on pair.child = a.attnum
        join pg_attribute p on p.attrelid = f.confrelid and p.attnum = pair.parent
        where f.conrelid = c.oid and f.contype = 'f' and p.attname = 'id'
        limit 1
    )
from pg_class c
join pg_attribute a on a.attrelid = c.oid
join pg_type t on t.oid = a.atttypid
where c.oid = %s::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
order by a.attnum
"""


def _columns(connection: psycopg.Connection, table: str) -> list[Column]:
    found = connection.execute(COLUMNS, [table])
    return [Column(table, name, kind, nullable, tuple(labels), to) for table, name, kind, nullable, labels, to in found]


def _counts(app: str, scale: float) -> dict[str, int]:
    """Return how many rows each table gets."""
    least = ROWS[app]["organisations"]
    return {table: max(least, round(rows * scale)) if rows > least else rows for table, rows in ROWS[app].items()}


def _people(seed: int) -> list[Person]:
    """Return the people whose names and places make all the others."""
    faker = Faker("fr_FR")
    faker.seed_instance(seed)
    return [_person(faker, "Mme" if number % 2 else "M.") for number in range(POOL)]


def _person(faker: Faker, title: str) -> Person:
    return Person(
        title=title,
        first_name=faker.first_name_female() if title == "Mme" else faker.first_name_male(),
        last_name=faker.last_name(),
        # Numbers that are set aside for fiction: nobody's telephone rings.
        phone=faker.numerify("06 39 98 ## ##"),
        street=faker.street_address(),
        post_code=_post_code(faker),
        city=faker.city(),
        birth_date=date(1940, 1, 1) + timedelta(days=faker.random_int(0, 24000)),
    )


def _post_code(faker: Faker) -> str:
    """Return the code of a place in a department that the apps serve."""
    number: str = faker.random_element(DEPARTMENTS)[0]
    return faker.numerify(number.replace("2A", "200") + "####")[:5]


def _draws(random: Random, people: Sequence[Person], counts: Mapping[str, int], count: int) -> Iterator[Draw]:
    """Return what each row is made from; rows with a higher number are younger."""
    for number in range(1, count + 1):
        named, lives, other = random.choice(people), random.choice(people), random.choice(people)
        hours = 17520 * (1 - number / count) + random.randrange(200)
        yield Draw(number, random, counts, _of(named, lives), other, TODAY - timedelta(hours=hours))


def _with_both(draws: Iterator[Draw], people: Sequence[Person], seed: int, app: int) -> Iterator[Draw]:
    """Return the draws of an app's users, where some are people that the other app has: row n of one, n + 1 of the other."""
    for draw in draws:
        number = draw.number - app
        if number % SHARED != 1:
            yield draw
            continue
        random = Random(f"{seed}/both/{number}")
        named, lives = random.choice(people), random.choice(people)
        yield replace(draw, person=_of(named, lives), both=number)


def _of(named: Person, lives: Person) -> Person:
    """Return a person with one's name and age, and another's address."""
    return lives._replace(title=named.title, first_name=named.first_name, birth_date=named.birth_date)


def _rows(app: str, columns: Sequence[Column], draws: Iterator[Draw]) -> Iterator[list[object]]:
    makers = [_maker(app, column) for column in columns]
    for draw in draws:
        yield [maker(draw) for maker in makers]


def _maker(app: str, column: Column) -> Maker:
    """Return what makes a column's values: found by name, else the key of a row, else by type."""
    for name in (f"{app}.{column.table}.{column.name}", f"{column.table}.{column.name}", column.name):
        if name in MAKERS:
            return MAKERS[name]
    if column.name == "id":
        return lambda d: _key(column.type, column.table, d.number)
    if (parent := column.parent) is not None:
        return _optional(column, lambda d: _key(column.type, parent, d.pick(parent)))
    return _optional(column, _by_type(column))


def _optional(column: Column, maker: Maker) -> Maker:
    return seldom(0.7, maker) if column.nullable else maker


def _by_type(column: Column) -> Maker:
    if column.labels and column.type.endswith("[]"):
        return lambda d: d.random.sample(column.labels, d.random.randrange(len(column.labels)))
    if column.labels:
        return lambda d: d.random.choice(column.labels)
    if column.type == "boolean":
        return lambda d: d.random.random() < 0.5
    if column.type in ("integer", "bigint"):
        return lambda d: d.random.randrange(5)
    if column.type == "date" or column.type.startswith("timestamp"):
        return lambda d: d.moment + timedelta(hours=d.random.randrange(2000))
    raise LookupError(f"no maker for {column.table}.{column.name} of type {column.type}")


def _copy(connection: psycopg.Connection, table: str, columns: Sequence[Column], rows: Iterator[list[object]]) -> None:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _move_sequence(connection: psycopg.Connection, table: str, columns: Sequence[Column], count: int) -> None:
    """Let the next row that is inserted follow ours."""
    if any(column.name == "id" and column.type == "bigint" for column in columns):
        connection.execute("select setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, count])


def _key(type_: str, table: str, number: int) -> int | UUID:
    """Return the id of a row, which rows of other tables can compute too."""
    return uuid5(NAMESPACE_URL, f"{table}/{number}") if type_ == "uuid" else number
