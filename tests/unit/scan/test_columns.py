"""What the scan can look into, by type."""

import pytest

from multischema.scan.columns import is_sliced, kind


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        ("text", "text"),
        ("character varying(80)", "text"),
        ("character(2)[]", "text"),
        ("jsonb", "text"),
        ("public.mood", "text"),
        ("bigint[]", "text"),
        ("bigint", "number"),
        ("numeric(12,2)", "number"),
        ("date", "moment"),
        ("timestamp(3) with time zone", "moment"),
        ("inet", "address"),
        ("uuid", "uuid"),
        ("boolean", ""),
        ("boolean[]", ""),
        ("bytea", ""),
        ("time without time zone", ""),
        ("bit varying(3)", ""),
        ("tstzrange", ""),
        ("point", ""),
    ],
)
def test_a_type_is_of_one_kind(type_: str, found: str) -> None:
    assert kind(type_) == found


def test_the_beginning_of_a_document_is_not_read_without_the_rest() -> None:
    assert [type_ for type_ in ("text", "json", "name", "character varying(5)") if not is_sliced(type_)] == []
    assert [type_ for type_ in ("jsonb", "text[]", "bigint", '"char"') if is_sliced(type_)] == []
