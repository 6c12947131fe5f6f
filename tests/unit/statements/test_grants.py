"""Privileges of others: what a table of the same name keeps, what a new one gets, and what ends."""

from multischema.catalog.objects import DefaultPrivilege, Privilege
from multischema.statements import grants
from multischema.statements.grants import Grant


def row(relation: str, role: str | None, privilege: str = "SELECT", *, column: str | None = None) -> Privilege:
    """Return a grant as the catalog tells of it."""
    return Privilege(relation, column, role, is_owner=role == "etl", privilege=privilege, grantable=False)


def future(role: str, *, creator: str = "etl", may_grant: bool = True) -> DefaultPrivilege:
    """Return default privileges on tables."""
    return DefaultPrivilege(creator, True, may_grant, "TABLES", role, privilege="SELECT", grantable=False)


def test_a_table_of_the_same_name_keeps_its_grants_and_a_new_one_has_the_default_ones() -> None:
    old = [row("users", "etl"), row("users", "bob", "INSERT"), row("users", None, column="id")]
    new = [row("users", "etl"), row("users", "everyone"), row("tags", "etl"), row("tags", "everyone")]
    wanted, warnings = grants.to_tables(old, new, {"users": ["id"], "tags": ["id"]}, [future("bob")], ("metabase", "team"))
    assert set(wanted) == {
        Grant("users", None, "metabase", "SELECT", False),
        Grant("users", None, "bob", "INSERT", False),
        Grant("users", "id", None, "SELECT", False),
        Grant("tags", None, "metabase", "SELECT", False),
        Grant("users", None, "team", "SELECT", False),
        Grant("tags", None, "team", "SELECT", False),
        Grant("tags", None, "everyone", "SELECT", False),
        Grant("tags", None, "bob", "SELECT", False),
    }
    assert warnings == []
    assert [statement.as_string() for statement in grants.changes("rdvs", wanted, grants.read(new))][:2] == [
        'REVOKE SELECT ON TABLE "rdvs"."users" FROM "etl"',
        'REVOKE SELECT ON TABLE "rdvs"."users" FROM "everyone"',
    ]


def test_rights_to_what_is_gone_end_with_a_warning_but_for_those_of_readers() -> None:
    old = [
        row("users", None, column="name"),
        row("users", "bob", column="name"),
        row("tags", "bob"),
        row("tags", "metabase"),
        row("tags", "team"),
    ]
    _, warnings = grants.to_tables(old, [], {"users": ["id"]}, [], ("metabase", "team"))
    assert warnings == [
        "rights of PUBLIC, bob to column users.name ended: it is not published any more",
        "rights of bob to table tags ended: it is not published any more",
    ]


def test_a_dismissed_role_keeps_no_right_and_others_keep_theirs() -> None:
    rows = [row("users", "team"), row("users", "bob"), row("users", None), row("users", "team", column="id")]
    assert grants.kept(rows, ["team"]) == [row("users", "bob"), row("users", None)]
    assert grants.kept([future("team"), future("bob")], ["team"]) == [future("bob")]


def test_a_grant_option_is_given_and_taken() -> None:
    plain, grantable = Grant("t", 'c"', "Bob", "SELECT", False), Grant("t", 'c"', "Bob", "SELECT", True)
    give = 'GRANT SELECT ("c""") ON TABLE "s"."t" TO "Bob"'
    assert [s.as_string() for s in grants.changes("s", [plain, grantable], [])] == [f"{give} WITH GRANT OPTION"]
    assert [s.as_string() for s in grants.changes("s", [plain], [grantable])] == [
        'REVOKE SELECT ("c""") ON TABLE "s"."t" FROM "Bob"',
        give,
    ]
    assert grants.changes("s", [plain], [plain]) == []


def test_default_privileges_of_other_roles_end_with_a_warning() -> None:
    statements, warnings = grants.to_future("rdvs", [future("bob"), future("bob", creator="eve", may_grant=False)])
    assert [s.as_string() for s in statements] == [
        'ALTER DEFAULT PRIVILEGES FOR ROLE "etl" IN SCHEMA "rdvs" GRANT SELECT ON TABLES TO "bob"'
    ]
    assert warnings == ["default privileges of role eve in schema rdvs ended: only that role may set them"]
