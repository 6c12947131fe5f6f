"""Findings said as text, as JSON, and as annotations of GitHub."""

import json
from pathlib import Path

import pytest

from flows.rules.saying import said
from multischema.errors import Snippet
from multischema.findings import Finding, note, problem

MISSING = problem("missing-rule", "missing rule for column users.iban", side="origin shop", table="users", column="iban")
TYPO = Finding("unknown-column", "users.phone_numbr is unknown", "correct it", side="rules", table="users", line=12)
HINT = note("keys-only", "roles is a table of keys", table="roles")
SNIPPET = (Snippet("tables:"), Snippet("  - table_name: users"))


def annotations(*lines: str, source: str = "") -> list[str]:
    """Return the lines for GitHub."""
    return said(lines, "github", source).split("\n")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with a rules file in a folder, and be there."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "anonymizer.yml").write_text("tables: []\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    return tmp_path


def test_text_has_the_worst_first_then_the_summary_and_what_to_paste_last() -> None:
    assert said([HINT, TYPO, MISSING, *SNIPPET], "text", summary="checked shop").split("\n") == [
        "error: origin shop: missing rule for column users.iban",
        "warning: rules: line 12: users.phone_numbr is unknown; correct it",
        "note: roles is a table of keys",
        "checked shop",
        "tables:",
        "  - table_name: users",
    ]


def test_nothing_to_say_is_empty_text_and_an_object_that_is_ok() -> None:
    assert said([], "text") == said([], "github") == ""
    found = json.loads(said([], "json"))
    assert (found["ok"], found["findings"], found["snippet"]) == (True, [], "")


def test_json_is_one_object_with_each_part_of_a_finding() -> None:
    found = json.loads(said([TYPO, MISSING, *SNIPPET], "json", "a.yml", summary="one\u2028line", facts={"app": "shop"}))
    assert (found["app"], found["rules"], found["ok"]) == ("shop", "a.yml", False)
    assert found["snippet"] == "tables:\n  - table_name: users\n"
    assert [finding["code"] for finding in found["findings"]] == ["missing-rule", "unknown-column"]
    assert found["findings"][1] == {
        "code": "unknown-column",
        "level": "warning",
        "side": "rules",
        "table": "users",
        "column": "",
        "object": "users",
        "line": 12,
        "text": "users.phone_numbr is unknown",
        "todo": "correct it",
    }


def test_json_is_ascii_as_a_terminal_of_latin_1_would_break_it() -> None:
    text = said([problem("odd", "table \u20acé\udc80\x1b")], "json")
    assert text.isascii()
    assert json.loads(text)["findings"][0]["text"] == "table \u20acé\udc80\x1b"


def test_json_shows_no_token_of_a_url() -> None:
    assert json.loads(said([], "json", "https://rules.example/a.yml?token=s3cret"))["rules"] == "https://rules.example/a.yml"


def test_a_line_without_a_code_is_an_error_with_an_empty_one() -> None:
    found = json.loads(said(["rules: not YAML"], "json"))
    assert (found["findings"][0]["code"], found["findings"][0]["level"], found["ok"]) == ("", "error", False)
    assert annotations("rules: not YAML") == ["::error::rules: not YAML"]


def test_an_annotation_names_the_file_from_the_root_of_its_repository_wherever_the_command_runs(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [
        "::warning file=config/anonymizer.yml,line=12,title=unknown-column"
        "::rules: line 12: users.phone_numbr is unknown; correct it"
    ]
    file = repository / "config" / "anonymizer.yml"
    assert annotations(TYPO, source="config/anonymizer.yml") == annotations(TYPO, source=str(file)) == wanted
    monkeypatch.chdir(repository / "config")
    assert annotations(TYPO, source="anonymizer.yml") == annotations(TYPO, source="../config/anonymizer.yml") == wanted


def test_without_a_repository_it_is_named_from_the_workspace_and_elsewhere_not_at_all(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / ".git").rmdir()
    file = str(repository / "config" / "anonymizer.yml")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(repository))
    assert "file=config/anonymizer.yml," in annotations(TYPO, source=file)[0]
    monkeypatch.setenv("GITHUB_WORKSPACE", str(repository / "app"))
    assert "file=" not in annotations(TYPO, source=file)[0]


@pytest.mark.parametrize("source", ["", "https://rules.example/a.yml", "missing.yml", "a" * 300, "a\0b", "."])
def test_what_is_no_file_is_not_named_nor_is_a_line_of_it(source: str, repository: Path) -> None:
    assert annotations(TYPO, source=source)[0].startswith("::warning title=unknown-column::rules: line 12: ")


def test_what_is_about_a_server_is_not_annotated_in_the_file_and_no_line_is_none(repository: Path) -> None:
    source = "config/anonymizer.yml"
    assert annotations(problem("no-server", "can't connect", side="origin"), source=source) == [
        "::error title=no-server::origin: can't connect"
    ]
    assert annotations(HINT, source=source) == [
        "::notice file=config/anonymizer.yml,title=keys-only::roles is a table of keys"
    ]


def test_no_name_in_an_annotation_ends_it_or_begins_another(repository: Path) -> None:
    (repository / "50%, a:b.yml").write_text("")
    odd = problem("a,b:c", "100% of\r\n::error::users", side="rules", line=1)
    assert annotations(odd, source="50%, a:b.yml") == [
        r"::error file=50%25%2C a%3Ab.yml,line=1,title=a%2Cb%3Ac::rules: line 1: 100%25 of\r\n::error::users"
    ]


def test_what_is_to_be_pasted_is_no_command_of_githubs() -> None:
    start, hostile, end = annotations(Snippet("      - '##[error]users'"))
    token = start.removeprefix("::stop-commands::")
    assert hostile == "      - '##[error]users'"
    assert end == f"::{token}::"
    assert len(token) == 16


def test_past_ten_of_a_kind_a_notice_says_that_the_log_has_them_all() -> None:
    ten = [problem("missing-rule", f"missing rule for column users.c{number}") for number in range(10)]
    assert len(annotations(*ten, HINT)) == 11
    first, *others = annotations(*ten, HINT, MISSING)
    assert first == "::notice::11 errors, 1 note: GitHub shows 10 of each; the log of this step has all"
    assert len(others) == 12
