"""Tables of SSIM and of spectra, against small ones worked out by hand."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_expression_tables import cards, put

from genosiege import files
from genosiege.detection import ssim, ssim_experiment
from genosiege.detection.tables import spectra_table, ssim_table
from genosiege.expression.tables.reading import Cards

SETTING = {"targets": "opposite", "features": "shap", "k": 20}
NATURAL, ERROR, ATTACKED = "natural", "natural_error", "attacked"


def series(
    kind: str, comparison: str, values: Any, n: int = 6, view: str = "signal", **changes: Any
) -> pd.DataFrame:
    """Rows numbered from 0."""
    found = [float(value) for value in values]
    return pd.DataFrame(
        {
            **SETTING, "n": n, "view": view, "scale": "power", "comparison": comparison,
            "kind": kind, "number": range(len(found)), "ssim": found,
        }
        | changes
    )  # fmt: skip


def attacked_rows(
    p: float | None = 0.01, error: Any = (0.5, 0.5, 0.5, 0.5, 0.5),
    attacked: Any = (0.4, 0.3, 0.3, 0.3, 0.3), **changes: Any,
) -> list[pd.DataFrame]:  # fmt: skip
    """Draws, gene orders and p-values of one view; `p` None for too few samples."""
    rows = [
        series("draw", ATTACKED, [0.1, 0.2, 0.6], **changes),
        series("gene_order", ATTACKED, attacked, **changes),
        series("p_value", ATTACKED, [0.3], **changes),
        series("published", "published", [0.9], n=80, **changes),
        series("gene_order", "published", [0.9, 0.7, 0.8], n=80, **changes),
        series("p_value", "published", [0.5], n=80, **changes),
        series("draw", NATURAL, [0.3, 0.3], **changes),
        series("gene_order", NATURAL, [0.3, 0.2], **changes),
        series("p_value", NATURAL, [1.0], **changes),
    ]
    if p is not None:
        rows += [
            series("draw", ERROR, [0.5], **changes),
            series("gene_order", ERROR, error, **changes),
            series("p_value", ERROR, [0.7], **changes),
            series("p_value", "exchangeable", [p], **changes),
        ]
    return rows


def tabled(root: Path, *tables: pd.DataFrame, known: Cards | None = None) -> pd.DataFrame:
    path = put(root, pd.concat(tables, ignore_index=True), "ssim.parquet")
    return ssim_table.ssim_table([path], known or cards("tcga"))


# SSIM -------------------------------------------------------------------------------


def test_the_table_reads_what_the_experiment_writes() -> None:
    assert ssim_table.ROWS == ssim_experiment.SSIM_COLUMNS
    assert (*ssim.COMPARISONS, ssim_experiment.PUBLISHED) == ssim_table.COMPARISONS


def test_a_comparison_has_its_draws_orders_and_p_value(tmp_path: Path) -> None:
    table = tabled(tmp_path, *attacked_rows()).set_index("comparison")

    assert list(table.reset_index().columns.sort_values()) == sorted(ssim_table.COLUMNS)
    assert table.index.tolist() == [NATURAL, ERROR, ATTACKED, "published"]
    row = table.loc[ATTACKED]
    place = row[["arm", "data", "model", "seed", "targets", "features", "k", "view", "scale"]]
    assert place.tolist() == [
        "expression", "tcga", "forest", "0", "opposite", "shap", 20, "signal", "power",
    ]  # fmt: skip
    assert row[["n_samples", "n_draws"]].tolist() == [6, 3]
    assert row["ssim"] == pytest.approx(0.3)
    # 2.5 % and 97.5 % of 0.1, 0.2, 0.6.
    assert row["ssim_low"] == pytest.approx(0.1 + 0.05 * 0.1)
    assert row["ssim_high"] == pytest.approx(0.6 - 0.05 * 0.4)
    assert row["own_order"] == 0.4 and row["p_gene_order"] == 0.3
    assert row["p_exchangeable"] == 0.01 and row["published"] == 0.9
    assert row["leak"] == ""
    assert table.loc[NATURAL, ["order_low", "order_high", "own_order"]].tolist() == [0.2, 0.2, 0.3]


def test_the_data_s_own_order_is_none_of_the_random_ones(tmp_path: Path) -> None:
    row = tabled(tmp_path, *attacked_rows(attacked=(9, 1, 2, 3, 4))).set_index("comparison")
    shuffled = [table.sample(frac=1, random_state=1) for table in attacked_rows(
        attacked=(9, 1, 2, 3, 4))]  # fmt: skip

    assert row.loc[ATTACKED, "own_order"] == 9
    assert row.loc[ATTACKED, "order_low"] == pytest.approx(1 + 0.075)
    assert row.loc[ATTACKED, "order_high"] == pytest.approx(4 - 0.075)
    pd.testing.assert_frame_equal(
        tabled(tmp_path, *shuffled).set_index("comparison"), row, rtol=1e-12
    )


def test_the_published_form_is_a_row_of_its_own_without_an_interval(tmp_path: Path) -> None:
    table = tabled(tmp_path, *attacked_rows()).set_index("comparison")

    row = table.loc["published"]
    assert row[["ssim", "published", "own_order", "p_gene_order"]].tolist() == [0.9, 0.9, 0.9, 0.5]
    assert row[["n_samples", "n_draws"]].tolist() == [80, 0]
    assert row[["ssim_low", "ssim_high"]].isna().all()
    assert 0.7 < row["order_low"] < row["order_high"] < 0.8
    others = table.drop(index=[ATTACKED, "published"])
    alone = ["published", "p_exchangeable", "sign_over_orders"]
    assert others[alone].isna().all(axis=None) and (others["reading"] == "").all()


@pytest.mark.parametrize(
    ("p", "attacked", "share", "reading"),
    [
        (0.01, (0.4, 0.3, 0.3, 0.3, 0.3), 1.0, "unlike natural error"),
        (0.05, (0.4, 0.3, 0.3, 0.3, 0.3), 1.0, "unlike natural error"),
        (0.051, (0.4, 0.3, 0.3, 0.3, 0.3), 1.0, "like natural error"),
        # In one of four orders attacked samples are more alike, in the own one less.
        (0.01, (0.4, 0.3, 0.6, 0.3, 0.3), 0.75, "depends on gene order"),
        (0.01, (0.6, 0.3, 0.3, 0.3, 0.3), 0.0, "depends on gene order"),
        (0.01, (0.6, 0.7, 0.7, 0.7, 0.7), 1.0, "unlike natural error"),
        (0.9, (0.4, 0.6, 0.6, 0.3, 0.3), 0.5, "like natural error"),
        (float("nan"), (0.4, 0.3, 0.3, 0.3, 0.3), 1.0, "too few samples"),
    ],
)
def test_the_reading_follows_the_rule(
    tmp_path: Path, p: float, attacked: tuple[float, ...], share: float, reading: str
) -> None:
    row = tabled(tmp_path, *attacked_rows(p, attacked=attacked)).set_index("comparison")

    assert row.loc[ATTACKED, "sign_over_orders"] == share
    assert row.loc[ATTACKED, "reading"] == reading


def test_without_natural_errors_the_reading_says_so(tmp_path: Path) -> None:
    table = tabled(tmp_path, *attacked_rows(p=None)).set_index("comparison")

    assert table.index.tolist() == [NATURAL, ATTACKED, "published"]
    assert table.loc[ATTACKED, "reading"] == "too few samples"
    assert np.isnan(table.loc[ATTACKED, "sign_over_orders"])


def test_rows_are_in_order_and_leaks_are_marked(tmp_path: Path) -> None:
    tables = []
    for targets, view, scale in itertools.product(
        ("test_error", "error"), ("image", "signal"), ("log_power", "power")
    ):
        tables += attacked_rows(view=view, scale=scale, targets=targets)

    table = tabled(tmp_path, *tables)

    assert table.loc[::16, "targets"].tolist() == ["error", "test_error"]
    assert (table["leak"] == np.where(table["targets"] == "test_error", "test targets", "")).all()
    four = [("signal", "power"), ("signal", "log_power"), ("image", "power"),
            ("image", "log_power")]  # fmt: skip
    assert [*zip(table["view"], table["scale"], strict=True)] == 8 * four
    assert table["comparison"][::4].tolist() == 2 * [NATURAL, ERROR, ATTACKED, "published"]


def test_seeds_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    rows = pd.concat(attacked_rows())
    paths = [put(tmp_path, rows, "ssim.parquet", seed=seed) for seed in (10, 9)]

    table = ssim_table.ssim_table(paths, cards("tcga", seeds=(9, 10)))
    assert table["seed"].drop_duplicates().tolist() == ["9", "10"]


def test_an_empty_run_gives_an_empty_table(tmp_path: Path) -> None:
    nothing = pd.DataFrame(columns=[*ssim_table.ROWS]).astype(ssim_table.ROWS)

    for table in (ssim_table.ssim_table([], cards("tcga")), tabled(tmp_path, nothing)):
        assert table.empty and list(table) == ssim_table.COLUMNS
    assert list(spectra_table.spectra_table([], [])) == spectra_table.COLUMNS


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    rows = attacked_rows()
    assert "twice" in refusal(tabled, tmp_path, *rows, rows[0])
    assert "gene order" in refusal(tabled, tmp_path, *(r for r in rows if r["kind"][0] == "draw"))
    lacking = [row.drop(columns="ssim") for row in rows]
    assert "column ssim" in refusal(tabled, tmp_path, *lacking)


# Spectra ----------------------------------------------------------------------------


def spectrum(group: str, n: int, **names: Any) -> pd.DataFrame:
    place = np.arange(1.0, n + 1)
    return pd.DataFrame(
        {"group": group, **names, "frequency": place / (2 * n), "mean": place,
         "low": -place, "high": 2 * place, "n": 33}
    )  # fmt: skip


def sequence_file(root: Path, table: pd.DataFrame) -> str:
    path = root / "sequence" / "prom" / "cnn" / "seed0" / "baseline" / "spectra.parquet"
    files.write_parquet(table, path)
    return str(path)


def test_both_arms_stand_in_one_table(tmp_path: Path) -> None:
    expression = put(
        tmp_path,
        pd.concat([spectrum(NATURAL, 5, targets=""), spectrum(ATTACKED, 5, targets="error"),
                   spectrum(ATTACKED, 5, targets="opposite")]),
        "spectra.parquet",
    )  # fmt: skip
    sequence = sequence_file(
        tmp_path,
        pd.concat([spectrum(NATURAL, 7, attack=""), spectrum("adversary", 7, attack="genetic")]),
    )

    table = spectra_table.spectra_table([expression], [sequence])

    assert list(table) == spectra_table.COLUMNS
    groups = table.groupby(
        ["arm", "data", "model", "seed", "group", "attack", "targets"], sort=False
    ).size()
    assert groups.to_dict() == {
        ("expression", "tcga", "forest", "0", NATURAL, "", ""): 5,
        ("expression", "tcga", "forest", "0", ATTACKED, "fimba", "error"): 5,
        ("expression", "tcga", "forest", "0", ATTACKED, "fimba", "opposite"): 5,
        ("sequence", "prom", "cnn", "0", NATURAL, "", ""): 7,
        ("sequence", "prom", "cnn", "0", "adversary", "genetic", ""): 7,
    }
    first = table[table["group"] == ATTACKED].iloc[:5]
    assert first["frequency"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert first["high"].tolist() == [2, 4, 6, 8, 10]
    assert (table["n_samples"] == 33).all()


@pytest.mark.parametrize("n", [1, 199, 200, 201, 399, 400, 1440])
def test_long_spectra_are_thinned_to_means_of_neighbours(tmp_path: Path, n: int) -> None:
    rows = spectrum(NATURAL, n, targets="").sample(frac=1, random_state=1)

    table = spectra_table.spectra_table([put(tmp_path, rows, "spectra.parquet")], [])

    assert len(table) == min(n, 200)
    # All frequencies are in, as evenly as they go, and in order: bins of like sizes.
    sizes = np.diff([0, *np.searchsorted(np.arange(1, n + 1), table["mean"], "right")])
    assert table["frequency"].is_monotonic_increasing
    assert sizes.max() <= -(-n // 200) + 1
    if n % 200 == 0 or n < 200:
        means = np.arange(1.0, n + 1).reshape(len(table), -1).mean(axis=1)
        assert table["mean"].tolist() == pytest.approx(means)
        assert table["low"].tolist() == pytest.approx(-means)
        assert table["frequency"].tolist() == pytest.approx(means / (2 * n))


def test_spectra_out_of_place_or_damaged_are_refused(tmp_path: Path) -> None:
    twice = pd.concat([spectrum(NATURAL, 5, targets="")] * 2)
    path = put(tmp_path, twice, "spectra.parquet")
    assert "twice" in refusal(spectra_table.spectra_table, [path], [])
    assert "baseline" in refusal(spectra_table.spectra_table, [], [path])
    lacking = sequence_file(tmp_path, spectrum(NATURAL, 5))
    assert "column attack" in refusal(spectra_table.spectra_table, [], [lacking])
