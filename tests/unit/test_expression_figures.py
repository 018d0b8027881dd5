"""Figures of the expression arm: they show their tables, say what they show, and never vary."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_text import text_of
from matplotlib.figure import Figure
from toy_expression_tables import Simulated

from genosiege.expression.tables import (
    ablation,
    comparison_table,
    fimba_table,
    hardening_table,
    importance_table,
    poisoning_table,
    reading,
    smallest_k_table,
)
from genosiege.expression.tables.reading import Cards
from genosiege.figures import (
    expression_attack,
    expression_models,
    expression_smallest_k,
    expression_training,
    style,
)

MODELS = ("cnn", "random_forest")
TABLES: dict[str, Callable[[Simulated], pd.DataFrame]] = {
    "fimba": lambda toy: fimba_table.fimba_table(toy.fimba(), toy.cards),
    "ablation": lambda toy: ablation.ablation_table(toy.fimba(), toy.evasion(), toy.cards),
    "poisoning": lambda toy: poisoning_table.poisoning_table(toy.poisoning(), toy.cards),
    "hardening": lambda toy: hardening_table.hardening_table(toy.hardening(), toy.cards),
    "comparison": lambda toy: comparison_table.comparison_table(toy.comparison(), toy.cards),
    "overlap": lambda toy: importance_table.importance_table(toy.importance(), toy.cards),
}
FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "fimba": expression_attack.accuracy_over_k,
    "ablation": expression_attack.ablation,
    "poisoning": expression_training.poisoning,
    "hardening": expression_training.hardening,
    "comparison": expression_models.comparison,
    "overlap": expression_models.overlap,
}
WORDS = {
    "fimba": ["features moved (k)", "n = 30 test samples", "accuracy", "SHAP features",
              "random features", "without an attack", "towards the other class", "(120)"],
    "ablation": ["accuracy after the attack", "(n = 30 test samples)", "FIMBA", "k = 50",
                 "VAE trained on 100% of train", "random × uniform"],
    "poisoning": ["accuracy lost", "(percentage points)", "poison (of train)", "10%",
                  "n = 30 test samples", "labels flipped (control)", "VAE on 100%"],
    "hardening": ["round (0: before)", "k = 50", "n = 30 test samples", "accuracy",
                  "trained on random noise (control)", "important features moved (FIMBA)"],
    "comparison": ["at most 1,000 queries per sample", "flip rate", "hopskipjump",
                   "(n = 27 correctly classified samples per model)", "not applicable"],
    "overlap": ["shared genes (Jaccard index)", "shap, first 50 genes", "–"],
}  # fmt: skip
EMPTY = {
    "fimba": "no attack was run",
    "ablation": "no attack was run",
    "poisoning": "no data were poisoned",
    "hardening": "no model was hardened",
    "comparison": "no attacks were compared",
    "overlap": "no importance was measured",
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return Simulated(tmp_path_factory.mktemp("toy"), models=MODELS, n=30)


@pytest.fixture(scope="module")
def tables(toy: Simulated) -> dict[str, pd.DataFrame]:
    """The tables as a job finds them: read back from CSV."""
    made = {name: make(toy) for name, make in TABLES.items()}
    return {
        name: pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype={"seed": str})
        for name, table in made.items()
    }


@pytest.mark.parametrize("name", FIGURES)
def test_figures_say_what_they_show_and_of_how_many(
    name: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    text = text_of(FIGURES[name](tables[name]), tmp_path / "figure.svg")

    for words in [*WORDS[name], *MODELS, "covid", "tcga"]:
        assert words in text, words


@pytest.mark.parametrize("name", FIGURES)
def test_order_of_rows_does_not_matter(
    name: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    mixed = tables[name].sample(frac=1, random_state=1)
    for file, table in (("one.svg", tables[name]), ("two.svg", mixed)):
        style.save(FIGURES[name](table), tmp_path / file)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_figures_bear_an_empty_table(
    name: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    empty = pd.read_csv(io.StringIO(tables[name].iloc[:0].to_csv(index=False)))

    assert EMPTY[name] in text_of(FIGURES[name](empty), tmp_path / "figure.svg")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_figures_bear_one_model_alone(
    name: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables[name].query("model == 'cnn' and dataset == 'tcga'")

    text = text_of(FIGURES[name](table), tmp_path / "figure.svg")

    assert "cnn" in text and "covid" not in text


def test_curves_are_the_table_with_random_features_hollow(tables: dict[str, pd.DataFrame]) -> None:
    figure = expression_attack.accuracy_over_k(tables["fimba"])

    own = tables["fimba"].query("dataset == 'covid' and model == 'cnn'")
    clean, *lines = figure.axes[0].lines
    assert np.asarray(clean.get_ydata()).tolist() == pytest.approx([0.9, 0.9])
    assert clean.get_linestyle() == ":"
    assert len(lines) == 6
    for features, dashes in (("shap", "-"), ("random", "--")):
        for aim, (_, colour, _) in expression_attack.AIMS.items():
            rows = own[(own["features"] == features) & (own["targets"] == aim)]
            found = [
                line for line in lines
                if line.get_color() == colour and line.get_linestyle() == dashes
            ]  # fmt: skip
            assert len(found) == (len(rows) > 0)
            for line in found:
                assert np.asarray(line.get_ydata()).tolist() == pytest.approx(
                    rows.sort_values("k")["attacked_accuracy"].tolist()
                )
                assert (line.get_markerfacecolor() == "white") == (features == "random")


def test_what_was_not_attacked_is_left_out(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["fimba"].copy()
    table.loc[table["targets"] == "error", ["n_attacked", "status"]] = [0, "no_targets"]

    figure = expression_attack.accuracy_over_k(table)

    colours = {line.get_color() for line in figure.axes[0].lines}
    assert expression_attack.AIMS["error"][1] not in colours and len(colours) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [("fimba", "not attacked"), ("poisoning", "not poisoned"), ("hardening", "not hardened")],
)
def test_a_panel_without_a_model_says_so(
    name: str, words: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables[name].query("model == 'cnn' or dataset == 'tcga'")

    text = text_of(FIGURES[name](table), tmp_path / "figure.svg")

    assert text.count(words) == 1


def test_arms_stand_from_all_parts_to_none(tables: dict[str, pd.DataFrame]) -> None:
    ax = expression_attack.ablation(tables["ablation"]).axes[1]

    names = [label.get_text() for label in expression_attack.ablation(tables["ablation"]).axes[0]
             .get_yticklabels()]  # fmt: skip
    assert names == list(expression_attack.ARMS)
    own = tables["ablation"].query(
        "dataset == 'covid' and model == 'cnn' and k == 50 and targets == 'opposite'"
        " and fraction == 100"
    ).set_index("arm")  # fmt: skip
    marks = next(line for line in ax.lines if line.get_marker() == "o")
    assert np.asarray(marks.get_xdata()).tolist() == pytest.approx(
        own.loc[list(expression_attack.ARMS), "attacked_accuracy"].tolist()
    )
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_without_an_autoencoder_the_arms_that_remain_are_drawn(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["ablation"].query("fraction.isna()")

    text = text_of(expression_attack.ablation(table), tmp_path / "figure.svg")

    assert "FIMBA" in text and "VAE only" not in text and "VAE trained" not in text


def test_costs_are_in_percentage_points(tables: dict[str, pd.DataFrame]) -> None:
    figure = expression_training.poisoning(tables["poisoning"])
    figure.draw_without_rendering()

    ax = figure.axes[0]
    drawn = {
        round(float(y), 9) for line in ax.lines if line.get_marker() != "None"
        for y in np.asarray(line.get_ydata())
    }  # fmt: skip
    own = tables["poisoning"].query("dataset == 'covid' and model == 'cnn' and kind != 'none'")
    assert drawn == {round(value, 9) for value in own["accuracy_lost"]}
    ticks = ax.get_yticks()
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"{100 * x:g}" for x in ticks]


def test_attacks_that_do_not_apply_are_crosses_left_of_all_rates(
    tables: dict[str, pd.DataFrame],
) -> None:
    ax = expression_models.comparison(tables["comparison"]).axes[0]

    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert len(crosses) == 1
    assert np.asarray(crosses[0].get_xdata()).tolist() < [0] and ax.get_xlim()[0] < 0


def test_overlap_stands_in_its_cell(tables: dict[str, pd.DataFrame]) -> None:
    ax = expression_models.overlap(tables["overlap"]).axes[0]

    row = tables["overlap"].query(
        "dataset == 'covid' and compared == 'models' and method == 'permutation' and k == 50"
    ).iloc[0]  # fmt: skip
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    expected = f"{row['overlap']:.2f}\n({row['overlap_by_chance']:.2f})"
    assert cells[0.5, 1.5] == cells[1.5, 0.5] == expected
    assert cells[0.5, 0.5] == "–"


# Smallest k -------------------------------------------------------------------------


def found(toy: Simulated) -> list[reading.Rows]:
    return list(reading.read(toy.smallest_k(), "smallest_k.parquet", smallest_k_table.ROWS))


def test_the_distribution_counts_flipped_samples(toy: Simulated, tmp_path: Path) -> None:
    rows = found(toy)

    figure = expression_smallest_k.distribution(rows, toy.cards)

    own = rows[0].rows.query("targets == 'opposite' and features == 'shap' and correct_before")
    (line,) = (
        line for line in figure.axes[0].lines
        if line.get_color() == style.COLOURS[0] and line.get_linestyle() == "-"
    )  # fmt: skip
    assert len(own) == 27 and line.get_drawstyle() == "steps-post"
    for share, height in np.asarray(line.get_xydata()):
        flipped = (own["smallest_k"].fillna(9999) <= share * 120 + 1e-9).sum()
        assert height == pytest.approx(flipped / 27)
    text = text_of(figure, tmp_path / "figure.svg")
    for words in ("samples flipped", "share of 120 genes; log scale", "n = 27 samples per model",
                  "random features", "towards known errors", "covid", "tcga"):  # fmt: skip
        assert words in text


def test_the_curve_ends_where_the_search_did(toy: Simulated) -> None:
    rows = [
        entry._replace(rows=entry.rows.assign(
            smallest_k=entry.rows["smallest_k"].where(entry.rows["smallest_k"] <= 12),
            tried_to=entry.rows["tried_to"].clip(upper=12)))
        for entry in found(toy)
    ]  # fmt: skip

    for line in expression_smallest_k.distribution(rows, toy.cards).axes[0].lines:
        assert np.max(np.asarray(line.get_xdata())) == pytest.approx(0.1)


@pytest.mark.filterwarnings("error")
def test_the_distribution_bears_nobody_to_attack(toy: Simulated, tmp_path: Path) -> None:
    rows = [
        entry._replace(rows=entry.rows.assign(status="no_targets", smallest_k=pd.NA))
        for entry in found(toy)
    ]

    nobody = expression_smallest_k.distribution(rows, toy.cards)
    nothing = expression_smallest_k.distribution([], Cards({}))

    assert "no sample was attacked" in text_of(nobody, tmp_path / "a.svg")
    assert "no smallest k was searched for" in text_of(nothing, tmp_path / "b.svg")


# Captions and imports ---------------------------------------------------------------


def test_tables_and_figures_need_no_learning_library() -> None:
    program = (
        "import sys;"
        "from genosiege.expression.tables import (ablation, comparison_table, data_table,"
        " fimba_table, hardening_table, importance_table, model_table, poisoning_table,"
        " smallest_k_table, vae_table);"
        "from genosiege.figures import (expression_attack, expression_models,"
        " expression_smallest_k, expression_training);"
        "print({'torch', 'xgboost', 'shap', 'scanpy', 'art'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.strip() == "set()", done.stdout + done.stderr
