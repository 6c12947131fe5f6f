"""The pseudonym key: loaded where the rules name pseudonyms, and tried on a session before a row is read."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from multischema import core_files
from multischema.errors import EtlError
from multischema.findings import Finding, problem
from multischema.masks import pseudonyms
from multischema.plan.plan import Plan
from multischema.postgres.sessions import refused_secrets
from multischema.rules.file import Rules
from multischema.stages import state
from multischema.stages.run import Run
from multischema.words import plural

_TRIED = " Self-Test +33 (0)1 23 45 67 89 "
# A pooler may log the options that it refuses (PgBouncer before 1.20 does), so it gets those of this key first
_NO_SECRET = b"no secret, for trying who answers"


def domains_of(plan: Plan | None, rules: Rules) -> Sequence[str]:
    """Return the pseudonym domains of a plan, of the rules where these let there be none."""
    if plan:
        return plan.pseudonym_domains
    masks = (rule.mask for table in rules.tables.values() for rule in table.masks.values() if not table.truncated)
    return sorted({mask.domain for mask in masks if mask} - {""})


def domain_problems(domains: Sequence[str]) -> list[Finding]:
    """Return a problem if there are more domains than a session can have keys for."""
    if len(domains) <= pseudonyms.MAX_DOMAINS:
        return []
    return [
        problem(
            "too-many-domains",
            f"{len(domains)} pseudonym domains ({', '.join(domains)})",
            f"a run can have {pseudonyms.MAX_DOMAINS}: name one domain where columns hold the same kind of value",
            side="rules",
            object="domains",
        )
    ]


def take_key(run: Run, domains: Sequence[str], unusable: Collection[str]) -> list[Finding]:
    """Load the key if there are domains, and have the sessions that mask rows compute with it; return the problems.

    It is not tried where one of these databases is `unusable`.
    """
    if not domains:
        return []
    if too_many := domain_problems(domains):
        return too_many
    core_files.forbid()
    try:
        master = run.find_key()
    except EtlError as error:
        needed = f"the rules name the pseudonym {plural(len(domains), 'domain')} {', '.join(domains)}"
        return [problem("no-pseudonym-key", f"{needed}: {line}", object="pseudonym-key") for line in error.problems]
    run.key_fingerprint = pseudonyms.fingerprint(master)
    run.secrets = tuple(pseudonyms.settings(master, domains).items())
    if unusable:
        return []
    try:
        refused = _refused(run, domains, _NO_SECRET) or _refused(run, domains, master)
    except EtlError as error:
        return error.found_on(run.source.side)
    if not refused:
        return []
    return [
        problem(
            "pseudonym-key-not-arrived",
            f"the pseudonym keys, which a session gets as it starts (options), did not arrive: {refused}",
            "if the URL leads to a pooler (such as PgBouncer), use the server's own address and port",
            side=run.source.side,
            object="pseudonym-key",
        )
    ]


def key_warnings(run: Run) -> list[Finding]:
    """Return a warning if the key is not that of the last run, and one if it is not that of other schemas' last runs."""
    if not run.key_fingerprint:
        return []
    with run.sessions.lend(run.target) as connection:
        others = [schema for schema, key in state.pseudonym_keys(connection).items() if key != run.key_fingerprint]
    warnings = []
    if run.job.schema in others:
        others.remove(run.job.schema)
        anew = "the pseudonym key is not that of the last run: a run makes every pseudonym anew"
        warnings.append(Finding("pseudonym-key-changed", anew, object=run.job.schema))
    return warnings + [
        Finding(
            "other-pseudonym-key",
            f"pseudonyms of schema {name} were made with another key, and join none that this one makes: unless this key is "
            "the wrong one, run its app too",
            object=name,
        )
        for name in others
    ]


def _refused(run: Run, domains: Sequence[str], master: bytes) -> str | None:
    """Return why a new session that masks rows does not compute with this key, or None. Raises EtlError."""
    database = replace(run.source, secrets=tuple(pseudonyms.settings(master, domains).items()))
    wanted = [pseudonyms.pseudonym(master, domain, _TRIED) for domain in domains]
    return refused_secrets(run.sessions, database, pseudonyms.tested(domains, _TRIED), wanted)
