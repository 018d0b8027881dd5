"""Each finding names its attack, and what stands against its number."""

import numpy as np
import pandas as pd
import pytest
import toy_findings as toy

from genosiege.input_checks import PASSED, PHRASES
from genosiege.report import findings


def only(found: pd.DataFrame, name: str) -> pd.Series:
    rows = found[found["finding"] == name]
    assert len(rows) == 1
    return rows.iloc[0]


def told(name: str, kinds: dict[str, str] | None = None, **tables: pd.DataFrame) -> pd.Series:
    return only(findings.findings_table(tables, kinds), name)


def unknown(**changes: object) -> dict[str, object]:
    """Give a best detector whose attacker left no rate."""
    names = [f"undetected_success{end}" for end in ("", "_low", "_high")]
    names += [f"plain_{name}" for name in names]
    gone = dict.fromkeys([*names, "adaptive_n", "adaptive_penalty"], np.nan)
    return toy.detected() | gone | changes


def test_the_findings_are_the_tables_values():
    found = findings.findings_table(toy.every_table())

    robust = only(found, "robustness")
    assert (robust["value"], robust["reference"], robust["n"]) == (0.123, 0.9, 500)
    assert only(found, "one_edit")["value"] == 0.71
    assert only(found, "hardening")["value_low"] == 0.012
    assert only(found, "expression")["value"] == 9.5
    assert only(found, "detection")["reference_high"] == 0.7


# Models of DNA


@pytest.mark.parametrize(
    ("certify", "begins"),
    [
        (None, "an upper bound"),
        (toy.certify(False), "an upper bound"),
        (toy.certify(), "exact: every allowed edit"),
        (toy.certify(seed="1"), "an upper bound"),
        (toy.certify(k=2), "an upper bound"),
        (toy.certify(stage="mixed/round1"), "an upper bound"),
    ],
    ids=["no certificate", "undecided", "decided", "of another seed", "of pairs", "of a round"],
)
def test_one_edit_is_exact_only_where_every_edit_was_tried_on_this_model(certify, begins):
    tables = {} if certify is None else {"certify": certify}

    assert told("one_edit", worst_case=toy.worst_case(), **tables)["remark"].startswith(begins)


def test_another_seeds_undecided_certificate_takes_nothing_from_a_proof():
    certify = pd.concat([toy.certify(), toy.certify(False, seed="1")])
    worst = pd.concat([toy.worst_case(), toy.worst_case(seed="1")])

    assert told("one_edit", worst_case=worst, certify=certify)["remark"].startswith("exact")


@pytest.mark.parametrize("check", PHRASES)
def test_a_model_that_failed_its_input_check_is_never_exact_and_always_named(check):
    tables = toy.every_table() | {"baseline": toy.baseline(check)}
    tables |= toy.best_detector(toy.search("genetic"))

    found = findings.findings_table(tables)

    of_dna = found[found["finding"] != "expression"]
    assert len(of_dna) == 5
    assert all(remark.startswith(PHRASES[check]) for remark in of_dna["remark"])
    assert not found["remark"].str.contains("exact").any()


def test_a_check_of_another_seed_says_nothing():
    both = pd.concat([toy.baseline(PASSED), toy.baseline("constant_model", seed="1")])

    remark = told("robustness", worst_case=toy.worst_case(), baseline=both)["remark"]

    assert "one answer" not in remark


def test_a_mean_over_seeds_names_the_seed_that_failed():
    both = pd.concat([toy.baseline(PASSED), toy.baseline("constant_model", seed="1")])

    remark = told("robustness", worst_case=toy.worst_case(seed="all"), baseline=both)["remark"]

    assert remark == "seed 1: the model gives one answer to everything"


def test_a_data_set_is_no_task_of_the_same_name():
    row = toy.detected(data="prom", model="cnn", attack="fimba")
    failed = toy.baseline("constant_model")

    remark = told("detection", baseline=failed, **toy.best_detector(row))["remark"]

    assert "one answer" not in remark


def test_what_rests_on_searches_at_their_limit_says_so():
    signs = toy.warnings(
        ("budget_exhausted", "genetic"), ("budget_exhausted", "greedy"), ("flips_lost", "gradient")
    )
    tables = toy.every_table() | {"warnings": signs, "certify": toy.certify(False)}
    tables |= toy.best_detector(toy.search("genetic"))

    found = findings.findings_table(tables)

    both = "runs ended at their limit: genetic in 14 of 28 and greedy in 14 of 28"
    assert f"an upper bound, as {both}" in only(found, "robustness")["remark"]
    assert both in only(found, "one_edit")["remark"]
    # The suite of the verdict has no greedy search, and detectors were shown one attack.
    for name in ("hardening", "detection"):
        assert only(found, name)["remark"].endswith("ended at their limit: genetic in 14 of 28")


def test_an_exact_number_rests_on_no_search():
    signs = toy.warnings(("budget_exhausted", "genetic"))

    row = told("one_edit", worst_case=toy.worst_case(), certify=toy.certify(), warnings=signs)

    assert row["remark"] == "exact: every allowed edit was tried"


def test_the_weaker_class_is_named_where_the_interval_excludes_nothing_gained():
    shown = toy.by_class((-0.234, -0.31, -0.15), (0.234, 0.15, 0.31), (-0.02, -0.1, 0.05))

    remark = told("robustness", worst_case=toy.worst_case(), by_class=shown)["remark"]

    assert remark == "class 0 is weaker: −23.4 [−31.0, −15.0] points of robust accuracy"


def test_of_seeds_without_a_mean_the_first_is_told_and_named():
    table = pd.concat([toy.worst_case(seed="10", robust=0.3), toy.worst_case(seed="2")])

    robust = told("robustness", worst_case=table)

    assert (robust["value"], robust["subject"]) == (0.123, "prom · cnn, seed 2")


def test_means_over_seeds_are_told_where_there_are_any():
    table = pd.concat([toy.worst_case(), toy.worst_case(seed="all", robust=0.3)])

    robust = told("robustness", worst_case=table)

    assert (robust["value"], robust["subject"]) == (0.3, "prom · cnn, all seeds")


def test_a_change_names_its_suite_its_budget_and_its_family():
    row = told("hardening", verdict=toy.verdict(note="smallest gain 6 points"))

    assert row["measure"] == (
        "change of robust accuracy, worst case of genetic, gradient, transfer, at most 5 edits"
    )
    assert row["remark"] == "robust gain; smallest gain 6 points; one of 2 defences compared"


def test_a_verdict_without_a_suite_names_none():
    row = told("hardening", verdict=toy.verdict(suite=np.nan, edits=np.nan, family_size=1))

    assert row["measure"] == "change of robust accuracy, under no attack"
    assert row["remark"].endswith("the only defence compared")


# Models of expression


def test_the_smallest_k_stands_beside_that_of_random_genes():
    row = told("expression", smallest_k=toy.smallest_k())

    assert (row["value"], row["reference"], row["n"]) == (9.5, 163, 38)
    assert row["measure"] == "genes to move, median (at most 260 tried)"
    assert row["remark"] == (
        "at most 260 of 2,600 genes flip 55.0 % [40.0 %, 70.0 %], "
        "random ones 55.0 % [40.0 %, 70.0 %]"
    )


def test_the_other_class_shap_and_one_order_for_all_are_preferred():
    rows = [
        toy.searched("permutation", 1), toy.searched("shap", 2, importance="per_sample"),
        toy.searched("shap", 3, targets="error"), toy.searched("shap", 4),
        toy.searched("random", 5, targets="error"), toy.searched("random", 6),
    ]  # fmt: skip

    row = told("expression", smallest_k=pd.DataFrame(rows))

    assert (row["value"], row["reference"]) == (4, 6)
    assert row["subject"] == "tcga · xgboost, towards the other class, SHAP"


def test_random_genes_alone_are_no_attack():
    table = pd.DataFrame([toy.searched("random", 6)])

    assert findings.findings_table({"smallest_k": table}).empty


def test_further_seeds_are_told_by_their_medians():
    rows = [
        toy.searched(features, median + int(seed), seed=seed)
        for seed, median in (("10", 4.0), ("2", 9.0), ("3", np.inf))
        for features in ("shap", "random")
    ]

    row = told("expression", smallest_k=pd.DataFrame(rows))

    assert row["subject"].startswith("tcga · xgboost, seed 2,")
    assert (row["value"], row["reference"]) == (11, 11)
    assert row["remark"].endswith("medians of 3 seeds: 11 to more than tried")


def test_where_no_sample_was_attacked_the_status_is_told():
    gone = toy.searched("shap", np.nan, n_attacked=0, status="no_targets", median_k_high=np.nan)

    row = told("expression", smallest_k=pd.DataFrame([gone]))

    assert np.isnan(row["value"])
    assert row["remark"] == "no sample was attacked (no_targets)"


def test_a_leak_is_told():
    table = pd.DataFrame([toy.searched("shap", 4, leak="upstream")])
    row = toy.detected(leak="upstream")

    for found in (
        told("expression", smallest_k=table),
        told("detection", **toy.best_detector(row)),
    ):
        assert found["remark"].endswith("the test split was known before: upstream")


# Detection


@pytest.mark.parametrize(
    "rows",
    [
        [toy.uniform_noise(), toy.detected()],
        [toy.detected(), toy.uniform_noise()],
        [toy.detected(features="random", importance="none", n_adversaries=900), toy.detected()],
        [toy.detected(values="uniform", targets="none", n_adversaries=900), toy.detected()],
        [toy.detected(attack="vae", values="decoded", n_adversaries=900), toy.detected()],
        [toy.detected(targets="error", n_adversaries=900), toy.detected()],
        [toy.detected(importance="per_sample", n_adversaries=900), toy.detected()],
    ],
    ids=["brute force", "in any order", "random genes", "random values", "vae", "errors", "each"],
)
def test_detection_is_told_of_the_attack_and_never_of_a_control(rows):
    row = told("detection", **toy.best_detector(*rows))

    assert row["subject"] == (
        "tcga · xgboost, fimba towards the other class, 50 genes, SHAP, interpolated"
    )
    assert row["remark"] == (
        "mahalanobis finds, at 5 % false alarms, 48.0 % [41.0 %, 55.0 %] of 42 flips"
    )


@pytest.mark.parametrize(
    "control",
    [
        toy.uniform_noise(),
        toy.detected(features="random", importance="none"),
        toy.detected(values="uniform", targets="none"),
        toy.search("random"),
        toy.search("natural"),
        toy.search("drawn"),
    ],
    ids=["brute force", "random genes", "random values", "random", "natural", "by kind"],
)
def test_a_control_alone_is_not_told(control):
    tables = toy.best_detector(control)

    assert findings.findings_table(tables, {"drawn": "random"}).empty


@pytest.mark.parametrize(
    ("rows", "told_of"),
    [
        ([toy.search("gradient", n_adversaries=90), toy.search("genetic")], "genetic"),
        ([toy.search("gradient", n_adversaries=90), toy.search("mine")], "mine"),
        ([toy.search("greedy"), toy.search("gradient", n_adversaries=90)], "gradient"),
        ([toy.search("random", n_adversaries=90), toy.search("greedy")], "greedy"),
        ([toy.search("genetic", adversaries="all"), toy.search("greedy")], "greedy"),
        ([toy.search("genetic", null="mutants"), toy.search("greedy")], "greedy"),
    ],
    ids=["own search", "by kind", "most flips", "no control", "what flips", "clean"],
)
def test_of_attacks_on_sequences_the_adaptive_search_comes_first(rows, told_of):
    row = told("detection", {"mine": "genetic"}, **toy.best_detector(*rows))

    assert row["subject"] == f"prom · cnn, {told_of}"


def test_plain_and_adaptive_attacker_share_their_denominator():
    row = told("detection", **toy.best_detector())

    assert (row["value"], row["reference"], row["n"]) == (0.91, 0.6, 100)


def test_all_genes_are_called_so():
    row = toy.detected(severity=2600)

    found = told("detection", smallest_k=toy.smallest_k(), **toy.best_detector(row))

    assert ", all 2,600 genes, SHAP" in found["subject"]


def test_what_no_sample_fell_to_is_told():
    row = told("detection", **toy.best_detector(toy.detected(adversaries="all")))

    assert row["remark"].endswith("of 42 changed samples, none of them a flip")


@pytest.mark.parametrize(
    ("row", "adaptive", "reason"),
    [
        (unknown(), toy.evading(), "no attacker who knows the detector was run on this model"),
        (unknown(), toy.evading(*toy.EVADED, model="vit"),
         "no attacker who knows the detector was run on this model"),
        (unknown(detector="margin"),
         pd.concat([toy.evading(*toy.EVADED), toy.evading(*toy.EVADED, detector="kmer")]),
         "the attacker who knows the detector was run against kmer and mahalanobis only"),
        (unknown(seed="all"), toy.evading(*toy.EVADED, seed="1"),
         "the attacker who knows the detector has results of seed 1 only"),
        (unknown(), toy.evading(*toy.EVADED, n=0),
         "the attacker who knows the detector had no sample that the model gets right"),
        (toy.detected(adaptive_penalty=0), toy.evading(0.0),
         "no attacker who knows the detector was run: the only penalty on suspicion is 0"),
        (toy.detected(plain_undetected_success=np.nan), toy.evading(0.1),
         "the search without hiding was not run: no penalty on suspicion is 0"),
        (toy.detected(adaptive_penalty=0), toy.evading(*toy.EVADED), "hiding gains nothing"),
        (toy.detected(), toy.evading(*toy.EVADED), "of 42 flips"),
    ],
    ids=["not asked", "other model", "other detectors", "other seed", "none right", "penalty 0",
         "no penalty 0", "in vain", "all is known"],
)  # fmt: skip
def test_why_an_attacker_who_knows_is_missing_is_said(row, adaptive, reason):
    found = told("detection", best_detector=pd.DataFrame([row]), adaptive=adaptive)

    assert found["remark"].endswith(reason)
    assert np.isnan(found["value"]) == (reason.startswith("no att") or np.isnan(row["adaptive_n"]))


def test_without_a_threshold_neither_rate_is_known_and_the_reason_stands_once():
    row = unknown(tpr_at_5=np.nan)

    found = told("detection", **toy.best_detector(row))

    assert found["remark"] == (
        "too few natural validation samples for a threshold of 5 % false alarms of mahalanobis: "
        "nothing is known of 42 flips"
    )
    assert pd.isna(found["n"])


def test_flips_are_told_beside_what_the_same_attack_does_to_the_truth():
    row = told("truth", known_truth=toy.known_truth())

    assert row["measure"] == "flips by genetic that are errors of the model"
    assert row["reference_measure"] == "sequences whose truth genetic can change"
    assert (row["value"], row["reference"], row["n"]) == (0.81, 0.66, 21)
    assert row["remark"] == (
        "flips with at most 10 edits: 21; errors of the model: 17; true changes of the label: 4; "
        "the label changed and the model did not follow: 1; left out, as the drawn label was not "
        "the likelier one: 2"
    )


def test_the_truth_is_told_of_as_no_model():
    worst = toy.worst_case(encoder="truth")

    for finding in ("robustness", "one_edit"):
        remark = told(finding, worst_case=worst, known_truth=toy.known_truth())["remark"]
        assert remark.startswith("no model, but the truth itself: what flips it changes the label")
        model = told(finding, worst_case=toy.worst_case(), known_truth=toy.known_truth())
        assert "truth" not in model["remark"]


def test_without_an_attack_on_the_truth_there_is_nothing_beside_it():
    table = toy.known_truth()

    row = told("truth", known_truth=table[~table["is_truth"]])

    assert row["value"] == 0.81
    assert pd.isna(row["reference"])
