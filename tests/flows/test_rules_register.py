"""`python -m flows.rules register`: the sheet for the register of processing, in two languages and two forms."""

import csv
import io
import re
import string
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from flows import apps
from flows.rules import register
from flows.rules.wording import LANGUAGES, TEXTS
from multischema.job import Job
from multischema.masks.known import KINDS
from multischema.masks.periods import UNITS
from multischema.rules.masks import KAnonymity
from multischema.rules.register import Treatment
from tests.conftest import PASSWORD, ROOT, Place
from tests.flows.conftest import variables

ORIGIN = """
CREATE TABLE users (
    id serial PRIMARY KEY, name text, email text, born date, status text,
    search text GENERATED ALWAYS AS (lower(name)) STORED
);
COMMENT ON COLUMN users.name IS 'such as Marie Curie';
CREATE TABLE visits (id serial PRIMARY KEY, user_id integer REFERENCES users, note text);
CREATE TABLE logs (id serial PRIMARY KEY, said text);
INSERT INTO users (name, email, born, status) SELECT 'Marie Curie', 'marie@radium.example', '1867-11-07', 'open'
FROM generate_series(1, 1234);
"""
RULES = """
tables:
  - table_name: visits
    anonymized_column_names: [note]
  - table_name: users
    anonymized_column_names: [name, email, born, search]
    non_anonymized_column_names: [status]
    masks: {born: {period: year}, email: {pseudonym: person_email}}
    clear_because: {status: un code}
    k_anonymity: {columns: [born], k: 2}
  - table_name: logs
    truncated: true
  - table_name: gone
    truncated: true
"""
DECLARED = """
definitions: {environment: {SHOP_READER: }}
deployments:
  - name: shop
    parameters: {app: shop, rules: %s, reader: r, schema_reader: ["{{ $SHOP_READER }}"]}
    schedules: [{cron: 30 5 * * *, timezone: Europe/Paris}]
    work_pool: {name: scalingo}
  - name: other
    parameters: {app: other, rules: %s, reader: r, schema: elsewhere, mode: dump}
"""
Register = Callable[..., tuple[int, str, str]]
VARIABLES = ("APP", "CONFIG_PATH", "ORIGIN_DB_URL", "ETL_DB_URL", "METABASE_USERNAME", "SHOP_READER")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Register:
    """Return a function that writes the sheet, by default of two apps with the same rules; it returns what was printed."""
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    file = tmp_path / "prefect.yaml"
    file.write_text(DECLARED % (rules, rules))
    monkeypatch.setattr(apps, "_FILE", file)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        exit_status = register.main(arguments, made=date(2026, 11, 30))
        out, err = capsys.readouterr()
        return exit_status, out, err

    return run


@pytest.fixture
def published(place: Place, monkeypatch: pytest.MonkeyPatch, run: Register) -> Register:
    """Have an origin whose rules were published once, and the variables of whoever keeps it; return `run`."""
    place.in_origin(ORIGIN)
    place.run(RULES)
    monkeypatch.setenv("APP", "shop")
    monkeypatch.setenv("ORIGIN_DB_URL", place.origin_url)
    monkeypatch.setenv("ETL_DB_URL", place.target_url)
    monkeypatch.setenv("METABASE_USERNAME", place.reader)
    monkeypatch.setenv("SHOP_READER", "shop_reading")
    return run


def rows(printed: str, language: str = "fr") -> list[dict[str, str]]:
    """Return the rows of a CSV as a spreadsheet of that language reads it."""
    assert printed.startswith("\ufeff")
    return list(
        csv.DictReader(io.StringIO(printed[1:], newline=""), delimiter={"fr": ";", "en": ","}[language], strict=True)
    )


def test_a_chapter_says_who_reads_what_and_when_it_last_ran(published: Register, place: Place) -> None:
    exit_status, out, err = published("--app", "shop")
    assert (exit_status, err) == (0, "")
    assert "Établi le 2026-11-30." in out
    for line in (
        "| Traitement | publication des données du produit `shop` dans la base d'analyse |",
        f"| Destinataires | `{place.reader}`; `shop_reading` (ce schéma seul) |",
        "| Source | base d'origine du produit, schéma `public` |",
        "| Destination | schéma `shop` de la base d'analyse |",
        "| Hébergement des exécutions | `scalingo` |",
        "| Planification | `30 5 * * *` (Europe/Paris) |",
        "| Délégué à la protection des données | à compléter |",
        "| Sous-traitants (hébergeurs de la base d'analyse, des exécutions, de Metabase) | à compléter |",
    ):
        assert line in out.splitlines()
    assert re.search(r"\| Dernière exécution \| \d{4}-\d\d-\d\d \d\d:\d\d UTC : 1\xa0234 lignes publiées \|", out)
    assert "les colonnes sont masquées dans la base d'origine" in out
    assert "elle cherche des données personnelles dans ce qui est nouvellement publié tel quel |" in out
    assert "Un pseudonyme n'est pas une anonymisation" in out


def test_every_column_of_the_origin_is_there_with_what_is_done_to_it(published: Register) -> None:
    _, out, _ = published("--app", "shop")
    _, _, after = out.partition("### Ce qui est publié")
    assert after.splitlines() == [
        "",
        "",
        "Tables : 3 (sans aucune ligne : 1). Colonnes : 9 (anonymisées entièrement : 2, en partie : 1, pseudonymisées : 1, "
        "publiées telles quelles : 1, clés publiées telles quelles : 3, non publiées : 1).",
        "",
        "Une colonne anonymisée entièrement ne dit plus qu'une chose : si elle était vide.",
        "",
        "Les clés publiées telles quelles ramènent qui peut lire la base d'origine à la ligne dont elles viennent : ce qui "
        "est publié n'est pas anonyme pour autant.",
        "",
        "Un pseudonyme n'est pas une anonymisation : tant que la clé existe, la colonne reste une donnée à caractère "
        "personnel (RGPD, article 4, 5).",
        "",
        "#### `visits`",
        "",
        "| colonne | type | traitement | précision |",
        "| --- | --- | --- | --- |",
        "| `id` | `integer` | clé, publiée telle quelle |  |",
        "| `user_id` | `integer` | clé, publiée telle quelle |  |",
        "| `note` | `text` | anonymisée entièrement |  |",
        "",
        "#### `users`",
        "",
        "| colonne | type | traitement | précision |",
        "| --- | --- | --- | --- |",
        "| `id` | `integer` | clé, publiée telle quelle |  |",
        "| `name` | `text` | anonymisée entièrement |  |",
        r"| `email` | `text` | pseudonymisée | un pseudonyme, le même dans tous les produits (domaine person\_email) |",
        "| `born` | `date` | anonymisée en partie | seul le début de la période reste (année) |",
        "| `status` | `text` | publiée telle quelle | un code |",
        "| `search` | `text` | non publiée : calculée à partir de colonnes anonymisées |  |",
        "",
        "`born` : combinaisons rares refusées : moins de 2 lignes",
        "",
        "Tables publiées sans aucune ligne : `logs`.",
    ]


@pytest.mark.parametrize("form", ["markdown", "csv"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_value_and_no_secret_is_ever_in_it(published: Register, place: Place, form: str, language: str) -> None:
    exit_status, out, err = published("--app", "shop", "--format", form, "--lang", language)
    assert exit_status == 0
    for secret in ("Marie", "Curie", "radium", "1867", PASSWORD, place.origin_url, place.target_url):
        assert secret not in out + err


def test_the_csv_has_a_row_for_each_column(published: Register, place: Place) -> None:
    found = rows(published("--app", "shop", "--format", "csv")[1])
    (born,) = [row for row in found if (row["table"], row["colonne"], row["type"]) == ("users", "born", "date")]
    assert {name: born[name] for name in ("produit", "schéma", "traitement", "précision", "destinataires")} == {
        "produit": "shop",
        "schéma": "shop",
        "traitement": "anonymisée en partie",
        "précision": "seul le début de la période reste (année)",
        "destinataires": f"{place.reader}, shop_reading (ce schéma seul)",
    }
    assert [(row["table"], row["traitement"]) for row in found if not row["colonne"]] == [
        ("logs", "table publiée sans aucune ligne")
    ]
    assert {row["motif"] for row in found if row["colonne"] == "status"} == {"un code"}
    assert len(found) == 3 + 6 + 1 + 1


def test_without_any_database_it_says_what_is_unknown(run: Register) -> None:
    exit_status, out, err = run("--lang", "en")
    assert (exit_status, err) == (0, "")
    shop, other = out.split("\n## ")[1:]
    assert shop.startswith("`shop`")
    assert other.startswith("`other`")
    for chapter in (shop, other):
        assert "| Last run | unknown: no target database (ETL\\_DB\\_URL) |" in chapter
        assert "reader unknown: METABASE_USERNAME is not given" in chapter
        assert "Made from the rules alone" in chapter
        assert "| column | treatment | detail |" in chapter
        assert "`id`" not in chapter
        assert re.findall("^(?:#### |[|] )`(.*?)`", chapter.partition("### What")[2], re.MULTILINE) == [
            *("visits", "note", "users", "name", "email", "born", "search", "status"),
        ]
    assert "readers of this schema only unknown: a variable of prefect.yaml is not given" in shop
    assert "| Destination | schema `elsewhere` of the analytics database |" in other
    assert "mode dump: raw data passes through the ETL's disk" in other


def test_a_target_without_a_run_of_the_app_says_so(run: Register, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETL_DB_URL", place.target_url)
    _, out, _ = run("--app", "shop")
    assert "| Dernière exécution | aucune n'est enregistrée dans la base cible |" in out


def test_the_same_is_written_twice(run: Register) -> None:
    for form in register.FORMATS:
        assert run("--format", form) == run("--format", form)


def test_an_origin_that_has_a_column_without_a_rule_gets_no_sheet(published: Register, place: Place) -> None:
    place.in_origin("ALTER TABLE users ADD phone text")
    exit_status, out, err = published("--app", "shop")
    assert (exit_status, out) == (1, "")
    assert "users.phone" in err


def test_the_url_of_other_apps_is_that_of_one_app(published: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APP")
    exit_status, out, _ = published()
    assert (exit_status, out.count("Établi à partir des règles seules")) == (0, 2)
    monkeypatch.setenv("APP", "shop")
    exit_status, out, _ = published()
    assert (exit_status, out.count("Établi à partir des règles seules")) == (0, 1)


def test_rules_that_are_none_leave_no_half_of_a_sheet(run: Register, tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("tables: 1\n")
    exit_status, out, err = run("--app", "other", "--rules", str(tmp_path / "broken.yml"))
    assert (exit_status, out) == (1, "")
    assert "other: no sheet is written" in err
    (tmp_path / "rules.yml").unlink()
    exit_status, out, _ = run()
    assert (exit_status, out) == (1, "")


@pytest.mark.parametrize(
    "arguments", [("--app", "nobody"), ("--rules", "x.yml"), ("--app", "shop", "--app", "other", "--rules", "x")]
)
def test_what_can_not_be_meant_is_a_usage_error(run: Register, arguments: tuple[str, ...]) -> None:
    exit_status, out, _ = run(*arguments)
    assert (exit_status, out) == (2, "")


def test_odd_names_stay_names(run: Register, tmp_path: Path) -> None:
    odd = ["=1+1", "+1", "-1", "@x", " =2", "a|b", "`c`", "d;e,f", 'q"r', "h\ni", "<b>", "é—漢", "\uff1d3"]
    (tmp_path / "odd.yml").write_text(_rules_of(odd))
    _, out, _ = run("--app", "other", "--rules", str(tmp_path / "odd.yml"), "--format", "csv")
    for row, name in zip(rows(out), odd, strict=True):
        shown = name.replace("\n", "\\n")
        assert row["table"] == row["colonne"] == (f"'{shown}" if name.strip()[0] in "=+-@\uff1d" else shown)
    _, out, _ = run("--app", "other", "--rules", str(tmp_path / "odd.yml"))
    cells = [line for line in out.splitlines() if line.endswith("| publiée telle quelle | aucun motif n'est donné |")]
    assert len(cells) == len(odd)
    assert "| `a\\|b` |" in out
    assert "| `` `c` `` |" in out
    assert "| `h\\ni` |" in out


def _rules_of(names: list[str]) -> str:
    """Return rules of a table for each name, with a column of the same name."""
    quoted = [f'"{name.encode("unicode_escape").decode().replace(chr(34), chr(92) + chr(34))}"' for name in names]
    lines = (f"  - {{table_name: {name}, non_anonymized_column_names: [{name}]}}" for name in quoted)
    return "\n".join(["tables:", *lines]) + "\n"


@pytest.mark.parametrize("form", register.FORMATS)
def test_a_sheet_in_a_file_is_utf_8_whatever_the_locale_is(form: str, tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text("tables: [{table_name: été, truncated: true}]\n")
    done = subprocess.run(
        [sys.executable, "-m", "flows.rules", "register", "--app", "x", "--rules", "r.yml", "--format", form],
        cwd=tmp_path,
        env={**variables({}), "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert "été" in done.stdout.decode("utf-8-sig")


# The texts.


def _places(said: str) -> int:
    return sum(name is not None for _, name, _, _ in string.Formatter().parse(said))


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_in_every_language_and_takes_the_same(name: str) -> None:
    assert TEXTS[name]._fields == LANGUAGES
    assert all(TEXTS[name])
    assert len({_places(said) for said in TEXTS[name]}) == 1


def test_every_treatment_mask_and_word_has_a_text() -> None:
    wanted = {
        *(f"treated {treatment}" for treatment in get_args(Treatment)),
        *(f"mask {kind}" for kind in KINDS),
        *(f"word {unit}" for unit in UNITS),
        *(f"scan {scan}" for scan in get_args(Job.__annotations__["scan"])),
        *(f"combination {breach}" for breach in get_args(KAnonymity.__annotations__["on_breach"])),
    }
    assert wanted <= TEXTS.keys()


def test_every_text_is_used_somewhere() -> None:
    read = (ROOT / "flows" / "rules" / "sheets.py").read_text().replace("'", '"')
    kinds = ("treated ", "mask ", "word ", "combination ", "security of ", "scan ")
    assert [name for name in TEXTS if f'"{name}"' not in read and not name.startswith(kinds)] == []
