"""Which keys and indexes survive the masks, and what the report says of those that do not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from multischema.catalog.tables import Catalog, Child, ForeignKey, Index, Table
from multischema.masks.mask import Refined
from multischema.masks.periods import Period
from multischema.masks.pseudonyms import Pseudonym
from multischema.plan.keys import Keys, plan_keys, unique_problems
from multischema.plan.tables import TablePlan, plan_table
from multischema.rules.file import TableRules
from multischema.rules.masks import MaskRule, OnlyWhen
from tests.support.origins import catalog, column, foreign_key, index, masking, table, truncating

COLUMNS = (
    column("id", "integer", not_null=True),
    column("email"),
    column("number", "integer"),
    column("code", "integer", not_null=True),
    column("city"),
    column("upper_email", generated_from=("email",)),
)
MASKED = masking("users", "email", "number", "code")


def plan(rules: dict[str, TableRules], *tables: Table) -> Keys:
    """Return the plan of the keys of an origin of these tables."""
    plans = {t.name: plan_table(t, rules.get(t.name), catalog(*tables), frozenset()) for t in tables}
    return plan_keys(tables, plans, "public", all_indexes=True)


def planned_index(
    *keys: str | None, key: tuple[str, ...] = ("id",), **values: Any
) -> tuple[tuple[bool, str] | None, list[str]]:
    """Return whether an index over `keys` of `users` is unique, and a key, and the notes."""
    made = index("users", "x", *keys, **{"unique": True, **values})
    keys_ = plan({"users": MASKED}, table("users", *COLUMNS, key=key, indexes=[made]))
    found = [(i.unique, i.constraint) for i in keys_.indexes if i.name == "x"]
    return (found[0] if found else None), list(keys_.notes)


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["city"], {}),
        (["email"], {}),
        (["number"], {}),  # NULL, and NULLs are distinct
        (["code", "email"], {}),
        (["city", None], {}),
        (["email", None], {"columns": ("email", "code")}),
        (["email"], {"definition": "USING btree (email) WHERE (code > 0)", "columns": ("email", "code")}),
        (["city"], {"definition": "USING btree (city) INCLUDE (code)", "columns": ("code", "city")}),
        (["city"], {"definition": "USING btree (city) NULLS NOT DISTINCT"}),
    ],
)
def test_an_index_stays_unique_over_what_is_not_masked_or_masked_row_by_row(
    keys: list[str | None], values: dict[str, Any]
) -> None:
    assert planned_index(*keys, **values) == ((True, ""), [])
    assert planned_index(*keys, constraint_kind="u", **values) == ((True, "u"), [])


@pytest.mark.parametrize(
    ("definition", "keys", "columns"),
    [
        ("(city) WHERE email = 'marie@exemple.org'::text", ["city"], ("city", "email")),
        ("(city) WHERE email = E'mar\\\\ie'::text", ["city"], ("city", "email")),
        ("(city) WHERE city = 'a'::text AND number > 12", ["city"], ("city", "number")),
        ("(city) WHERE number = ANY (ARRAY[12, 13])", ["city"], ("city", "number")),
        ("(city) WHERE 1983 = number", ["city"], ("city", "number")),
        ("(city) WHERE number = 0.73", ["city"], ("city", "number")),
        ("(city) WHERE number = 0.8125::double precision", ["city"], ("city", "number")),
        ("(city) WHERE number = 1e+30", ["city"], ("city", "number")),
        ("(city) WHERE number = ANY (ARRAY[0, 1983])", ["city"], ("city", "number")),
        ("(city) WHERE (number - 1983) = 0", ["city"], ("city", "number")),
        ("((number - 1983), city)", [None, "city"], ("city", "number")),
        ("(city, COALESCE(number, 1983))", ["city", None], ("city", "number")),
        ("(city) WHERE users.* = ROW(1, 'marie@x.fr'::text)::users", ["city"], ("city", "number")),
        ("((users.* IS DISTINCT FROM ROW(1)::users))", [None], ("number",)),
        ("((number > 12), (city = ANY (ARRAY['a'::text, 'b'::text])))", [None, None], ("city", "number")),
        ("((email = 'marie@exemple.org'::text))", [None], ("email",)),
        ("(city, lower(email || 'x'::text)) WHERE city <> ''::text", ["city", None], ("city", "email")),
    ],
)
def test_an_index_whose_definition_may_quote_a_masked_value_is_left_out(
    definition: str, keys: list[str | None], columns: tuple[str, ...]
) -> None:
    found, (note,) = planned_index(*keys, unique=False, definition=f"USING btree {definition}", columns=columns)
    assert found is None
    assert note == (
        f"index x of users left out: a constant in its definition may be a value of {columns[-1]}, which is not published"
    )


@pytest.mark.parametrize(
    ("definition", "keys", "columns"),
    [
        ("(email) WHERE city = 'Lyon'::text", ["email"], ("city", "email")),
        ("(city) WHERE email <> ''::text AND number > 0 AND email IS NOT NULL", ["city"], ("city", "email", "number")),
        ("(lower(email)) WHERE city = 'Lyon'::text", [None], ("city", "email")),
        ("(city, email) WITH (fillfactor='70')", ["city", "email"], ("city", "email")),
        ("(city) WHERE city = 'email'::text", ["city"], ("city", "email")),
        ("(city) WHERE number > 0 AND number <> 0.0", ["city"], ("city", "number")),
        ("(email) WHERE city2 = 'a'::text", ["email"], ("city", "email")),
        ("(md5(email), float8(number), address2(email))", [None, None, None], ("email", "number")),
        ("(email, (city || '1'::text))", ["email", None], ("city", "email")),
        ("(lower(email), (city || 'a, b (c'::text)) INCLUDE (number)", [None, None], ("city", "email", "number")),
        ("(lower(email)) WITH (fillfactor='70') WHERE city = 'a'::text", [None], ("city", "email")),
    ],
)
def test_an_index_whose_constants_are_not_beside_a_masked_column_is_built(
    definition: str, keys: list[str | None], columns: tuple[str, ...]
) -> None:
    found, notes = planned_index(*keys, unique=False, definition=f"USING btree {definition}", columns=columns)
    assert (found, notes) == ((False, ""), [])


def test_a_definition_whose_keys_can_t_be_told_apart_is_looked_at_as_a_whole() -> None:
    definition = "USING btree ((email, city) WHERE city = 'a'::text"
    assert planned_index("email", "city", "number", definition=definition, columns=("city", "email"))[0] is None


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["code"], {}),
        (["city", "code"], {}),
        ([None], {"columns": ("email",)}),
        (["city"], {"definition": "USING btree (city) WHERE (code > 0)", "columns": ("city", "code")}),
        (["number"], {"definition": "USING btree (number) NULLS NOT DISTINCT"}),
        (["email"], {"definition": "USING btree (email) NULLS NOT DISTINCT"}),
    ],
)
def test_an_index_over_equal_masks_becomes_a_plain_one_and_the_report_says_so(
    keys: list[str | None], values: dict[str, Any]
) -> None:
    assert planned_index(*keys, **values) == (
        (False, ""),
        ["index x of users is built as a plain index: masked values are not unique"],
    )
    assert planned_index(*keys, constraint_kind="u", **values) == (
        (False, ""),
        ["unique constraint x of users is built as a plain index: masked values are not unique"],
    )


def test_masks_are_unique_only_where_what_they_hold_is() -> None:
    assert planned_index("email", key=("code",))[0] == (False, "")  # by id, of which nothing says that it is unique
    users = table(
        "users", *COLUMNS, indexes=[index("users", "x", "email", unique=True), index("users", "y", "id", unique=True)]
    )
    assert all(i.unique for i in plan({"users": MASKED}, users).indexes)
    without_key = table("users", column("email"), indexes=[index("users", "x", "email", unique=True)])
    assert all(i.unique for i in plan({"users": MASKED}, without_key).indexes)


def test_a_primary_key_that_is_masked_by_a_constant_becomes_a_plain_index() -> None:
    keys = plan({"users": masking("users", "id")}, table("users", *COLUMNS, key=["id"]))
    assert [(i.name, i.unique, i.constraint) for i in keys.indexes] == [("users_pkey", False, "")]
    assert keys.notes == ("primary key users_pkey of users is built as a plain index: masked values are not unique",)


@pytest.mark.parametrize(
    ("made", "note"),
    [
        (index("users", "x", "city", valid=False), "index x of users left out: it is invalid in the origin"),
        (index("users", "x", "upper_email"), "index x of users left out: column upper_email is not published"),
        (
            index("users", "x", "city", columns=("city", "upper_email"), constraint_kind="u", unique=True),
            "unique constraint x of users left out: column upper_email is not published",
        ),
    ],
)
def test_an_invalid_index_and_one_over_what_is_not_published_are_left_out(made: Index, note: str) -> None:
    keys = plan({"users": MASKED}, table("users", *COLUMNS, indexes=[made]))
    assert (keys.indexes, keys.notes) == ((), (note,))


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (index("users", "x", "city", constraint_kind="x", method="gist"), "exclusion constraint"),
        (index("users", "x", "city", constraint_kind="p", method="gist", unique=True), "primary key"),
    ],
)
def test_a_constraint_that_no_btree_holds_becomes_a_plain_index(made: Index, what: str) -> None:
    keys = plan({"users": MASKED}, table("users", *COLUMNS, indexes=[made]))
    assert [(i.unique, i.constraint) for i in keys.indexes] == [(False, "")]
    assert keys.notes == (f"{what} x of users is built as a plain index",)


AGENTS = table(
    "agents",
    column("id", "integer", not_null=True),
    column("email"),
    column("code", "integer", not_null=True),
    column("number", "integer", generated_from=("email",)),
    key=["id"],
    indexes=[index("agents", "by_email", "email", unique=True)],
)


@pytest.mark.parametrize(
    ("key", "rules", "reason"),
    [
        (foreign_key("rdvs", "agent_id", "agents"), {}, None),
        (foreign_key("rdvs", "agent_id", "rdvs"), {}, None),
        (foreign_key("rdvs", "agent_id", "agents"), {"agents": masking("agents", "email")}, None),
        (foreign_key("rdvs", "agent_id", "agents"), {"agents": truncating("agents")}, "agents is truncated"),
        (foreign_key("rdvs", "agent_id", "agents"), {"rdvs": truncating("rdvs")}, None),
        (foreign_key("rdvs", "agent_id", "agents", schema="other"), {}, "other.agents is not published"),
        (foreign_key("rdvs", "agent_id", "an_extensions"), {}, "public.an_extensions is not published"),
        (
            foreign_key("rdvs", "agent_id", "agents"),
            {"rdvs": masking("rdvs", "agent_id")},
            "column rdvs.agent_id is masked",
        ),
        (foreign_key("rdvs", "agent_id", "agents"), {"agents": masking("agents", "id")}, "column agents.id is masked"),
        (
            foreign_key("rdvs", "agent_id", "agents", "number"),
            {"agents": masking("agents", "email")},
            "column agents.number is not published",
        ),
        (foreign_key("rdvs", "agent_id", "agents", "code"), {}, "agents has no such key any more"),
    ],
)
def test_a_foreign_key_survives_unless_it_could_be_wrong(
    key: ForeignKey, rules: dict[str, TableRules], reason: str | None
) -> None:
    rdvs = table("rdvs", column("id", "integer"), column("agent_id", "integer"), key=["id"], foreign_keys=[key])
    keys = plan(rules, AGENTS, rdvs)
    assert keys.foreign_keys == (() if reason else (key,))
    notes = [note for note in keys.notes if note.startswith("foreign key")]
    assert notes == ([f"foreign key rdvs_agent_id_fkey of rdvs left out: {reason}"] if reason else [])


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["email"], {}),
        (["email"], {"unique": True}),
        (["email", "number"], {}),
        ([None], {"columns": ("email",)}),
        (["email", None], {"columns": ("email", "number")}),
        (["email"], {"method": "gin"}),
        (["email"], {"definition": "USING btree (email) WHERE (city IS NULL)", "columns": ("email", "city")}),
        (["email"], {"definition": "USING btree (email) INCLUDE (city)", "columns": ("email", "city")}),
    ],
)
def test_a_useful_run_builds_no_index_of_masked_columns_only(keys: list[str | None], values: dict[str, Any]) -> None:
    assert left_out(keys, **values) == ["x"]


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["city"], {}),
        (["email", "city"], {}),
        (["city", "email"], {"unique": True}),
        ([None], {"columns": ("email", "city")}),
        ([None], {"columns": ()}),
        (["email", None], {"columns": ("email", "city")}),
        (["email"], {"unique": True, "constraint_kind": "u"}),
        (["email"], {"method": "gist", "constraint_kind": "x"}),
    ],
)
def test_a_useful_run_builds_all_other_indexes_and_every_key(keys: list[str | None], values: dict[str, Any]) -> None:
    assert left_out(keys, **values) == []


def left_out(keys: list[str | None], **values: Any) -> list[str]:
    """Return the indexes that a run leaves out as useless, of one over `keys` of `users`; all others are planned."""
    users = table("users", *COLUMNS[:-1], key=["id"], indexes=[index("users", "x", *keys, **values)])
    plans = {"users": plan_table(users, MASKED, catalog(users), frozenset())}
    found = plan_keys([users], plans, "public", all_indexes=False)
    names = [useless.name for useless in found.useless]
    assert sorted([*names, *(planned.name for planned in found.indexes)]) == ["users_pkey", "x"]
    return names


def test_an_index_that_compares_by_the_order_of_an_enum_is_left_out() -> None:
    found, notes = planned_index("city", orders_of=("kind", "status"))
    assert found is None
    assert notes == ["index x of users left out: it compares by the order of enum kind, status, which is text here"]


def refining(table: str, **masks: Refined | MaskRule) -> TableRules:
    """Return the rules of a table that anonymize these columns by these masks."""
    rules = {name: mask if isinstance(mask, MaskRule) else MaskRule(mask) for name, mask in masks.items()}
    return replace(masking(table, *masks), masks=rules)


YEAR = Period("year")
PEOPLE = (
    column("id", "integer", not_null=True),
    column("born", "date"),
    column("joined", "date", not_null=True),
    column("email"),
    column("code", "integer", not_null=True),
    column("city"),
)
REFINED = replace(
    refining("people", born=YEAR, joined=YEAR, email=Pseudonym("a")),
    anonymized=frozenset(["born", "joined", "email", "code"]),
)


def refined_index(*keys: str | None, **values: Any) -> tuple[tuple[bool, str] | None, Sequence[str], Sequence[str]]:
    """Return whether an index over `keys` of `people` is unique, and a key, with the notes, and the problems."""
    made = index("people", "x", *keys, **{"unique": True, **values})
    primary = () if made.constraint_kind == "p" else ("id",)
    people = table("people", *PEOPLE, key=primary, indexes=[made])
    found = catalog(people)
    its = plan_table(people, REFINED, found, frozenset())
    keys_ = plan_keys([people], {"people": its}, "public", all_indexes=False)
    planned = [(i.unique, i.constraint) for i in keys_.indexes if i.name == "x"]
    return (planned[0] if planned else None), list(keys_.notes), unique_problems(found, [its])


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["born"], {}),
        (["email"], {}),
        (["code", "born"], {}),  # by the year, whatever stands beside it
        ([None], {"columns": ("born", "code")}),
        (["email"], {"definition": "USING btree (email) WHERE (born IS NOT NULL)", "columns": ("email", "born")}),
    ],
)
def test_an_index_is_kept_if_anybody_can_search_by_one_of_its_masked_columns(
    keys: list[str | None], values: dict[str, Any]
) -> None:
    assert refined_index(*keys, unique=False, **values) == ((False, ""), [], [])


def test_an_index_whose_constant_may_be_a_value_of_a_refined_column_is_left_out() -> None:
    definition = "USING btree (city) WHERE (born > '1990-01-01'::date)"
    found, (note,), problems = refined_index("city", unique=False, definition=definition, columns=("city", "born"))
    assert (found, problems) == (None, [])
    assert note == "index x of people left out: a constant in its definition may be a value of born, which is not published"
    assert refined_index("born", definition=definition, columns=("city", "born"))[2] == []


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["email"], {}),
        (["city", "email"], {}),
        (["email", "city"], {"definition": "USING btree (email, city) NULLS NOT DISTINCT"}),
        ([None], {"columns": ("email",), "definition": "USING btree (lower(email))"}),
        (["email"], {"definition": "USING btree (email) WHERE (city IS NULL)", "columns": ("email", "city")}),
        (["city"], {"definition": "USING btree (city) WHERE (email IS NULL)", "columns": ("email", "city")}),
        (["city"], {"definition": "USING btree (city) INCLUDE (born)", "columns": ("city", "born")}),
    ],
)
def test_an_index_stays_unique_over_pseudonyms(keys: list[str | None], values: dict[str, Any]) -> None:
    assert refined_index(*keys, **values) == ((True, ""), [], [])
    assert refined_index(*keys, constraint_kind="u", **values) == ((True, "u"), [], [])


def test_pseudonyms_beside_a_constant_are_not_unique_by_themselves() -> None:
    found, notes, problems = refined_index("code", "email")
    assert (found, problems) == ((False, ""), [])
    assert notes == ["index x of people is built as a plain index: masked values are not unique"]


@pytest.mark.parametrize(
    ("keys", "values", "what"),
    [
        (["joined"], {}, "unique index"),
        (["joined"], {"constraint_kind": "u"}, "unique constraint"),
        (["joined"], {"constraint_kind": "p"}, "primary key"),
        (["id", "joined"], {}, "unique index"),
        (["code", "joined"], {}, "unique index"),
        ([None], {"columns": ("joined",), "definition": "USING btree (f(joined))"}, "unique index"),
        (
            [None],
            {"columns": ("joined", "born"), "definition": "USING btree (f(joined)) WHERE (born IS NULL)"},
            "unique index",
        ),
        ([None], {"columns": ("joined", "city"), "definition": "USING btree (f(people.*))"}, "unique index"),
        (["joined"], {"definition": "USING btree (joined) NULLS NOT DISTINCT"}, "unique index"),
    ],
)
def test_a_mask_that_makes_values_equal_is_refused_where_they_must_differ(
    keys: list[str | None], values: dict[str, Any], what: str
) -> None:
    line = f"people.joined is in {what} x, and mask period makes values equal; take it out of masks"
    assert refined_index(*keys, **values)[2] == [line]


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["city"], {"definition": "USING btree (city) WHERE (born IS NULL)", "columns": ("city", "born")}),
        ([None], {"definition": "USING btree (f(city)) WHERE (born IS NULL)", "columns": ("city", "born")}),
        (["born"], {"valid": False}),
        (["born"], {"constraint_kind": "p", "method": "gist"}),  # WITHOUT OVERLAPS
        (["born"], {"constraint_kind": "x", "method": "gist", "unique": False}),
        (["born"], {"unique": False}),
    ],
)
def test_a_mask_that_makes_values_equal_is_not_refused_where_nothing_keeps_them_apart(
    keys: list[str | None], values: dict[str, Any]
) -> None:
    found, notes, problems = refined_index(*keys, **values)
    assert problems == []
    assert found == (None if "valid" in values else (False, ""))
    assert not values.get("unique", True) or len(notes) == 1


def test_rows_that_differ_by_another_mask_let_a_lossy_one_stand_beside_it() -> None:
    people = table(
        "people", *PEOPLE, column("name"), key=["id"], indexes=[index("people", "x", "name", "born", unique=True)]
    )
    rules = replace(REFINED, anonymized=REFINED.anonymized | {"name"})
    its = plan_table(people, rules, catalog(people), frozenset())
    assert unique_problems(catalog(people), [its]) == []
    family = replace(people, indexes=(index("people", "x", "born", unique=True),), children=(Child("public", "kids", ()),))
    its = plan_table(family, rules, catalog(family), frozenset())
    assert unique_problems(catalog(family), [its]) == []  # with rows of children, nothing is unique anyway


def test_what_fits_a_unique_column_is_named_by_its_type() -> None:
    assert unique_problems(*masked_by_period("email")) == [
        "people.email is in unique index x, and mask period makes values equal; want pseudonym, or take it out of masks"
    ]
    assert unique_problems(*masked_by_period("born")) == [
        "people.born is in unique index x, and mask period makes values equal; take it out of masks"
    ]


def masked_by_period(name: str) -> tuple[Catalog, list[TablePlan]]:
    """Return a column under a lossy mask and a unique index, and its plan: whether the mask fits is asked elsewhere."""
    people = table("people", *PEOPLE, key=["id"], indexes=[index("people", "x", name, unique=True)])
    return catalog(people), [plan_table(people, refining("people", **{name: YEAR}), catalog(people), frozenset())]


def test_a_primary_key_over_a_column_that_may_lose_its_values_is_built_as_a_unique_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert refined_index("email", "city", constraint_kind="p")[:2] == ((True, "p"), [])
    monkeypatch.setattr(Pseudonym, "keeps_not_null", False)
    assert refined_index("email", "city", constraint_kind="p")[:2] == (
        (True, ""),
        ["primary key x of people is built as a unique index: column email may be NULL"],
    )


ACCOUNTS = table(
    "accounts",
    column("id", "integer", not_null=True),
    column("email"),
    column("site", "integer"),
    key=["id"],
    indexes=[index("accounts", "by_email", "email", unique=True), index("accounts", "both", "site", "email", unique=True)],
)
BY_EMAIL = foreign_key("letters", "email", "accounts", "email")
BY_BOTH = ForeignKey("letters", "both", ("site", "email"), "public", "accounts", ("site", "email"))
OWN = "letters.email is not masked as accounts.email is; the same pseudonym on both would keep it"
OTHER = "accounts.email is not masked as letters.email is; the same pseudonym on both would keep it"
IN_PART = MaskRule(Pseudonym("a"), OnlyWhen("id", ("1",)))


@pytest.mark.parametrize("key", [BY_EMAIL, BY_BOTH])
@pytest.mark.parametrize(
    ("own", "other", "reason"),
    [
        ([Pseudonym("a")], [Pseudonym("a")], None),
        (
            [Pseudonym("a")],
            [Pseudonym("b")],
            OWN,
        ),
        ([Pseudonym("a")], [], OWN),
        ([], [Pseudonym("a")], OTHER),
        ([None], [Pseudonym("a")], OWN),
        ([Pseudonym("a")], [None], OWN),
        ([IN_PART], [IN_PART], "letters.email is masked"),
        ([None], [None], "letters.email is masked"),
    ],
)
def test_a_foreign_key_survives_between_two_columns_of_one_pseudonym_domain(
    key: ForeignKey, own: list[Any], other: list[Any], reason: str | None
) -> None:
    letters = table(
        "letters", column("id", "integer"), column("email"), column("site", "integer"), key=["id"], foreign_keys=[key]
    )
    rules = {}
    for name, masks in (("letters", own), ("accounts", other)):
        rules[name] = refining(name, **({"email": masks[0]} if masks and masks[0] else {}))
        rules[name] = replace(rules[name], anonymized=frozenset(["email"] if masks else []))
    keys = plan(rules, ACCOUNTS, letters)
    assert keys.foreign_keys == (() if reason else (key,))
    notes = [note for note in keys.notes if note.startswith("foreign key")]
    assert notes == ([f"foreign key {key.name} of letters left out: column {reason}"] if reason else [])


def test_an_index_whose_pseudonyms_repeat_takes_its_key_and_the_foreign_keys_towards_it_along() -> None:
    users = table("users", column("id", "integer"), column("email"), key=["email"])
    letters = table("letters", column("email"), foreign_keys=[foreign_key("letters", "email", "users", "email")])
    keys = plan({name: refining(name, email=Pseudonym("a")) for name in ("users", "letters")}, users, letters)
    assert [(i.unique, i.constraint, i.may_repeat) for i in keys.indexes] == [(True, "p", True)]
    assert keys.repeating(["another"]) == (keys, [])
    left, notes = keys.repeating(["users_pkey"])
    assert [(i.unique, i.constraint) for i in left.indexes] == [(False, "")]
    assert left.foreign_keys == ()
    assert notes == [
        "primary key users_pkey of users is built as a plain index: some of its values differ only in how they are written, "
        "and have one pseudonym",
        "foreign key letters_email_fkey of letters left out: users has no such key any more",
    ]
    assert not any(i.may_repeat for i in plan({"users": MASKED}, table("users", *COLUMNS, key=["email"])).indexes)
