"""The pages of results say what the tables say, and no number of theirs is typed."""

import csv
import importlib.util
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "results.md.j2": "docs/results.md",
    "readme_demo.md.j2": "README.md",
    "readme_results.md.j2": "README.md",
    "readme_speed.md.j2": "README.md",
}
TEMPLATES = tuple(PAGES)
SPECIFICATION = importlib.util.spec_from_file_location("render", ROOT / "docs/render.py")
assert SPECIFICATION is not None and SPECIFICATION.loader is not None
render = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(render)

EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
NOT_READ = re.compile(r"^```.*?^```|\{#.*?#\}|\]\([^)]*\)", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"(?<!\w)(?<!\d\.)[A-Za-z_][\w-]*")
LEVEL = re.compile(r"\b95 % intervals|\b5 %")
ASKED_FOR = re.compile(
    r"\b(?:k|penalty|seed|round|edit_budget|digits|scale)=\d+"  # which row, which form
    r"|\[\d\]"  # which of a list
    r"|(?:==|<|>) ?[\d.]+"  # what a claim needs
)


def typed_numbers(template: str) -> list[str]:
    """List the digits that a template types as text or as a value.

    Outside of expressions no digit may stand, except in a name, which starts with a letter
    (`tf_0`, COVID-19), in a fenced command, in the target of a link, and in the levels 95 % of
    intervals and 5 % of false positives. In an expression a number may only name a row (`k=10`),
    an element of a list or a form (`digits=1`), or bound a claim (`> 0.5`); that goes for what
    stands between quotes, too, except in the names of cells such as "-29..-20", which a
    comparison with `==` introduces.
    """
    prose = NAME.sub("", LEVEL.sub("", NOT_READ.sub("", EXPRESSION.sub("", template))))
    found = [line for line in prose.splitlines() if re.search(r"\d", line)]
    for expression in EXPRESSION.findall(template):
        rest = re.sub(r'== "[^"]*"', "", expression)
        if re.search(r"\d", NAME.sub("", ASKED_FOR.sub("", rest))):
            found.append(expression)
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what the pages are made of."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.svg"))
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def change(project: Path, table: str, column: str, value: str, **where: str) -> None:
    path = project / f"docs/results/{table}.csv"
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    (row,) = (row for row in rows if all(row[name] == cell for name, cell in where.items()))
    row[column] = value
    write(path, rows)


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Any]:
    """Give two attacks, and settings over settings."""
    (tmp_path / "docs/results/toy").mkdir(parents=True)
    (tmp_path / "config/results").mkdir(parents=True)
    (tmp_path / "config/config.yaml").write_text("a: {k: [1, 2], t: 3}\n")
    (tmp_path / "config/results/toy.yaml").write_text("a: {k: [4]}\n")
    rate = {"rate_low": "0.1", "rate_high": "0.3"}
    rows = [{"attack": name, "t": "0.888888889", "rate": "0.2"} | rate for name in "abb"]
    write(tmp_path / "docs/results/toy/attacks.csv", rows)
    yield render.Results(tmp_path)


def test_the_committed_page_and_the_readme_are_what_the_tables_give() -> None:
    assert render.render(ROOT, "results.md.j2") == (ROOT / "docs/results.md").read_text()
    assert render.readme(ROOT) == (ROOT / "README.md").read_text()


def test_a_changed_cell_changes_both_pages(project: Path) -> None:
    where = {"attack": "random"}
    change(project, "promoters_cnn/attacks", "robust_accuracy", "0.391", **where)

    page, readme = render.render(project, "results.md.j2"), render.readme(project)

    assert "| `random` | 0.391 [0.331, 0.415] |" in page
    assert "0.391 [0.331, 0.415] under `random`" in readme


def test_a_sentence_that_the_tables_no_longer_bear_out_is_an_error(project: Path) -> None:
    change(project, "hardening_cnn/verdict", "delta_robust_accuracy_low", "0.01", defence="mixed")

    with pytest.raises(render.ResultError, match="no longer say: None of these defences"):
        render.render(project, "results.md.j2")


def test_verdicts_appear_with_the_suite_that_they_were_called_under(project: Path) -> None:
    for run in ("hardening_cnn", "hardening_dnabert2"):
        path = project / f"docs/results/{run}/verdict.csv"
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        told = {"clean_strong": "harmful", "mixed_strong": "no difference shown"}
        new = {"suite": "genetic;gradient;transfer", "edits": "5"}
        for row in rows:
            row |= new | {"verdict": told.get(row["defence"], "masking")}
        write(path, rows)

    page = render.render(project, "results.md.j2")

    assert "worst case of `genetic`, `gradient`, `transfer`, at most 5 edits" in page
    assert "No verdict is given" not in page
    assert "| masking |" in page or "| masking;" in page


def test_a_changed_setting_changes_the_page(project: Path) -> None:
    overlay = project / "config/results/promoters_cnn.yaml"
    overlay.write_text(
        overlay.read_text().replace(
            "gradient: {query_budget: 2000}", "gradient: {query_budget: 1234}"
        )
    )

    assert "at most 1,234 queries" in render.render(project, "results.md.j2")


def test_settings_are_merged_and_lists_replaced(results: Any) -> None:
    assert results.setting("toy", "a") == {"k": [4], "t": 3}
    with pytest.raises(render.ResultError, match="no setting a/b"):
        results.setting("toy", "a/b")


def test_a_lookup_finds_the_only_row(results: Any) -> None:
    assert results.rate("toy", "attacks", "rate", attack="a", t=8 / 9) == "0.200 [0.100, 0.300]"
    assert results.count("toy", "attacks", attack=["a", "c"]) == 1
    assert results.count("toy", "attacks", attack="c") == 0


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"attack": "c"}, "toy/attacks.csv: no row with {'attack': 'c'}"),
        ({"attack": "b"}, "toy/attacks.csv: 2 rows with {'attack': 'b'}, not one"),
        ({"atack": "a"}, "toy/attacks.csv: no column atack"),
    ],
)
def test_a_lookup_of_no_row_or_several_is_an_error(
    results: Any, where: dict[str, str], message: str
) -> None:
    with pytest.raises(render.ResultError, match=re.escape(message)):
        results.rate("toy", "attacks", "rate", **where)


def test_an_unknown_column_is_an_error(results: Any) -> None:
    with pytest.raises(render.ResultError, match="No column flips among attack, t, rate"):
        results.value("toy", "attacks", "flips", attack="a")


def test_a_readme_without_the_block_is_an_error(project: Path) -> None:
    (project / "README.md").write_text("# Nothing\n")

    with pytest.raises(render.ResultError, match="<!-- demo -->"):
        render.readme(project)


@pytest.mark.parametrize(
    ("cell", "form", "text"),
    [
        ("0.12345", {}, "0.123"),
        ("-0.0004", {"digits": 1, "scale": 100, "sign": "+"}, "0.0"),
        ("-0.016", {"digits": 1, "scale": 100, "sign": "+"}, "−1.6"),
        ("0.016", {"digits": 1, "scale": 100, "sign": "+"}, "+1.6"),
        ("12610", {"digits": 0}, "12,610"),
        ("0", {"digits": 0}, "0"),
        ("", {}, "–"),
        ("inf", {"digits": 1}, "more than tried"),
    ],
)
def test_numbers_are_formatted(cell: str, form: dict[str, Any], text: str) -> None:
    assert render.number(cell, **form) == text


# Parts that appear by themselves once their table is kept.


def test_the_count_of_cells_where_shap_hurts_less_appears_with_fimba(project: Path) -> None:
    assert "hurt less than random" not in render.render(project, "results.md.j2")
    verdicts = ["no", "no", "yes", "yes, interval excludes 0", "all features", "not attacked"]
    write(
        project / "docs/results/expression_bulk/fimba.csv",
        [
            {"dataset": dataset, "targets": targets, "values": "interpolated", "features": "shap",
             "hurts_less_than_random": verdict}
            for dataset in ("tcga_breast", "covid_blood")
            for targets in ("error", "opposite")
            for verdict in (verdicts if targets == "error" else verdicts[:2])
        ],
    )  # fmt: skip

    page = render.render(project, "results.md.j2")

    assert "| `tcga_breast` | error | yes, interval excludes 0 | 1 |" in page
    assert "| `covid_blood` | opposite | no | 2 |" in page


def test_the_ablation_appears_with_its_table(project: Path) -> None:
    row = {"dataset": "tcga_breast", "model": "cnn", "targets": "opposite", "k": "50",
           "fraction": "100", "arm": "SHAP only", "attacked_accuracy": "0.888",
           "attacked_accuracy_low": "0.8", "attacked_accuracy_high": "0.9",
           "accuracy_minus_all": "-0.045", "accuracy_minus_all_low": "",
           "accuracy_minus_all_high": ""}  # fmt: skip
    assert "Ablation" not in render.render(project, "results.md.j2")
    write(project / "docs/results/expression_cells/ablation.csv", [row, row | {"k": "10"}])

    page = render.render(project, "results.md.j2")

    assert page.count("| `cnn` | 100 | SHAP only | 0.888 [0.800, 0.900] | −0.045 |") == 1


def test_donors_and_wall_times_appear_with_their_tables(project: Path) -> None:
    splits = {"train": "12", "dev": "4", "test": "4"}
    write(
        project / "docs/results/expression_cells/expression_data.csv",
        [
            {"dataset": "covid_cells", "split": split, "n": "1500", "donors": donors}
            for split, donors in splits.items()
        ],
    )
    times = [{"defence": "mixed", "round": "0", "total_s": "61.6"}]
    write(project / "docs/results/hardening_cnn/rounds.csv", times)

    page = render.render(project, "results.md.j2")

    assert "Its test split has 1,500 cells of 4 donors." in page
    assert "| `mixed` | 0 | 62 |" in page


def test_what_is_optional_is_named_by_a_column_of_the_workflow() -> None:
    from genosiege.expression.tables import ablation, data_table, fimba_table, model_table
    from genosiege.sequence import round_times

    assert {"hurts_less_than_random", "values", "targets"} <= set(fimba_table.COLUMNS)
    assert {"fraction", "arm", "accuracy_minus_all", "k"} <= set(ablation.COLUMNS)
    assert {"split", "n", "donors"} <= set(data_table.COLUMNS)
    assert "n_partly_attacked" in model_table.SEEDS_COLUMNS
    assert {"defence", "round", "total_s"} <= set(round_times.COLUMNS)


# No number is typed.


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_type_no_number(template: str) -> None:
    assert typed_numbers((ROOT / "docs" / template).read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "Accuracy 0.892.",
        "It flips 75 of them.",
        "[0.884, 0.900]",
        "`0.892`",
        "about 12 %",
        "{{ 0.892 }}",
        "{% set accuracy = 0.892 %}",
        '{{ "0.892" }}',
        '{{ claim("It flips 75 of them.", a > b) }}',
        "{{ number(0.892) }}",
    ],
)
def test_a_typed_number_is_found(text: str) -> None:
    assert typed_numbers(text)


@pytest.mark.parametrize(
    "text",
    [
        "COVID-19, DNABERT-2, `prom_300_all` and GSE152641",
        "Brackets are 95 % intervals.",
        "```\nsnakemake --cores 2\n```",
        '{{ rate("tf0_mistral", "certify", "robust", k=1) | number(digits=1) }}',
        '{{ claim("So it is.", a | float > 0.85) }}',
    ],
)
def test_names_commands_and_questions_may_have_digits(text: str) -> None:
    assert typed_numbers(text) == []


@pytest.mark.parametrize(
    ("template", "page"), [pair for pair in PAGES.items() if "results" in pair[0]]
)
def test_figures_and_links_to_files_are_there(template: str, page: str) -> None:
    folder = (ROOT / page).parent
    links = re.findall(r"\]\(([^)#]+)\)", render.render(ROOT, template))

    assert links
    assert [link for link in links if not (folder / link).exists()] == []
