"""Figures made from tables: transfer, latent attacks, and what the edits change."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_text import text_of

from genosiege.figures import curves, interpretability, style, transfer
from genosiege.sequence import audit
from genosiege.sequence.interpretability import COLUMNS


def latent_table(*attack_names: str) -> pd.DataFrame:
    rows = [
        {
            "task": "promoters", "encoder": "cnn", "seed": "0", "stage": "baseline",
            "attack": name, "norm": "l2", "epsilon": epsilon, "n_sequences": 40,
            "n_correct": 32, "robust_accuracy": 0.8 - epsilon, "robust_accuracy_low": 0.7 - epsilon,
            "robust_accuracy_high": 0.9 - epsilon,
        }
        for name in attack_names for epsilon in (0.05, 0.2, 0.5)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=audit.LATENT_COLUMNS)


def transfer_table(*pairs: tuple[str, str, int, int]) -> pd.DataFrame:
    rows = [
        {
            "attack": "genetic", "seed": str(seed), "stage": "baseline", "source_task": "promoters",
            "source_encoder": source, "target_task": "promoters", "target_encoder": target,
            "n": n, "n_flipped": n_flipped,
        }
        for source, target, n, n_flipped in pairs for seed in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=audit.TRANSFER_COLUMNS)


def interpretability_table(*attack_names: str, **folds: float) -> pd.DataFrame:
    """Tabulate a fold of 1 everywhere but for the levels that are named."""
    levels = [
              ("position", "0..9"), ("substitution", "A>G"), ("substitution", "C>T"),
              ("transition", "share"), ("motif_lost", "tata_box"), ("motif_created", "gc_box"),
              ("mutagenesis_agreement", "top_decile"), ("mutagenesis_agreement", "auroc"),
    ]  # fmt: skip
    rows = []
    for name in attack_names:
        for feature, level in levels:
            fold = folds.get(level.replace(">", "_"), 1.0)
            # Of the AUROC the interval is that of the value, 0.5 by chance.
            scale = 0.5 if level == "auroc" else 1.0
            spread = np.array([fold * 0.9, fold * 1.1, 0.8, 1.2]) * scale
            rows.append(
                ["promoters", "cnn", "baseline", name, "test", feature, level, 77,
                 10 * fold * scale, 10 * scale, fold, *spread]
            )  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.loc[table["level"] == "auroc", ["observed", "expected"]] /= 10
    return table


def test_latent_curves_say_that_no_dna_has_them(tmp_path: Path) -> None:
    text = text_of(curves.latent(latent_table("latent_fgsm", "latent_pgd")), tmp_path / "f.svg")

    for words in ("not realisable as DNA", "L2 norm", "n = 40 test", "latent_pgd", "without an"):
        assert words in text


def test_transfer_adds_up_seeds_and_tells_the_untried_apart(tmp_path: Path) -> None:
    table = transfer_table(("cnn", "cnn", 30, 27), ("cnn", "hf", 20, 5), ("hf", "hf", 30, 30))

    figure = transfer.matrix(table)

    cells = {text.get_position(): text for text in figure.axes[0].texts}
    assert cells[0.5, 0.5].get_text() == "90%\nn = 60"
    # Rows are sources: made against cnn, tried on hf.
    assert cells[1.5, 0.5].get_text() == "25%\nn = 40"
    assert cells[0.5, 1.5].get_text() == "–"
    assert cells[0.5, 0.5].get_color() == "white" and cells[1.5, 0.5].get_color() == style.BLACK
    text = text_of(figure, tmp_path / "figure.svg")
    assert "made against (source)" in text and "tried on (target)" in text and "hf" in text


@pytest.mark.parametrize("rate", np.linspace(0, 1, 21))
def test_the_text_of_every_cell_stands_out(rate: float) -> None:
    figure = transfer.matrix(transfer_table(("cnn", "cnn", 100, round(100 * rate))))

    (text,) = figure.axes[0].texts
    below = style.luminance(np.array(transfer.COLOURS(rate)[:3]))
    light, dark = (0.05 + below, 0.05) if text.get_color() == style.BLACK else (1.05, 0.05 + below)
    assert light / dark >= 4.4


def test_interpretability_says_of_how_many_edits_and_what_the_band_is(tmp_path: Path) -> None:
    figure = interpretability.folds(interpretability_table("a", "genetic"))

    text = text_of(figure, tmp_path / "figure.svg")
    for words in ("genetic (n = 77 edits)", "edits put at random", "A&gt;G", "tata box", "AUROC",
                  "fold over chance", "transitions", "promoters · cnn"):  # fmt: skip
        assert words in text
    assert "0..9" not in text


def test_dots_stand_at_their_fold_or_at_the_edge() -> None:
    table = interpretability_table("genetic", A_G=2.0, C_T=40.0, gc_box=0.5)

    axes = {ax.get_title(loc="left"): ax for ax in interpretability.folds(table).axes}

    dots = {
        line.get_marker(): np.asarray(line.get_xydata()).tolist()
        for line in axes["substitutions"].lines
        if line.get_linestyle() == "None" and len(line.get_xdata())
    }
    assert dots == {"o": [[2.0, 0.0]], 5: [[8.0, 1.0]]}
    created = axes["motif sites created"].get_xlim()
    assert created == pytest.approx((1 / 4.4, 4.4))


def test_motifs_that_are_hardly_ever_met_are_left_to_the_table(tmp_path: Path) -> None:
    table = interpretability_table("genetic")
    table.loc[table["level"] == "tata_box", ["observed", "expected"]] = 2.0

    text = text_of(interpretability.folds(table), tmp_path / "figure.svg")

    assert "tata box" not in text and "gc box" in text


EMPTY = {
    "latent": lambda: curves.latent(latent_table()),
    "transfer": lambda: transfer.matrix(transfer_table()),
    "interpretability": lambda: interpretability.folds(interpretability_table()),
}
FULL = {
    "latent": lambda: curves.latent(latent_table("latent_fgsm", "latent_pgd")),
    "transfer": lambda: transfer.matrix(transfer_table(("cnn", "cnn", 9, 3), ("hf", "cnn", 8, 2))),
    "interpretability": lambda: interpretability.folds(interpretability_table("a", "genetic")),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("latent", "no latent attack was run"),
        ("transfer", "no adversary was tried on another model"),
        ("interpretability", "nothing to interpret"),
    ],
)
def test_figures_say_that_there_is_nothing(name: str, words: str, tmp_path: Path) -> None:
    # As read back from a file, where an empty table has no types.
    figure = EMPTY[name]()

    assert words in text_of(figure, tmp_path / "figure.svg")
    # Wide enough for the words: a letter is less than 0.1 inch.
    assert figure.get_figwidth() > 0.1 * len(words)


@pytest.mark.parametrize("name", FULL)
def test_equal_tables_give_equal_bytes(name: str, tmp_path: Path) -> None:
    for file in ("one.svg", "two.svg"):
        style.save(FULL[name](), tmp_path / file)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
