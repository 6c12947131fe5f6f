"""`python -m flows.rules diff`: what a change of the rules publishes, from real repositories as a pull request has them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from flows import apps
from flows.rules import diff, revisions
from multischema import download
from multischema.errors import UsageError
from tests.conftest import OWN, ROOT
from tests.flows.conftest import variables

OLD = """
tables:
  - table_name: users
    anonymized_column_names: [name, city]
    non_anonymized_column_names: [status]
"""
NEW = OLD.replace("[name, city]", "[name]").replace("[status]", "[status, city]")
NAME = "config/anonymizer.yml"
VISIBLE = "published as it is now: users.city (was anonymized)"
Diff = Callable[..., tuple[int, str, str]]


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as a user with a name and no settings."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no variable and no setting of the user's matter."""
    for name in ("APP", "CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository whose main has the old rules, and whose working tree the new ones."""
    folder = tmp_path / "the app"
    (folder / "config").mkdir(parents=True)
    git(folder, "init")
    (folder / "README").write_text("an app")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "Begin")
    (folder / NAME).write_text(OLD)
    git(folder, "add", ".")
    git(folder, "commit", "-m", "Add the rules")
    git(folder, "tag", "-a", "v1", "-m", "the first")
    (folder / NAME).write_text(NEW)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Diff:
    """Return a function that runs the command; it returns the exit status and what was printed."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        exit_status = diff.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return exit_status, out, err

    return run


@pytest.mark.parametrize("old", ["HEAD", "main", "v1", "HEAD@{0}", f"main:{NAME}", "HEAD:./anonymizer.yml"])
def test_a_revision_has_the_file_as_it_was(run: Diff, repository: Path, old: str) -> None:
    exit_status, out, err = run(old, repository / NAME)
    assert (exit_status, err) == (0, "")
    assert out == f"users\n  warning: line 5: {VISIBLE}\n\n1 column becomes visible\n"


def test_it_is_the_same_from_any_folder(run: Diff, repository: Path) -> None:
    for folder, name in ((repository, NAME), (repository / "config", "anonymizer.yml"), (OWN, repository / NAME)):
        with chdir(folder):
            assert VISIBLE in run("HEAD", "--rules", name)[1]


def test_a_link_is_compared_with_what_it_leads_to(run: Diff, repository: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yml"
    link.symlink_to(repository / NAME)
    assert VISIBLE in run("HEAD", link)[1]


def test_weaker_rules_fail_only_if_asked(run: Diff, repository: Path, tmp_path: Path) -> None:
    new = repository / NAME
    assert run("HEAD", new)[0] == 0
    exit_status, out, err = run("HEAD", "--fail-on", "weaker", new)
    assert exit_status == 1
    assert VISIBLE in out
    assert err.startswith("error: 1 change publishes more than HEAD:./anonymizer.yml does, or may")
    old = tmp_path / "old.yml"
    old.write_text(OLD)
    assert run(new, old, "--fail-on", "weaker")[0] == 0


def test_rules_that_publish_the_same_are_no_difference(run: Diff, repository: Path) -> None:
    (repository / NAME).write_text(f"# a comment\n{OLD}")
    assert run("HEAD", repository / NAME, "--fail-on", "weaker") == (0, "no difference in what is published\n", "")


def test_a_file_wins_over_a_revision_of_its_name(run: Diff, repository: Path) -> None:
    with chdir(repository):
        Path("main").write_text(NEW)
        assert run("main", NAME)[1] == "no difference in what is published\n"
        assert VISIBLE in run("refs/heads/main", NAME)[1]


def test_a_file_that_the_revision_lacks_makes_everything_new(run: Diff, repository: Path) -> None:
    exit_status, out, _ = run("HEAD~1", repository / NAME, "--fail-on", "weaker")
    assert exit_status == 1
    assert out.startswith(
        "warning: rules: HEAD~1:./anonymizer.yml: no such file in this revision; it is compared with no rules"
    )
    assert "rows and keys published now: users (had no entry)" in out


def test_old_rules_that_no_longer_can_be_read_are_a_warning(run: Diff, repository: Path) -> None:
    (repository / NAME).write_text("users: [name]\n")
    git(repository, "commit", "-am", "Break it")
    (repository / NAME).write_text(NEW)
    exit_status, out, err = run("HEAD", repository / NAME)
    assert (exit_status, err) == (0, "")
    assert out.startswith("warning: rules: HEAD:./anonymizer.yml: can't be read (")
    assert "no key tables" in out.splitlines()[0]


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_new_rules_that_can_not_be_read_are_an_error_that_names_the_file(run: Diff, repository: Path, form: str) -> None:
    new = repository / NAME
    new.write_text(NEW.replace("anonymized_column_names", "anonymised_column_names", 1))
    exit_status, out, err = run("HEAD", new, "--format", form)
    assert exit_status == 1
    assert "anonymised_column_names" in (err if form == "text" else out)
    assert f"{new}: nothing is compared" in err
    if form == "json":
        assert json.loads(out)["ok"] is False


def test_json_has_every_change_with_its_place(run: Diff, repository: Path) -> None:
    _, out, _ = run("HEAD", repository / NAME, "--format", "json")
    told = json.loads(out)
    assert (told["old"], told["weaker"], told["summary"]) == ("HEAD:./anonymizer.yml", 1, "1 column becomes visible")
    (change,) = told["findings"]
    assert (change["code"], change["level"], change["object"], change["line"]) == (
        "column-published",
        "warning",
        "users.city",
        5,
    )


def test_github_shows_a_change_at_its_line(run: Diff, repository: Path) -> None:
    _, out, _ = run("HEAD", repository / NAME, "--format", "github")
    assert out.splitlines()[0] == (f"::warning file={NAME},line=5,title=column-published::rules: line 5: {VISIBLE}")


def test_a_shallow_clone_says_what_to_fetch(run: Diff, repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--depth", "1", f"file://{repository}", "clone")
    exit_status, _, err = run("HEAD~1", tmp_path / "clone" / NAME)
    assert exit_status == 2
    assert "this clone is shallow" in err
    assert "fetch-depth: 0" in err


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ("nowhere", "no file, and no revision of the repository in "),
        ("HEAD..main", "no file, and no revision"),
        (":/Add", "want a file, an https URL, or a git revision"),
        ("HEAD\nHEAD", "want a file, an https URL, or a git revision"),
        ("$(touch owned)", "no file, and no revision"),
        ("HEAD^{tree}", "no file, and no revision"),
        (5000 * "a", "no file, and no revision"),
    ],
)
def test_what_is_no_revision_is_a_usage_error(run: Diff, repository: Path, old: str, said: str) -> None:
    exit_status, out, err = run(old, repository / NAME)
    assert (exit_status, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert not list(repository.rglob("owned"))


def test_a_folder_of_a_revision_is_no_rules(run: Diff, repository: Path) -> None:
    exit_status, _, err = run("HEAD:config", repository / NAME)
    assert (exit_status, err) == (1, "error: rules: HEAD:config: not a file; want REV:PATH of a rules file\n")


def test_what_looks_like_an_option_never_is_one_of_git(run: Diff, repository: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("--output=owned", repository / NAME)
    with pytest.raises(UsageError, match="no file, and no revision"):
        revisions.read("--output=owned", repository / NAME)
    assert not list(repository.rglob("owned"))


def test_a_folder_without_a_repository_is_a_usage_error(run: Diff, tmp_path: Path) -> None:
    (tmp_path / "new.yml").write_text(NEW)
    exit_status, _, err = run("HEAD", tmp_path / "new.yml")
    assert exit_status == 2
    assert f"{tmp_path} is in no git repository" in err


def test_a_machine_without_git_still_compares_files(
    run: Diff, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.yml").write_text(OLD)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert VISIBLE in run(tmp_path / "old.yml", repository / NAME)[1]
    exit_status, _, err = run("HEAD", repository / NAME)
    assert (exit_status, "git is not installed" in err) == (2, True)


def test_a_repository_of_another_user_says_what_to_do(run: Diff, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    exit_status, _, err = run("HEAD", repository / NAME)
    assert exit_status == 2
    assert "the repository belongs to another user; if you trust it, `git config --global --add safe.directory" in err


def test_a_hook_of_another_repository_does_not_mislead_it(
    run: Diff, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert VISIBLE in run("HEAD", repository / NAME)[1]


def test_a_folder_made_like_a_bare_repository_runs_nothing_and_is_compared_with_nothing(
    run: Diff, repository: Path, tmp_path: Path
) -> None:
    folder, ran = repository / "config", tmp_path / "ran"
    git(folder, "init", "--bare", ".")
    for name, value in {
        "core.bare": "false",
        "core.worktree": "..",
        "core.sshCommand": f"touch {ran};",
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "its",
        "remote.its.url": "ssh://nowhere/its",
        "remote.its.promisor": "true",
    }.items():
        git(folder, "config", "--file", "config", name, value)
    (folder / "refs" / "heads" / "main").write_text(f"{40 * '1'}\n")  # an object that git would fetch
    with chdir(repository):
        status, out, err = run("main", NAME)
    assert (status, out, ran.exists()) == (2, "", False)
    assert "cannot use bare repository" in err


def test_a_url_has_no_repository(run: Diff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", lambda _source: NEW.encode())
    exit_status, _, err = run("HEAD", "https://example.org/rules.yml?token=secret")
    assert (exit_status, "want HEAD:PATH" in err, "secret" in err) == (2, True, False)


def test_a_file_in_a_revision_that_is_far_too_big_is_not_read(
    run: Diff, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "MAX_BYTES", 10)
    exit_status, _, err = run("HEAD", repository / NAME)
    assert (exit_status, "more than 10 bytes" in err) == (1, True)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a prefect.yaml with an app whose rules are a file."""
    (tmp_path / "prefect.yaml").write_text(
        "deployments: [{name: shop, parameters: {app: shop, rules: config/anonymizer.yml}}]"
    )
    monkeypatch.setattr(apps, "_FILE", tmp_path / "prefect.yaml")


@pytest.mark.usefixtures("app")
def test_new_is_by_default_the_rules_of_the_app(run: Diff, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with chdir(repository):
        assert VISIBLE in run("HEAD", "--app", "shop")[1]
        exit_status, _, err = run("HEAD")
        assert (exit_status, "no new rules: want NEW" in err) == (2, True)
        monkeypatch.setenv("CONFIG_PATH", NAME)
        assert VISIBLE in run("HEAD")[1]
        assert run("HEAD", NAME, "--rules", NAME)[0] == 2


@pytest.mark.parametrize("name", ["règles d'été.yml", "-rules.yml", "a:b.yml", "{a}.yml", "[ab]*.yml"])
def test_a_file_may_have_any_name(run: Diff, repository: Path, name: str) -> None:
    file = repository / name
    file.write_text(OLD)
    git(repository, "add", ".")
    git(repository, "commit", "-m", "Add another")
    file.write_text(NEW)
    assert VISIBLE in run("HEAD", file)[1]


def test_names_that_a_terminal_obeys_are_escaped(run: Diff, tmp_path: Path) -> None:
    old, new = tmp_path / "old.yml", tmp_path / "new.yml"
    old.write_text("tables: []\n")
    new.write_text('tables: [{table_name: "a\\n\\e[31m", non_anonymized_column_names: ["b\\u202e"]}]\n')
    _, out, _ = run(old, new)
    assert "a\\n\\x1b[31m" in out
    assert "b\\u202e" in out


def test_it_starts_without_any_variable_of_ours_and_without_prefect(repository: Path) -> None:
    environment = variables({"LANG": "fr_FR.ISO-8859-1", "HOME": os.environ["HOME"]})
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flows.rules", "diff", "HEAD", NAME],
        cwd=repository,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert VISIBLE in done.stdout
    assert " prefect\n" not in done.stderr
