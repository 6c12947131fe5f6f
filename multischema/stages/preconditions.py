"""What must hold before a run reads or writes: versions, rights, the reader. A problem is a line; none means go."""

from collections.abc import Mapping, Sequence

from psycopg import sql

from multischema.addresses import is_here
from multischema.catalog import foreign
from multischema.catalog.objects import EventTrigger, HistoryPlace, Leaf, MadeTable, MissingType, Readable, Stranger
from multischema.catalog.servers import Reader, Server, Target
from multischema.catalog.tables import Catalog, Table
from multischema.errors import STANDBY
from multischema.findings import Finding, on, problem
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
# what a reader could do, by what is found, and what to do about it
_EXPOSED = {
    "owned": (
        "the reader {reader} owns {name}, itself or through another role, and could put tables in place of raw ones",
        "have a role own it that the reader is no member of",
    ),
    "maintained": (
        "the reader {reader} may MAINTAIN table {name}, and could lock or rebuild it",
        "revoke that, also from default privileges",
    ),
}
_READABLE = ("the reader {reader} could read {what} {name}, which is not published", "revoke it, or drop it")
_WITHOUT_DATA = ("function", "procedure", "aggregate", "policy", "rule", "trigger", "table constraint")


def server_problems(side: str, server: Server) -> list[Finding]:
    """Return what is wrong with a server, on either side."""
    if server.major in SUPPORTED:
        return []
    wanted = f"want {SUPPORTED[0]} to {SUPPORTED[-1]}"
    return [
        problem(
            "unsupported-version", f"Postgres {server.major} is not supported", wanted, side=side, object=server.database
        )
    ]


def unverified(side: str, hosts: str, sslmode: str) -> Finding | None:
    """Return the warning about a server elsewhere that may be another one: who answers there is not verified.

    It is about this host with this sslmode: to expect `require` is not to expect `disable`.
    """
    host = next(filter(_is_elsewhere, hosts.split(",")), None)
    if sslmode in _VERIFYING or not host:
        return None
    return Finding(
        "unverified-server",
        f"sslmode={sslmode} does not verify who answers at {host}: whoever stands between can read and change what passes",
        "set sslmode=verify-full in its URL, with sslrootcert=system where a public authority signs its certificate, else "
        "with the file of its own",
        side=side,
        object=f"{host} sslmode={sslmode}",
    )


def impatience(side: str, server: Server) -> Finding | None:
    """Return the warning about a standby that cancels long statements for its replication, and with them the run."""
    if not server.patience:
        return None
    what = f"the server is a standby with max_standby_streaming_delay={server.patience}: {STANDBY}"
    return Finding("standby-cancels-statements", what, side=side, object=server.database)


def too_few_connections(side: str, server: Server, wanted: int) -> Finding | None:
    """Return the warning about a role that may not have as many connections as a run opens."""
    if server.connections is None or server.connections >= wanted:
        return None
    return Finding(
        "few-connections",
        f"role {server.role} may have {server.connections} connections to database {server.database} at a time, and the run "
        f"may need {wanted}",
        "use fewer jobs, or raise max_connections, or the CONNECTION LIMIT of role or database",
        side=side,
        object=server.role,
    )


def _is_elsewhere(host: str) -> bool:
    """Tell a server that is reached over a network, not by a socket or the loopback of this machine, or of Docker's host."""
    return bool(host) and not host.startswith(("/", "@")) and not is_here(host) and host.lower() != _DOCKERS_HOST


def settings_problem(side: str, reason: str) -> Finding:
    """Return the problem of a pooler that pg_dump can't give its settings to."""
    return problem(
        "pooler-refuses-settings",
        f"the URL leads to a pooler (such as PgBouncer), which does not take the settings of pg_dump (PGOPTIONS): {reason}",
        "use the server's own address and port, or mode stream",
        side=side,
        object="PGOPTIONS",
    )


def origin_problems(side: str, server: Server, schema: str) -> list[Finding]:
    """Return why the origin schema can't be read at all."""
    if server.may_use_schema is None:
        what = f"schema {schema} does not exist in database {server.database}"
        return [problem("no-origin-schema", what, "name another origin schema", side=side, object=schema)]
    if not server.may_use_schema:
        grant = _remedy(server, "GRANT USAGE ON SCHEMA {} TO {}", schema, server.role)
        what = f"role {server.role} may not use schema {schema}"
        return [problem("schema-not-usable", what, grant, side=side, object=schema)]
    return []


def rights_problems(side: str, server: Server, catalog: Catalog, rules: Rules) -> list[Finding]:
    """Return a problem for each table that will be copied and can't be read whole.

    Truncated tables need no right, nor do columns whose mask does not depend on their value, nor those without a rule: the
    suggested statement would expose them.
    """
    problems = []
    for table in catalog.tables:
        own = rules.tables.get(table.name)
        if own is None or own.truncated:
            continue
        read = set(plan_table(table, own, catalog, frozenset()).read).difference(missing_columns(table, own))
        problems += on(side, _family_problems(table, catalog.schema))
        unreadable = [column.name for column in table.columns if column.name in read and not column.readable]
        if unreadable:
            whole = len(unreadable) == len(table.columns)
            what = "" if whole else f"{plural(len(unreadable), 'column')} {', '.join(unreadable)} of "
            granted = rights.grant_select(catalog.schema, [table.name], () if whole else unreadable, server.role)
            refused = f"role {server.role} may not SELECT {what}table {table.name}"
            remedy = f"{server.place}: {granted.as_string()}"
            problems.append(problem("table-not-readable", refused, remedy, side=side, table=table.name))
        elif table.detaching:
            problems += [
                problem(
                    "partition-half-detached",
                    f"partition {names[-1]} of table {table.name} is half detached, and a copy may lack its rows",
                    _remedy(server, "ALTER TABLE {}.{} DETACH PARTITION {}.{} FINALIZE", *names),
                    side=side,
                    table=table.name,
                    object=names[-1],
                )
                for names in table.detaching
            ]
        elif table.row_security:
            hidden = f"row security hides rows of table {table.name} from role {server.role}"
            bypass = f"{_remedy(server, 'ALTER ROLE {} BYPASSRLS', server.role)}, or truncate the table in the rules"
            problems.append(problem("rows-hidden-by-row-security", hidden, bypass, side=side, table=table.name))
        elif table.unlogged and server.in_recovery:
            lacking = f"the server is a standby, which has no rows of the unlogged table {table.name}"
            primary = "use the primary, or truncate the table in the rules"
            problems.append(problem("unlogged-table-of-standby", lacking, primary, side=side, table=table.name))
    if not catalog.tables:
        empty = f"schema {catalog.schema} of database {server.database} holds no table"
        swapped = "migrate it first, name another origin schema, or check whether the two URLs are swapped"
        problems.append(problem("no-table", empty, swapped, side=side, object=catalog.schema))
    return problems


def refresh_warnings(side: str, server: Server, plan: Plan) -> list[Finding]:
    """Return a warning if the role may not read what a refresh compares: then every run is full."""
    hidden = refresh.hidden(plan)
    if not hidden:
        return []
    granted = rights.grant_select(plan.catalog.schema, hidden, ("xmin", "ctid"), server.role).as_string()
    # one table is as bad as all: it is about the role
    unread = f"role {server.role} may not read xmin of {some(hidden)}, so every run is full"
    return [Finding("xmin-not-readable", unread, f"{server.place}: {granted}", side=side, object=server.role)]


def _family_problems(table: Table, schema: str) -> list[Finding]:
    """Return why the rows of a table's children can be published neither with the table nor with the children."""
    problems = [
        problem(
            "rows-in-extension",
            f"table {table.name} has rows in table {name}, which inherits from it and belongs to an extension",
            "stop the inheritance, or truncate the table in the rules",
            table=table.name,
        )
        for name in table.odd
    ]
    if table.children and table.kin:
        elsewhere = some([f"{child.schema}.{child.name}" for child in table.children])
        mixed = (
            f"table {table.name} has rows in children that are not published themselves ({elsewhere}) and in others that "
            f"are ({some(table.kin)})"
        )
        move = f"move all or none of them into schema {schema}, or truncate the table in the rules"
        problems.append(problem("rows-in-two-places", mixed, move, table=table.name))
    return problems


def target_problems(server: Server, schema: str) -> list[Finding]:
    """Return why the target can't be published to, whoever is to read it."""
    problems = []
    if server.encoding != "UTF8":
        encoded = f"database {server.database} is encoded in {server.encoding}"
        problems.append(problem("encoding-not-utf8", encoded, "want UTF8", side="target", object=server.database))
    if server.in_recovery:
        standby = "the server is a standby, which can't be written"
        problems.append(problem("target-is-standby", standby, "use the primary", side="target", object=server.database))
    if not server.may_create_schemas:
        refused = f"role {server.role} may not create schemas in database {server.database}"
        grant = _remedy(server, "GRANT CREATE ON DATABASE {} TO {}", server.database, server.role)
        problems.append(problem("no-right-to-create", refused, grant, side="target", object=server.database))
    reason = illegal_schema(schema)
    if reason:
        illegal = f"schema {schema!r} can't be published: {reason}"
        problems.append(problem("illegal-schema", illegal, side="target", object=schema))
    return problems


def same_database_problems(origin: Server, target: Server) -> list[Finding]:
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
        problem(
            "target-is-origin",
            f"database {target.database} on {target.address} is the origin's own ({origin.database} on {origin.address}), "
            "which a run would overwrite",
            "give the ETL a database of its own, and check whether the two URLs are swapped",
            side="target",
            object=target.database,
        )
    ]


def ownership_problems(server: Server, facts: Target, app: str, schema: str, *, adopt: bool) -> list[Finding]:
    """Return why an existing schema may not be replaced: no run of this app made it, or another role owns it.

    With `adopt`, it may lack our record: the tool before this one wrote none.
    """
    if not facts.published_exists:
        return []

    def refuse(code: str, what: str, todo: str) -> list[Finding]:
        return [problem(code, f"schema {schema} {what}", todo, side="target", object=schema)]

    another = "publish under another name"
    if not facts.owns_published:
        own = f"{another}, or if a run made it, {_remedy(server, 'ALTER SCHEMA {} OWNER TO {}', schema, server.role)}"
        return refuse("schema-of-another-role", f"belongs to {facts.published_owner}, not to {server.role}", own)
    if facts.published_comment == history.MARK:
        return refuse("schema-of-history", "holds the history of runs", another)
    found = record.read(facts.published_comment)
    if not found and not adopt:
        unknown = "exists, but no run of this tool made it: its comment holds no record"
        adopting = f"{another}, or if the tool before this one made it, use adopt (--adopt) once"
        return refuse("schema-of-a-stranger", unknown, adopting)
    if found and found.app not in ("", app):
        return refuse("schema-of-another-app", f"is published by app {found.app}, not by {app}", another)
    return []


def history_problems(job: Job, place: HistoryPlace) -> list[Finding]:
    """Return why a run can't keep its history in the schema that the job names."""
    schema, name_another = job.report_schema, "name another with report_schema (--report-schema)"

    def refuse(what: str, todo: str, named: str = schema) -> Finding:
        return problem("history-not-keepable", what, todo, side="target", object=named)

    if reason := illegal_report(job):
        return [refuse(f"the history of runs can't be kept in schema {schema!r}: {reason}", name_another)]
    if not place.exists:
        return []
    if not place.is_owned:
        owned = f"schema {schema} belongs to role {place.owner}, and the history of runs can't be kept there"
        return [refuse(owned, f"{name_another}, or have that role drop or rename it")]
    if not place.is_marked:
        unmarked = f"schema {schema} exists, but no run made it to keep the history of runs: its comment does not say so"
        return [refuse(unmarked, f"{name_another}, or drop or rename it")]
    if place.strange:
        return [
            refuse(
                f"{schema}.{name} is no table of this role's, and the history of runs can't be kept there",
                "rename it",
                f"{schema}.{name}",
            )
            for name in place.strange
        ]
    guests = [
        refuse(f"{guest} of schema {schema}, and could hide, copy or alter the history of runs", "drop it", guest)
        for guest in place.guests
    ]
    return guests + [
        refuse(f"{role} may write in the tables of schema {schema}, where only runs should", "revoke all but SELECT", role)
        for role in place.writers
    ]


def hidden_problems(
    schema: str,
    tables: Sequence[MadeTable],
    triggers: Sequence[EventTrigger],
    *,
    granted: bool,
    since: str = " as soon as it is made",
) -> list[Finding]:
    """Return a problem for each table that somebody made unreadable, or took from the ETL.

    Missing rights only count once they are `granted`. `since` says when that is so.
    """
    cause = _cause(triggers)
    found = []

    def refuse(code: str, what: str, table: str) -> None:
        found.append(problem(code, f"{what}{cause}", side="target", table=table))

    for row in tables:
        table = f"table {schema}.{row.name}"
        if row.other_owner:
            refuse("table-of-another-role", f"{table} belongs to role {row.other_owner}{since}", row.name)
        elif row.guest:
            refuse("guest-on-table", f"{row.guest} is on {table}{since}, and could copy or alter its rows", row.name)
        elif row.row_security:
            refuse("row-security-on-table", f"row security is on for {table}{since}, and hides its rows", row.name)
        elif granted and row.refused:
            readers = f"the {plural(len(row.refused), 'reader')} {some(row.refused)}"
            refuse("reader-refused", f"{readers} may not SELECT {table}, though the run granted it", row.name)
    return found


def altered_problems(
    schema: str,
    found: Mapping[str, Sequence[str]],
    wanted: Mapping[str, Sequence[str]],
    triggers: Sequence[EventTrigger],
) -> list[Finding]:
    """Return a problem for each table that somebody gave other columns than the run: nobody knows what they show."""
    return [
        problem(
            "table-altered",
            f"table {schema}.{name} has other columns as soon as it is made: want {some(list(columns))}; "
            f"found {some(list(found.get(name, ())))}{_cause(triggers)}",
            side="target",
            table=name,
        )
        for name, columns in wanted.items()
        if sorted(found.get(name, ())) != sorted(columns)
    ]


def _cause(triggers: Sequence[EventTrigger]) -> str:
    """Return the end of a line about what a run did not do itself."""
    names = ", ".join(row.name for row in triggers)
    return f"; check what event trigger {names} does, and make it leave the ETL's role or schemas alone" if names else ""


def dump_problems(side: str, server: Server, leaves: Sequence[Leaf]) -> list[Finding]:
    """Return a problem for each table or partition that pg_dump can't read: rights to columns or to a root are too few."""
    problems = [
        problem(
            "dump-of-foreign-table",
            f"partition {row.schema}.{row.name} is a foreign table, which pg_dump does not read",
            "use mode stream",
            side=side,
            table=row.name,
        )
        for row in leaves
        if row.elsewhere
    ] + [
        problem(
            "table-not-readable",
            f"role {server.role} may not SELECT all of table {row.schema}.{row.name}, as pg_dump must",
            _remedy(server, "GRANT SELECT ON TABLE {}.{} TO {}", row.schema, row.name, server.role) + ", or use mode stream",
            side=side,
            table=row.name,
        )
        for row in leaves
        if not row.readable
    ]
    return problems + [
        problem(
            "rows-hidden-by-row-security",
            f"row security hides rows of partition {row.schema}.{row.name} from role {server.role}, as pg_dump reads it "
            "directly",
            _remedy(server, "ALTER ROLE {} BYPASSRLS", server.role) + ", or use mode stream",
            side=side,
            table=row.name,
        )
        for row in leaves
        if row.row_security
    ]


def backup_problems(file: str, plan: Plan, structure: Structure) -> list[Finding]:
    """Return a problem for each copied table whose rows or values a backup has not, or has elsewhere."""
    copied = {table.name: table for table in plan.copied}
    elsewhere = [
        problem(
            "rows-beside-backup",
            f"table {each.table} has rows in {each.schema}.{each.name}, which is not restored with it",
            "use mode stream, or truncate the table in the rules",
            side=f"dump {file}",
            table=each.table,
        )
        for each in sorted(structure.relatives, key=lambda each: (each.table, each.schema, each.name))
        if each.table in copied
    ]
    return elsewhere + [
        problem(
            "column-computed-by-backup",
            f"column {table}.{name} is computed by {code}, which is code of the backup and is not run",
            "use mode stream, or truncate the table in the rules",
            side=f"dump {file}",
            table=table,
            column=name,
        )
        for (table, name), code in sorted(structure.uncomputed.items())
        if (published := copied.get(plan.catalog.partitions.get(table, table)))
        and any(column.name == name and column.is_read for column in published.columns)
    ]


def raw_problems(server: Server, schema: str) -> list[Finding]:
    """Return why raw tables can't be made in an existing schema of the target."""
    if server.may_fill_schema is not False:
        return []
    refused = f"role {server.role} may not create tables in schema {schema}, which mode dump fills with raw data"
    grant = _remedy(server, "GRANT USAGE, CREATE ON SCHEMA {} TO {}", schema, server.role)
    return [problem("no-right-to-create", refused, grant, side="target", object=schema)]


def reader_problems(server: Server, readers: Sequence[Reader]) -> list[Finding]:
    """Return whether a reader is missing, could read more than what is published, or can't read that."""
    return [line for reader in readers for line in (_power_problems(server, reader) or _entry_problems(server, reader))]


def _power_problems(server: Server, reader: Reader) -> list[Finding]:
    """Return why a role can't be a reader at all: it is missing, or could read more than what is published."""

    def refuse(code: str, what: str, todo: str) -> Finding:
        return problem(code, f"the reader {reader.name} {what}", todo, side="target", object=reader.name)

    if not reader.exists:
        return [refuse("no-reader", "does not exist", f"create the role, or {_instead_of(reader)}")]
    if reader.is_superuser:
        todo = "use a role without rights of its own"
        return [refuse("reader-too-powerful", "is a superuser, who reads everything", todo)]
    if reader.is_self:
        todo = "use a role of its own" + (" for Metabase" if reader.is_first else "")
        return [refuse("reader-too-powerful", "is the ETL's own role", todo)]
    if reader.powers:
        member = f"is too powerful: it is a member of {', '.join(reader.powers)}, itself or through another role"
        return [refuse("reader-too-powerful", member, "revoke that")]
    if reader.attributes:
        return [
            refuse(
                "reader-too-powerful",
                f"is too powerful: it has {attribute}",
                _remedy(server, _WITHOUT[attribute], reader.name),
            )
            for attribute in reader.attributes
        ]
    if reader.owns_database:
        owner = f"owns database {server.database}, itself or through another role, and could take what the ETL makes there"
        return [refuse("reader-too-powerful", owner, "have a role own it that the reader is no member of")]
    return []


def _entry_problems(server: Server, reader: Reader) -> list[Finding]:
    """Return why nobody can read as this reader."""
    problems = []

    def refuse(what: str, todo: str) -> None:
        problems.append(problem("reader-kept-out", what, todo, side="target", object=reader.name))

    if not reader.may_log_in:
        login = "ALTER ROLE {} LOGIN" + (" CONNECTION LIMIT -1" if reader.may_have_no_session else "")
        todo = f"{_remedy(server, login, reader.name)}, or {_instead_of(reader)}"
        refuse(f"nobody can log in as the reader {reader.name}", todo)
    if reader.expired:
        valid = _remedy(server, "ALTER ROLE {} VALID UNTIL 'infinity'", reader.name)
        refuse(f"the password of the reader {reader.name} has expired", valid)
    if not reader.may_connect:
        grant = _remedy(server, "GRANT CONNECT ON DATABASE {} TO {}", server.database, reader.name)
        refuse(f"the reader {reader.name} may not connect to database {server.database}", grant)
    return problems


def _instead_of(reader: Reader) -> str:
    """Return what to do with a reader that is no role to read as."""
    return "name the one that Metabase connects as" if reader.is_first else "take it off schema_reader (--schema-reader)"


def reader_warnings(readers: Sequence[Reader]) -> list[Finding]:
    """Return a warning for each power of a reader that no run refuses: it shows no table of the ETL's that is not published.

    Those are to watch other sessions, to end them, and to read what the first reader may.
    """
    found = []

    def warn(code: str, reader: Reader, roles: str, what: str) -> None:
        said = f"the reader {reader.name} is a member of {roles}, and {what}"
        # about just these roles: to expect them is not to expect one more
        found.append(Finding(code, said, "revoke it", object=f"{reader.name} in {roles}"))

    for reader in readers:
        if watching := [role for role in reader.watches if role != "pg_signal_backend"]:
            seen = "sees the statements of all sessions and the server's settings, which may quote what is personal"
            warn("reader-sees-statements", reader, ", ".join(watching), seen)
        if "pg_signal_backend" in reader.watches:
            warn("reader-may-end-sessions", reader, "pg_signal_backend", "could end any run")
        if first := reader.follows_first:
            warn("reader-follows-another", reader, first, f"may read all that {first} may: also other apps' schemas")
    return found


def stranger_problems(server: Server, schema: str, strangers: Sequence[Stranger]) -> list[Finding]:
    """Return a problem for each object of others in or on the published schema that no run creates again."""
    return [_stranger_problem(server, schema, row) for row in strangers]


def may_go(stranger: Stranger) -> bool:
    """Tell whether a run may drop it if told to: the role can, and it holds no data of others."""
    return stranger.owned and stranger.type in _WITHOUT_DATA


def lacking_problems(lacking: Sequence[MissingType], columns: Mapping[str, str], major: int) -> list[Finding]:
    """Return a problem for each published type that the target's version does not have."""
    return [
        problem(
            "no-type",
            f"Postgres {major} has no type {row.name}, which column {columns[row.name]} needs",
            "use a newer target, or truncate the table in the rules",
            side="target",
            object=columns[row.name],
        )
        for row in lacking
        if row.what == "type"
    ]


def spelling_problems(side: str, columns: Mapping[str, str]) -> list[Finding]:
    """Return a problem for each published type whose spelling is none: no server says so unless somebody made it lie."""
    return [
        problem(
            "no-spelling-of-a-type",
            f"column {column} is said to be of type {type_[:100]}, which is no spelling of a type",
            "find out who answers there, and what was replaced in its pg_catalog",
            side=side,
            object=column,
        )
        for type_, column in columns.items()
        if not foreign.is_type(type_)
    ]


def xml_problems(columns: Mapping[str, str]) -> list[Finding]:
    """Return a problem for each column of documents, given with its type, which the target can't read."""
    return [
        problem(
            "no-libxml",
            f"this server was built without libxml, which column {column} of type {type_} needs",
            "use another server, mask the column if it may be NULL, or truncate the table in the rules",
            side="target",
            object=column,
        )
        for column, type_ in columns.items()
    ]


def exposed_problems(rights: Sequence[Readable]) -> list[Finding]:
    """Return a problem for everything besides published schemas that a reader could read."""
    found = []
    for row in rights:
        what, todo = _EXPOSED.get(row.what, _READABLE)
        said = what.format(reader=row.reader, what=row.what, name=row.name)
        found.append(problem("reader-could-read", said, todo, side="target", object=row.name))
    return found


def _stranger_problem(server: Server, schema: str, row: Stranger) -> Finding:
    what = row.title

    def refuse(code: str, said: str, todo: str) -> Finding:
        return problem(code, said, todo, side="target", object=row.name)

    if row.place == "in" and row.recorded:
        owner = sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.SQL(row.name), sql.Identifier(server.role)).as_string()
        taken = f"{what}, which a run made, belongs to {row.owner}, not to {server.role}"
        return refuse("table-of-another-role", taken, f"{server.place}: {owner}")
    if row.place == "in":
        inside = f"{what} of role {row.owner} stands in schema {schema}, which each run replaces"
        return refuse("stranger-in-schema", inside, "move it elsewhere")
    if row.place == "at":
        secured = f"{what} has row security, which the new one would not have"
        return refuse("row-security-on-table", secured, "disable it, and give others a view of it in another schema")
    remedy = "drop it, and create it again after the run"
    option = ", or use drop_dependants (--drop-dependants), which drops it" if may_go(row) else ""
    depending = f"{what} depends on schema {schema} and would stay with the old one"
    return refuse("stranger-on-schema", depending, f"{remedy}{option}")


def _remedy(server: Server, statement: str, *names: str) -> str:
    """Return a statement ready to paste, after the place where it must run: URLs may be swapped."""
    return f"{server.place}: {sql.SQL(statement).format(*map(sql.Identifier, names)).as_string()}"
