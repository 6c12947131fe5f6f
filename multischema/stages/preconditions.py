"""What must hold before a run reads or writes: versions, rights, the reader. A problem is a line; none means go."""

from collections.abc import Mapping, Sequence

from psycopg import sql

from multischema.addresses import is_here
from multischema.catalog import foreign
from multischema.catalog.objects import EventTrigger, HistoryPlace, Leaf, MadeTable, MissingType, Readable, Stranger
from multischema.catalog.servers import Reader, Server, Target
from multischema.catalog.tables import Catalog, Table
from multischema.errors import STANDBY
from multischema.job import Job, illegal_report, illegal_schema
from multischema.plan import history, record, refresh
from multischema.plan.plan import Plan
from multischema.plan.tables import plan_table
from multischema.rules.file import Rules
from multischema.rules.gaps import missing_columns
from multischema.stages.backup import Structure
from multischema.statements import rights
from multischema.words import plural, some

SUPPORTED = range(13, 19)
_DOCKERS_HOST = "host.docker.internal"
_VERIFYING = ("verify-ca", "verify-full")
_WITHOUT = {
    "CREATEROLE": "ALTER ROLE {} NOCREATEROLE",
    "REPLICATION": "ALTER ROLE {} NOREPLICATION",
    "BYPASSRLS": "ALTER ROLE {} NOBYPASSRLS",
}
_EXPOSED = {
    "owned": (
        "target: the reader {reader} owns {name}, itself or through another role, and could put tables in place of raw "
        "ones; have a role own it that the reader is no member of"
    ),
    "maintained": (
        "target: the reader {reader} may MAINTAIN table {name}, and could lock or rebuild it; revoke that, also from "
        "default privileges"
    ),
}
_WITHOUT_DATA = ("function", "procedure", "aggregate", "policy", "rule", "trigger", "table constraint")


def server_problems(side: str, server: Server) -> list[str]:
    """Return what is wrong with a server, on either side."""
    problems = []
    if server.major not in SUPPORTED:
        problems.append(f"{side}: Postgres {server.major} is not supported; want {SUPPORTED[0]} to {SUPPORTED[-1]}")
    return problems


def unverified(side: str, hosts: str, sslmode: str) -> str | None:
    """Return the warning about a server elsewhere that may be another one: who answers there is not verified."""
    host = next(filter(_is_elsewhere, hosts.split(",")), None)
    if sslmode in _VERIFYING or not host:
        return None
    return (
        f"{side}: sslmode={sslmode} does not verify who answers at {host}: whoever stands between can read and change "
        "what passes; set sslmode=verify-full in its URL, with sslrootcert=system where a public authority signs its "
        "certificate, else with the file of its own"
    )


def impatience(side: str, server: Server) -> str | None:
    """Return the warning about a standby that cancels long statements for its replication, and with them the run."""
    if not server.patience:
        return None
    return f"{side}: the server is a standby with max_standby_streaming_delay={server.patience}: {STANDBY}"


def too_few_connections(side: str, server: Server, wanted: int) -> str | None:
    """Return the warning about a role that may not have as many connections as a run opens."""
    if server.connections is None or server.connections >= wanted:
        return None
    return (
        f"{side}: role {server.role} may have {server.connections} connections to database {server.database} at a time, and "
        f"the run may need {wanted}; use fewer jobs, or raise max_connections, or the CONNECTION LIMIT of role or database"
    )


def _is_elsewhere(host: str) -> bool:
    """Tell a server that is reached over a network, not by a socket or the loopback of this machine, or of Docker's host."""
    return bool(host) and not host.startswith(("/", "@")) and not is_here(host) and host.lower() != _DOCKERS_HOST


def settings_problem(side: str, reason: str) -> str:
    """Return the line about a pooler that pg_dump can't give its settings to."""
    return (
        f"{side}: the URL leads to a pooler (such as PgBouncer), which does not take the settings of pg_dump "
        f"(PGOPTIONS): {reason}; use the server's own address and port, or mode stream"
    )


def origin_problems(side: str, server: Server, schema: str) -> list[str]:
    """Return why the origin schema can't be read at all."""
    if server.may_use_schema is None:
        return [f"{side}: schema {schema} does not exist in database {server.database}; name another origin schema"]
    if not server.may_use_schema:
        return [
            f"{side}: role {server.role} may not use schema {schema}; "
            + _remedy(server, "GRANT USAGE ON SCHEMA {} TO {}", schema, server.role)
        ]
    return []


def rights_problems(side: str, server: Server, catalog: Catalog, rules: Rules) -> list[str]:
    """Return a line for each table that will be copied and can't be read whole.

    Truncated tables need no right, nor do columns whose mask does not depend on their value, nor those without a rule: the
    suggested statement would expose them.
    """
    problems = []
    for table in catalog.tables:
        own = rules.tables.get(table.name)
        if own is None or own.truncated:
            continue
        read = set(plan_table(table, own, catalog, frozenset()).read).difference(missing_columns(table, own))
        problems += [f"{side}: {line}" for line in _family_problems(table, catalog.schema)]
        unreadable = [column.name for column in table.columns if column.name in read and not column.readable]
        if unreadable:
            whole = len(unreadable) == len(table.columns)
            what = "" if whole else f"{plural(len(unreadable), 'column')} {', '.join(unreadable)} of "
            problems.append(
                f"{side}: role {server.role} may not SELECT {what}table {table.name}; {server.place}: "
                + rights.grant_select(catalog.schema, [table.name], () if whole else unreadable, server.role).as_string()
            )
        elif table.detaching:
            problems += [
                f"{side}: partition {names[-1]} of table {table.name} is half detached, and a copy may lack its rows; "
                + _remedy(server, "ALTER TABLE {}.{} DETACH PARTITION {}.{} FINALIZE", *names)
                for names in table.detaching
            ]
        elif table.row_security:
            problems.append(
                f"{side}: row security hides rows of table {table.name} from role {server.role}; "
                + _remedy(server, "ALTER ROLE {} BYPASSRLS", server.role)
                + ", or truncate the table in the rules"
            )
        elif table.unlogged and server.in_recovery:
            problems.append(
                f"{side}: the server is a standby, which has no rows of the unlogged table {table.name}; use the primary, "
                "or truncate the table in the rules"
            )
    if not catalog.tables:
        problems.append(
            f"{side}: schema {catalog.schema} of database {server.database} holds no table; name another origin schema, or "
            "check whether the two URLs are swapped"
        )
    return problems


def refresh_warnings(side: str, server: Server, plan: Plan) -> list[str]:
    """Return a warning if the role may not read what a refresh compares: then every run is full."""
    hidden = refresh.hidden(plan)
    if not hidden:
        return []
    granted = rights.grant_select(plan.catalog.schema, hidden, ("xmin", "ctid"), server.role).as_string()
    return [
        f"{side}: role {server.role} may not read xmin of {some(hidden)}, so every run is full; {server.place}: {granted}"
    ]


def _family_problems(table: Table, schema: str) -> list[str]:
    """Return why the rows of a table's children can be published neither with the table nor with the children."""
    problems = [
        f"table {table.name} has rows in table {name}, which inherits from it and belongs to an extension; stop the "
        "inheritance, or truncate the table in the rules"
        for name in table.odd
    ]
    if table.children and table.kin:
        elsewhere = some([f"{child.schema}.{child.name}" for child in table.children])
        problems.append(
            f"table {table.name} has rows in children that are not published themselves ({elsewhere}) and in others that "
            f"are ({some(table.kin)}); move all or none of them into schema {schema}, or truncate the table in the rules"
        )
    return problems


def target_problems(server: Server, schema: str) -> list[str]:
    """Return why the target can't be published to, whoever is to read it."""
    problems = []
    if server.encoding != "UTF8":
        problems.append(f"target: database {server.database} is encoded in {server.encoding}; want UTF8")
    if server.in_recovery:
        problems.append("target: the server is a standby, which can't be written; use the primary")
    if not server.may_create_schemas:
        problems.append(
            f"target: role {server.role} may not create schemas in database {server.database}; "
            + _remedy(server, "GRANT CREATE ON DATABASE {} TO {}", server.database, server.role)
        )
    reason = illegal_schema(schema)
    if reason:
        problems.append(f"target: schema {schema!r} can't be published: {reason}")
    return problems


def same_database_problems(origin: Server, target: Server) -> list[str]:
    """Return the problem if the target is the origin itself, or on a standby or copy of its server's files.

    Two databases of one server are fine. If a server does not reveal its system identifier, compare addresses.
    """
    if origin.system and target.system:
        is_same = (origin.system, origin.database_oid, origin.database) == (
            target.system,
            target.database_oid,
            target.database,
        )
    else:
        is_same = (origin.address, origin.database) == (target.address, target.database) or (
            origin.started,
            origin.database_oid,
        ) == (target.started, target.database_oid)
    if not is_same:
        return []
    return [
        f"target: database {target.database} on {target.address} is the origin's own ({origin.database} on "
        f"{origin.address}), which a run would overwrite; give the ETL a database of its own, and check whether the two "
        "URLs are swapped"
    ]


def ownership_problems(server: Server, facts: Target, app: str, schema: str, *, adopt: bool) -> list[str]:
    """Return why an existing schema may not be replaced: no run of this app made it, or another role owns it.

    With `adopt`, it may lack our record: the tool before this one wrote none.
    """
    if not facts.published_exists:
        return []
    if not facts.owns_published:
        return [
            f"target: schema {schema} belongs to {facts.published_owner}, not to {server.role}; publish under another "
            f"name, or if a run made it, {_remedy(server, 'ALTER SCHEMA {} OWNER TO {}', schema, server.role)}"
        ]
    if facts.published_comment == history.MARK:
        return [f"target: schema {schema} holds the history of runs; publish under another name"]
    found = record.read(facts.published_comment)
    if not found and not adopt:
        return [
            f"target: schema {schema} exists, but no run of this tool made it: its comment holds no record; publish under "
            "another name, or if the tool before this one made it, use adopt (--adopt) once"
        ]
    if found and found.app not in ("", app):
        return [f"target: schema {schema} is published by app {found.app}, not by {app}; publish under another name"]
    return []


def history_problems(job: Job, place: HistoryPlace) -> list[str]:
    """Return why a run can't keep its history in the schema that the job names."""
    schema, name_another = job.report_schema, "name another with report_schema (--report-schema)"
    if reason := illegal_report(job):
        return [f"target: the history of runs can't be kept in schema {schema!r}: {reason}; {name_another}"]
    if not place.exists:
        return []
    if not place.is_owned:
        return [
            f"target: schema {schema} belongs to role {place.owner}, and the history of runs can't be kept there; "
            f"{name_another}, or have that role drop or rename it"
        ]
    if not place.is_marked:
        return [
            f"target: schema {schema} exists, but no run made it to keep the history of runs: its comment does not say so; "
            f"{name_another}, or drop or rename it"
        ]
    if place.strange:
        return [
            f"target: {schema}.{name} is no table of this role's, and the history of runs can't be kept there; rename it"
            for name in place.strange
        ]
    guests = [
        f"target: {guest} of schema {schema}, and could hide, copy or alter the history of runs; drop it"
        for guest in place.guests
    ]
    return guests + [
        f"target: {role} may write in the tables of schema {schema}, where only runs should; revoke all but SELECT"
        for role in place.writers
    ]


def hidden_problems(
    schema: str,
    tables: Sequence[MadeTable],
    triggers: Sequence[EventTrigger],
    *,
    granted: bool,
    since: str = " as soon as it is made",
) -> list[str]:
    """Return a line for each table that somebody made unreadable, or took from the ETL.

    Missing rights only count once they are `granted`. `since` says when that is so.
    """
    cause = _cause(triggers)
    lines = []
    for row in tables:
        table = f"table {schema}.{row.name}"
        if row.other_owner:
            lines.append(f"target: {table} belongs to role {row.other_owner}{since}{cause}")
        elif row.guest:
            lines.append(f"target: {row.guest} is on {table}{since}, and could copy or alter its rows{cause}")
        elif row.row_security:
            lines.append(f"target: row security is on for {table}{since}, and hides its rows{cause}")
        elif granted and row.refused:
            readers = f"the {plural(len(row.refused), 'reader')} {some(row.refused)}"
            lines.append(f"target: {readers} may not SELECT {table}, though the run granted it{cause}")
    return lines


def altered_problems(
    schema: str,
    found: Mapping[str, Sequence[str]],
    wanted: Mapping[str, Sequence[str]],
    triggers: Sequence[EventTrigger],
) -> list[str]:
    """Return a line for each table that somebody gave other columns than the run did: nobody knows what they would show."""
    return [
        f"target: table {schema}.{name} has other columns as soon as it is made: want {some(list(columns))}; "
        f"found {some(list(found.get(name, ())))}{_cause(triggers)}"
        for name, columns in wanted.items()
        if sorted(found.get(name, ())) != sorted(columns)
    ]


def _cause(triggers: Sequence[EventTrigger]) -> str:
    """Return the end of a line about what a run did not do itself."""
    names = ", ".join(row.name for row in triggers)
    return f"; check what event trigger {names} does, and make it leave the ETL's role or schemas alone" if names else ""


def dump_problems(side: str, server: Server, leaves: Sequence[Leaf]) -> list[str]:
    """Return a line for each table or partition that pg_dump can't read: rights to columns or to a root are too few."""
    problems = [
        f"{side}: partition {row.schema}.{row.name} is a foreign table, which pg_dump does not read; use mode stream"
        for row in leaves
        if row.elsewhere
    ] + [
        f"{side}: role {server.role} may not SELECT all of table {row.schema}.{row.name}, as pg_dump must; "
        + _remedy(server, "GRANT SELECT ON TABLE {}.{} TO {}", row.schema, row.name, server.role)
        + ", or use mode stream"
        for row in leaves
        if not row.readable
    ]
    return problems + [
        f"{side}: row security hides rows of partition {row.schema}.{row.name} from role {server.role}, as "
        "pg_dump reads it directly; " + _remedy(server, "ALTER ROLE {} BYPASSRLS", server.role) + ", or use mode stream"
        for row in leaves
        if row.row_security
    ]


def backup_problems(file: str, plan: Plan, structure: Structure) -> list[str]:
    """Return a line for each copied table whose rows or values a backup has not, or has elsewhere."""
    copied = {table.name: table for table in plan.copied}
    elsewhere = [
        f"dump {file}: table {each.table} has rows in {each.schema}.{each.name}, which is not restored with it; use mode "
        "stream, or truncate the table in the rules"
        for each in sorted(structure.relatives, key=lambda each: (each.table, each.schema, each.name))
        if each.table in copied
    ]
    return elsewhere + [
        f"dump {file}: column {table}.{name} is computed by {code}, which is code of the backup and is not run; use mode "
        "stream, or truncate the table in the rules"
        for (table, name), code in sorted(structure.uncomputed.items())
        if (published := copied.get(plan.catalog.partitions.get(table, table)))
        and any(column.name == name and column.is_read for column in published.columns)
    ]


def raw_problems(server: Server, schema: str) -> list[str]:
    """Return why raw tables can't be made in an existing schema of the target."""
    if server.may_fill_schema is not False:
        return []
    return [
        f"target: role {server.role} may not create tables in schema {schema}, which mode dump fills with raw data; "
        + _remedy(server, "GRANT USAGE, CREATE ON SCHEMA {} TO {}", schema, server.role)
    ]


def reader_problems(server: Server, readers: Sequence[Reader]) -> list[str]:
    """Return whether a reader is missing, could read more than what is published, or can't read that."""
    return [line for reader in readers for line in (_power_problems(server, reader) or _entry_problems(server, reader))]


def _power_problems(server: Server, reader: Reader) -> list[str]:
    """Return why a role can't be a reader at all: it is missing, or could read more than what is published."""
    name = f"target: the reader {reader.name}"
    if not reader.exists:
        return [f"{name} does not exist; create the role, or {_instead_of(reader)}"]
    if reader.is_superuser:
        return [f"{name} is a superuser, who reads everything; use a role without rights of its own"]
    if reader.is_self:
        return [f"{name} is the ETL's own role; use a role of its own" + (" for Metabase" if reader.is_first else "")]
    if reader.powers:
        powers = ", ".join(reader.powers)
        return [f"{name} is too powerful: it is a member of {powers}, itself or through another role; revoke that"]
    if reader.attributes:
        return [
            f"{name} is too powerful: it has {attribute}; {_remedy(server, _WITHOUT[attribute], reader.name)}"
            for attribute in reader.attributes
        ]
    if reader.owns_database:
        return [
            f"{name} owns database {server.database}, itself or through another role, and could take "
            "what the ETL makes there; have a role own it that the reader is no member of"
        ]
    return []


def _entry_problems(server: Server, reader: Reader) -> list[str]:
    """Return why nobody can read as this reader."""
    problems = []
    if not reader.may_log_in:
        login = "ALTER ROLE {} LOGIN" + (" CONNECTION LIMIT -1" if reader.may_have_no_session else "")
        problems.append(
            f"target: nobody can log in as the reader {reader.name}; {_remedy(server, login, reader.name)}, "
            f"or {_instead_of(reader)}"
        )
    if reader.expired:
        problems.append(
            f"target: the password of the reader {reader.name} has expired; "
            + _remedy(server, "ALTER ROLE {} VALID UNTIL 'infinity'", reader.name)
        )
    if not reader.may_connect:
        problems.append(
            f"target: the reader {reader.name} may not connect to database {server.database}; "
            + _remedy(server, "GRANT CONNECT ON DATABASE {} TO {}", server.database, reader.name)
        )
    return problems


def _instead_of(reader: Reader) -> str:
    """Return what to do with a reader that is no role to read as."""
    return "name the one that Metabase connects as" if reader.is_first else "take it off schema_reader (--schema-reader)"


def reader_warnings(readers: Sequence[Reader]) -> list[str]:
    """Return a line for each power of a reader that no run refuses: it shows no table of the ETL's that is not published.

    Those are to watch other sessions, to end them, and to read what the first reader may.
    """
    lines = []
    for reader in readers:
        name = f"the reader {reader.name}"
        if watching := [role for role in reader.watches if role != "pg_signal_backend"]:
            lines.append(
                f"{name} is a member of {', '.join(watching)}, and sees the statements of all sessions and the "
                "server's settings, which may quote what is personal; revoke it"
            )
        if "pg_signal_backend" in reader.watches:
            lines.append(f"{name} is a member of pg_signal_backend, and could end any run; revoke it")
        if reader.follows_first:
            lines.append(
                f"{name} is a member of {reader.follows_first}, and may read all that {reader.follows_first} may: also "
                "other apps' schemas; revoke it"
            )
    return lines


def stranger_problems(server: Server, schema: str, strangers: Sequence[Stranger]) -> list[str]:
    """Return a line for each object of others in or on the published schema that no run creates again."""
    return [_stranger_problem(server, schema, row) for row in strangers]


def may_go(stranger: Stranger) -> bool:
    """Tell whether a run may drop it if told to: the role can, and it holds no data of others."""
    return stranger.owned and stranger.type in _WITHOUT_DATA


def lacking_problems(lacking: Sequence[MissingType], columns: Mapping[str, str], major: int) -> list[str]:
    """Return a line for each published type that the target's version does not have."""
    return [
        f"target: Postgres {major} has no type {row.name}, which column {columns[row.name]} needs; "
        "use a newer target, or truncate the table in the rules"
        for row in lacking
        if row.what == "type"
    ]


def spelling_problems(side: str, columns: Mapping[str, str]) -> list[str]:
    """Return a line for each published type whose spelling is none: no server says so unless somebody made it lie."""
    return [
        f"{side}: column {column} is said to be of type {type_[:100]}, which is no spelling of a type; "
        "find out who answers there, and what was replaced in its pg_catalog"
        for type_, column in columns.items()
        if not foreign.is_type(type_)
    ]


def xml_problems(columns: Sequence[str]) -> list[str]:
    """Return a line for each column of documents, which the target can't read."""
    return [
        f"target: this server was built without libxml, which column {column} needs; use another server, "
        "mask the column if it may be NULL, or truncate the table in the rules"
        for column in columns
    ]


def exposed_problems(rights: Sequence[Readable]) -> list[str]:
    """Return a line for everything besides published schemas that a reader could read."""
    return [
        _EXPOSED.get(
            row.what, "target: the reader {reader} could read {what} {name}, which is not published; revoke it, or drop it"
        ).format(reader=row.reader, what=row.what, name=row.name)
        for row in rights
    ]


def _stranger_problem(server: Server, schema: str, row: Stranger) -> str:
    what = row.title
    if row.place == "in" and row.recorded:
        owner = sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.SQL(row.name), sql.Identifier(server.role)).as_string()
        return f"target: {what}, which a run made, belongs to {row.owner}, not to {server.role}; {server.place}: {owner}"
    if row.place == "in":
        return f"target: {what} of role {row.owner} stands in schema {schema}, which each run replaces; move it elsewhere"
    if row.place == "at":
        return (
            f"target: {what} has row security, which the new one would not have; disable it, and give others a view of it "
            "in another schema"
        )
    remedy = "drop it, and create it again after the run"
    option = ", or use drop_dependants (--drop-dependants), which drops it" if may_go(row) else ""
    return f"target: {what} depends on schema {schema} and would stay with the old one; {remedy}{option}"


def _remedy(server: Server, statement: str, *names: str) -> str:
    """Return a statement ready to paste, after the place where it must run: URLs may be swapped."""
    return f"{server.place}: {sql.SQL(statement).format(*map(sql.Identifier, names)).as_string()}"
