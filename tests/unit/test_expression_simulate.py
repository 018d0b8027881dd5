import gzip
import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genosiege.data import simulate_expression
from genosiege.data.simulate_bulk import Bulk
from genosiege.data.simulate_cells import Cells

simulate = simulate_expression.simulate


def balanced_accuracy(settings):
    drawn = simulate(settings)
    values = drawn.values
    if isinstance(settings, Cells):
        values = np.log1p(values / values.sum(axis=1, keepdims=True) * 1e4)
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, max_iter=300, class_weight="balanced")
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return balanced_accuracy_score(
        drawn.labels, cross_val_predict(model, values, drawn.labels, cv=folds)
    )


@pytest.mark.parametrize("kind", [Bulk, Cells])
def test_a_good_classifier_is_good_but_errs(kind):
    found = [balanced_accuracy(kind(seed=seed)) for seed in range(3)]
    assert 0.9 <= np.mean(found) <= 0.97
    assert max(found) < 0.99


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        (Bulk(strength=0, study_effect=0), 0.4, 0.6),
        (Bulk(strength=3), 0.97, 1),
        (Cells(strength=0, donor_effect=0), 0.4, 0.6),
        (Cells(strength=3), 0.95, 1),
    ],
)
def test_strength_makes_the_task_easy_or_impossible(settings, low, high):
    assert low <= balanced_accuracy(settings) <= high


def test_a_confounded_study_tells_the_classes_without_a_tumour_programme():
    batch = Bulk(strength=0, study_effect=1.0, normal_only_study=False)
    assert balanced_accuracy(replace(batch, confounding=0)) < 0.65
    assert balanced_accuracy(replace(batch, confounding=1)) > 0.95


@pytest.mark.parametrize("settings", [Bulk(), Cells()])
def test_equal_settings_give_equal_bytes(settings, tmp_path):
    paths = [tmp_path / name for name in ("first.csv.gz", "second", "other.csv.gz")]
    for path in paths[:2]:
        simulate_expression.write(settings, path)
    simulate_expression.write(replace(settings, seed=1), paths[2])

    first, second, other = (path.read_bytes() for path in paths)
    assert first == second != other
    assert first[4:8] == bytes(4)  # no time in the header


@pytest.mark.parametrize("settings", [Bulk(samples=30, genes=12), Cells(cells=30, genes=12)])
def test_the_file_holds_what_was_drawn(settings, tmp_path):
    path = tmp_path / "drawn.csv.gz"
    simulate_expression.write(settings, path)
    drawn = simulate(settings)

    table = pd.read_csv(
        io.BytesIO(gzip.decompress(path.read_bytes())), keep_default_na=False, dtype={"id": str}
    )
    genes = [f"GENE{number:04d}" for number in range(1, 13)]
    assert list(table) == ["id", "label", "donor", "site", "study", *genes]
    assert np.allclose(table[genes], drawn.values, atol=5e-5)
    assert table["label"].tolist() == drawn.labels.tolist()
    assert table["donor"].tolist() == drawn.donors.tolist()
    assert table["id"].is_unique


def test_logarithms_of_expression_are_normal():
    drawn = simulate(Bulk(samples=1000, genes=60, strength=0, sites=1, study_effect=0))
    p_values = stats.shapiro(drawn.values, axis=0).pvalue
    # A true null has one gene in twenty below 0.05.
    assert np.mean(p_values < 0.05) < 0.2
    assert drawn.values.min() >= np.log2(0.001)


def test_only_genes_of_the_programme_differ_in_tumours():
    drawn = simulate(Bulk(samples=2000, confounding=0, sites=1, seed=3))
    tumour = drawn.labels == 1
    shift = np.abs(drawn.values[tumour].mean(axis=0) - drawn.values[~tumour].mean(axis=0))
    assert drawn.informative.sum() == 24
    assert shift[~drawn.informative].max() < 0.2 < np.median(shift[drawn.informative])


@pytest.mark.parametrize("confounding", [0.0, 0.5, 1.0])
def test_a_study_of_normal_tissue_has_no_tumour(confounding):
    drawn = simulate(Bulk(samples=1000, confounding=confounding))
    second = drawn.studies == "study2"
    assert not drawn.labels[second].any()
    assert np.mean(second[drawn.labels == 0]) == pytest.approx(confounding, abs=0.07)


@pytest.mark.parametrize(("confounding", "agreement"), [(0.0, 0.5), (0.6, 0.8), (1.0, 1.0)])
def test_confounding_is_how_far_study_and_label_agree(confounding, agreement):
    drawn = simulate(Bulk(samples=2000, confounding=confounding, normal_only_study=False))
    agrees = (drawn.studies == "study1") == (drawn.labels == 1)
    assert np.mean(agrees) == pytest.approx(agreement, abs=0.04)


def test_matched_samples_share_donor_and_organ():
    drawn = simulate(Bulk(samples=1000, confounding=0, matched=0.5))
    _, member, sizes = np.unique(drawn.donors, return_inverse=True, return_counts=True)
    assert sizes.max() == 2
    pairs = [np.flatnonzero(member == donor) for donor in np.flatnonzero(sizes == 2)]
    assert len(pairs) == 200
    for pair in pairs:
        assert set(drawn.labels[pair]) == {0, 1}
        assert len(set(drawn.sites[pair])) == 1
    # What they share makes them alike.
    sites = np.unique(drawn.sites, return_inverse=True)[1]
    centred = drawn.values[:, ~drawn.informative].copy()
    for site in range(sites.max() + 1):
        centred[sites == site] -= centred[sites == site].mean(axis=0)
    alike = [np.corrcoef(centred[pair])[0, 1] for pair in pairs]
    strangers = [np.corrcoef(centred[[a[0], b[1]]])[0, 1] for a, b in pairwise(pairs)]
    assert np.mean(alike) > np.mean(strangers) + 0.05


def test_counts_are_overdispersed_and_many_are_zero():
    plain = Cells(cells=2000, donor_effect=0, strength=0, dispersion=0.5)
    values = simulate(plain).values
    assert values.dtype == np.int64 and values.min() == 0
    mean, variance = values.mean(axis=0), values.var(axis=0)
    expressed = mean > 5
    assert np.all(variance[expressed] > 2 * mean[expressed])
    assert 0.2 < np.mean(values == 0) < 0.6
    library = values.sum(axis=1)
    assert np.median(library) == pytest.approx(1000, rel=0.1)
    assert library.min() > 0


def test_dropout_makes_zeros():
    shares = [np.mean(simulate(Cells(dropout=at)).values == 0) for at in (-20, -2, 1)]
    assert shares[0] < shares[1] < shares[2] - 0.05


def test_a_cell_has_its_donors_label_and_hospital():
    drawn = simulate(Cells(donors=8, infected=0.25, sites=2))
    assert len(np.unique(drawn.donors)) == 8
    labels = {
        (d, int(y), s) for d, y, s in zip(drawn.donors, drawn.labels, drawn.sites, strict=True)
    }
    assert len(labels) == 8
    assert sum(label for _, label, _ in labels) == 2
    assert {site for _, _, site in labels} == {"site1", "site2"}


def test_infection_raises_the_programme():
    drawn = simulate(Cells(cells=3000, donor_effect=0))
    shares = drawn.values / drawn.values.sum(axis=1, keepdims=True)
    ill = drawn.labels == 1
    change = np.log(shares[ill].mean(axis=0) + 1e-6) - np.log(shares[~ill].mean(axis=0) + 1e-6)
    assert np.median(change[drawn.informative]) > np.median(change[~drawn.informative]) + 0.4


def test_donors_differ_more_where_they_have_an_effect():
    def between(effect):
        drawn = simulate(Cells(cells=2000, strength=0, donor_effect=effect))
        logs = np.log1p(drawn.values / drawn.values.sum(axis=1, keepdims=True) * 1e4)
        means = [logs[drawn.donors == donor].mean(axis=0) for donor in np.unique(drawn.donors)]
        return np.var(means, axis=0).mean()

    assert between(0.5) > 3 * between(0)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ({"assay": "spatial"}, "source simulate, assay 'spatial'"),
        ({}, "source simulate, assay None"),
        ({"assay": "bulk", "cells": 5}, "source simulate, cells: bulk has no such parameter"),
        ({"assay": "bulk", "samples": 5}, "source simulate, samples 5"),
        ({"assay": "bulk", "tumours": 1}, "source simulate, tumours 1"),
        ({"assay": "bulk", "strength": True}, "source simulate, strength True"),
        ({"assay": "bulk", "normal_only_study": 1}, "source simulate, normal_only_study 1"),
        ({"assay": "single_cell", "donors": 1}, "source simulate, donors 1"),
        ({"assay": "single_cell", "library": float("nan")}, "source simulate, library nan"),
        ({"assay": "single_cell", "cells": 20, "donors": 30}, "source simulate, cells 20"),
    ],
)
def test_impossible_parameters_are_refused(source, named):
    assert refusal(simulate_expression.parameters, source).startswith(named)


def test_a_source_gives_its_parameters():
    source = {"kind": "simulate", "assay": "single_cell", "cells": 50, "seed": 4}
    assert simulate_expression.parameters(source) == Cells(cells=50, seed=4)
    assert simulate_expression.parameters({"kind": "simulate", "assay": "bulk"}) == Bulk()


@pytest.mark.parametrize(
    "settings", [Bulk(samples=10, genes=2, programme=0.01), Cells(cells=10, genes=5, donors=2)]
)
def test_the_smallest_designs_have_both_classes_and_a_programme(settings):
    drawn = simulate(settings)
    assert set(drawn.labels) == {0, 1}
    assert drawn.informative.any()
    assert np.isfinite(drawn.values).all()
