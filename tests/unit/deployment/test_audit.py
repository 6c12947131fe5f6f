"""The audit of the locked packages: a known vulnerability fails the check, and a network that is not there does not."""

from pathlib import Path
from typing import Any

import pytest

from deployment import audit

TOLD: list[dict[str, Any]] = [
    {"name": "requests", "version": "2.19.0", "vulns": [{"id": "PYSEC-2018-28", "fix_versions": ["2.20.0"]}]},
    {"name": "rich", "version": "14.0.0", "vulns": []},
    {"name": "odd", "version": "1", "vulns": [{"id": "X-1", "fix_versions": []}]},
    {"name": "unknown", "skip_reason": "not found"},
]


def test_each_known_vulnerability_is_a_line_with_the_version_that_mends_it_and_what_was_not_audited_is_named() -> None:
    assert audit.lines(TOLD) == [
        "requests 2.19.0: PYSEC-2018-28; fixed in 2.20.0",
        "odd 1: X-1; not fixed yet",
        "not audited, the database does not know them: unknown",
    ]
    assert audit.lines(TOLD[1:2]) == []


def test_without_a_network_the_check_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    lock = tmp_path / "requirements.txt"
    lock.write_text("requests==2.19.0 --hash=sha256:421cfc8d9dde7d6aff68196420afd86b88c65d77d8da9cf83f4ecad785d7b9d6\n")
    assert audit.audit(lock) == 0
    assert capsys.readouterr().out.startswith("not audited: ")
