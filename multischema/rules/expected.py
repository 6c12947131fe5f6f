"""Warnings that the rules expect: known by code and object, they are counted and named, and no longer shown."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from multischema.findings import Finding, note
from multischema.rules.file import Expected
from multischema.words import count, cut, suggestion

# The codes of warnings that say what is so, run after run, until somebody changes it: those that the rules and the origin's
# catalog give in every check,
OF_ORIGIN = frozenset(
    {
        *("in-both-lists", "key-anonymized", "key-published", "key-without-rule", "mask-hides-nothing", "mask-left-out"),
        *("unknown-column", "unknown-table", "unknown-value", "unused-reason"),
        *("column-of-child-not-read", "computed-column-left-out", "constraint-not-kept", "foreign-key-masked-otherwise"),
        *("foreign-key-of-masked-column", "foreign-key-of-unpublished-column", "foreign-key-to-no-key"),
        *("foreign-key-to-truncated-table", "foreign-key-to-unpublished-table", "index-by-order-of-enum"),
        *("index-invalid-in-origin", "index-not-unique", "index-of-partition", "index-of-unpublished-column"),
        *("index-refused", "index-with-constant", "primary-key-may-be-null", "relation-not-read", "schema-not-read"),
    }
)
# those that a check with a target gives,
OF_CHECK = frozenset(
    {
        *("few-connections", "no-collation", "reader-follows-another", "reader-may-end-sessions"),
        *("reader-sees-statements", "standby-cancels-statements", "unverified-server"),
    }
)
# and those that only some runs or modes give.
OF_RUN = frozenset(
    {
        "scan-unfinished",
        *("backup-key-left-out", "dump-kept", "few-pseudonyms", "foreign-key-not-built", "index-not-built"),
        *("index-of-repeated-pseudonyms", "key-not-built", "kept-dump-restored", "next-full-run-refused"),
        *("origin-changes-servers", "stale-view", "xmin-not-readable"),
    }
)
STATES = OF_ORIGIN | OF_CHECK | OF_RUN
# The codes of warnings that say what happened, or what was counted in rows. To expect one would hide the next: another
# column that loses its mask, more people whom a combination of values points at.
EVENTS = frozenset(
    {
        *("column-masked-less", "column-masked-otherwise", "column-published-as-it-is", "default-privileges-ended"),
        *("expected-warning-is-an-event", "expected-warning-unknown", "metabase-not-told", "other-pseudonym-key"),
        *("pseudonym-key-changed", "rare-combinations", "reader-dismissed", "rights-ended", "run-under-way", "schema-stays"),
        *("still-readable", "stranger-dropped", "table-truncated", "view-dropped"),
        # a column is accepted with a reason in clear_because
        *("scan-card", "scan-email", "scan-iban", "scan-ip-address", "scan-nir", "scan-own-data", "scan-phone"),
        "scan-postal-address",
    }
)


@dataclass(frozen=True)
class Told:
    """Findings as they are told: warnings and notes, one by one, and the expected warnings, all in one line."""

    warnings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    expected: tuple[Finding, ...] = ()

    def expected_line(self) -> str:
        """Return the line that names the expected warnings, empty if there is none."""
        named = ", ".join(f"{finding.code} {finding.object}" for finding in self.expected)
        return f"{count(len(self.expected), 'expected warning')}: {named}" if named else ""


def told(found: Iterable[Finding], expected: Collection[Expected]) -> Told:
    """Part findings into what is shown, and the warnings whose code and object are expected; problems are left out."""
    known = {(each.code, each.object) for each in expected if each.code not in EVENTS}
    warnings: list[Finding] = []
    notes: list[Finding] = []
    named: list[Finding] = []
    for finding in found:
        if finding.level == "note":
            notes.append(finding)
        elif finding.level == "warning":
            (named if (finding.code, finding.object) in known else warnings).append(finding)
    return Told(tuple(warnings), tuple(notes), tuple(named))


def misfits(expected: Iterable[Expected]) -> list[Finding]:
    """Return a warning for each expected one that has no code of a warning, or one that can't be expected."""
    found = []
    for each in expected:
        if each.code in EVENTS:
            what = f"expected_warnings: {each.code} says what happened, and is shown all the same"
            found.append(_about("expected-warning-is-an-event", each, what))
        elif each.code not in STATES:
            close = suggestion(each.code, sorted(STATES))
            what = f"expected_warnings: no warning has the code {cut(each.code)}{close}"
            found.append(_about("expected-warning-unknown", each, what))
    return found


def past(expected: Iterable[Expected], found: Iterable[Finding], codes: Collection[str]) -> list[Finding]:
    """Return a note for each expected warning of these codes that is not among what a check found."""
    given = {(finding.code, finding.object) for finding in found if finding.level == "warning"}
    return [
        note(
            "expected-warning-not-given",
            f"expected_warnings: nothing warns of {each.object} with {each.code} any more",
            "take it out",
            side="rules",
            object=each.object,
            line=each.line,
        )
        for each in expected
        if each.code in codes and (each.code, each.object) not in given
    ]


def _about(code: str, each: Expected, what: str) -> Finding:
    todo = "take it out" if code == "expected-warning-is-an-event" else "take the code from the warning, or take it out"
    return Finding(code, what, todo, side="rules", object=each.object, line=each.line)
