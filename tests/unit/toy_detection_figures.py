"""Tables of detection as a run has them, with numbers that look like results."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genosiege.detection.options import EXPRESSION, SEQUENCE

ARMS: dict[str, Mapping[str, Any]] = {
    "expression": {
        "detectors": EXPRESSION,
        "severities": ("10", "50", "100", "200", "400", "2881"),
        "nulls": ("clean",),
        "attacks": (("fimba", "error"), ("vae", "opposite")),
    },
    "sequence": {
        "detectors": SEQUENCE,
        "severities": ("all", "1", "2-3", "4+"),
        "nulls": ("clean", "mutants"),
        "attacks": (("genetic", ""), ("random", "")),
    },
}
Models = Mapping[str, tuple[Sequence[str], Sequence[str]]]
SMALL: Models = {"expression": (["tcga"], ["cnn"])}
BOTH: Models = {
    "expression": (["tcga"], ["cnn", "random_forest"]),
    "sequence": (["promoters"], ["cnn"]),
}
LARGE: Models = {
    "expression": (
        ["covid_pbmc", "tcga_breast"], ["cnn", "random_forest", "resnet", "vit", "xgboost"]
    ),
    "sequence": (["prom_300_all", "splice_reconstructed"], ["cnn", "dnabert2"]),
}  # fmt: skip


def _models(models: Models) -> Iterator[dict[str, Any]]:
    for arm, (data, names) in models.items():
        for dataset, model in itertools.product(data, names):
            yield {"arm": arm, "data": dataset, "model": model, "leak": ""}


def _setting(attack: str, targets: str) -> dict[str, Any]:
    if targets == "":
        return {"attack": attack, "targets": "", "importance": "", "features": "", "values": "",
                "t": np.nan}  # fmt: skip
    return {
        "attack": attack,
        "targets": targets,
        "importance": "global",
        "features": "shap",
        "values": "interpolated" if attack == "fimba" else "decoded",
        "t": 8 / 9,
    }


def interval(name: str, value: float, reach: float) -> dict[str, float]:
    """Give a rate with both ends of its interval."""
    ends = np.clip([value, value - reach, value + reach], 0, 1)
    return dict(zip((name, f"{name}_low", f"{name}_high"), map(float, ends), strict=True))


def _rng(*names: object) -> np.random.Generator:
    return np.random.default_rng([ord(letter) for letter in "".join(map(str, names))])


def detection(models: Models = BOTH, seeds: Sequence[str] = ("all", "0")) -> pd.DataFrame:
    """Give AUROCs that rise with severity, random features and successes of few included."""
    rows = []
    for model in _models(models):
        of = ARMS[model["arm"]]
        for (attack, targets), seed, kind, null in itertools.product(
            of["attacks"], seeds, ("all", "successful"), of["nulls"]
        ):
            settings = [_setting(attack, targets)]
            if attack == "fimba":
                settings += [{**settings[0], "features": "random", "importance": "none"},
                             {**settings[0], "t": 0.4}]  # fmt: skip
            for setting, detector, (place, severity) in itertools.product(
                settings, of["detectors"], enumerate(of["severities"])
            ):
                draw = _rng(*model.values(), attack, seed, kind, null, setting, detector, severity)
                best = draw.uniform(0.45, 0.99)
                auroc = 0.5 + (best - 0.5) * (place + 1) / len(of["severities"])
                none = kind == "successful" and severity == "10"
                rows.append(
                    {**model, "seed": seed, **setting, "severity": severity, "adversaries": kind,
                     "null": null, "detector": detector, "n_validation": 90, "n_natural": 180,
                     "n_adversaries": 0 if none else 20 + 10 * place}
                    | interval("auroc", np.nan if none else auroc, 0.06)
                    | interval("tpr_at_1", np.nan, 0.1)
                    | interval("tpr_at_5", auroc**2, 0.1)
                )  # fmt: skip
    return pd.DataFrame(rows)


def roc(models: Models = BOTH) -> pd.DataFrame:
    """Give binormal ROC curves."""
    rows = []
    for model in _models(models):
        of = ARMS[model["arm"]]
        for (attack, targets), null, detector in itertools.product(
            of["attacks"], of["nulls"], of["detectors"]
        ):
            draw = _rng(*model.values(), attack, targets, null, detector)
            fpr = np.concatenate([[0], np.sort(draw.random(30)), [1]])
            tpr = fpr ** draw.uniform(0.05, 1.1)
            severity = "2881" if model["arm"] == "expression" else "all"
            rows.append(
                pd.DataFrame({"fpr": fpr, "tpr": tpr}).assign(
                    **model, **_setting(attack, targets), seed="0", severity=severity,
                    adversaries="successful", null=null, detector=detector,
                    n_natural=180, n_adversaries=70,
                )
            )  # fmt: skip
    return pd.concat(rows, ignore_index=True).drop(columns="leak")


def adaptive(models: Models = BOTH, seeds: Sequence[str] = ("all", "0", "1")) -> pd.DataFrame:
    """Give successes that fall with the penalty, as the share detected does."""
    rows = []
    for model in _models(models):
        for seed, detector in itertools.product(seeds, ARMS[model["arm"]]["detectors"]):
            draw = _rng(*model.values(), seed, detector)
            found, lost = draw.uniform(0.1, 1), draw.uniform(0.1, 1)
            for penalty in (0.0, 0.1, 0.25, 0.5, 1.0, 2.0):
                share = penalty / (penalty + 0.4)
                success = 0.96 * (1 - lost * share)
                detected = found * (1 - share) ** 2
                hidden = success * (1 - detected)
                rows.append(
                    {**model, "seed": seed, "detector": detector, "penalty": penalty, "n": 100}
                    | interval("success", success, 0.07)
                    | interval("detected_at_5", detected, 0.08)
                    | interval("undetected_success", hidden, 0.08)
                    | interval("auroc", 0.5 + detected / 2, 0.05)
                    | {"mean_suspicion": 2 * detected, "mean_severity": 120 - 40 * share}
                )
    return pd.DataFrame(rows)


def spectra(models: Models = BOTH, n: int = 150) -> pd.DataFrame:
    """Give spectra that fall off slowly, and a peak of period 3 in DNA."""
    groups = {
        "expression": (("natural", "", ""), ("natural_error", "", ""),
                       ("attacked", "fimba", "opposite"), ("attacked", "fimba", "error")),
        "sequence": (("natural", "", ""), ("adversary", "genetic", ""), ("mutant", "genetic", ""),
                     ("adversary", "random", ""), ("mutant", "random", "")),
    }  # fmt: skip
    frequency = np.linspace(0.5 / n, 0.5, n)
    rows = []
    for model in _models(models):
        for seed, (group, attack, targets) in itertools.product("01", groups[model["arm"]]):
            draw = _rng(*model.values(), seed, group, attack, targets)
            mean = -0.8 - 0.4 * frequency + draw.normal(0, 0.05, n) + draw.normal(0, 0.2)
            if model["arm"] == "sequence":
                mean += 0.6 * np.exp(-(((frequency - 1 / 3) / 0.004) ** 2))
            rows.append(
                pd.DataFrame(
                    {
                        "frequency": frequency,
                        "mean": mean,
                        "low": mean - 0.9,
                        "high": mean + 0.5,
                        "n_samples": 6 if group == "natural_error" else 150,
                    }
                ).assign(**model, seed=seed, group=group, attack=attack, targets=targets)
            )
    return pd.concat(rows, ignore_index=True).drop(columns="leak")


def ssim(models: Models = BOTH, seeds: Sequence[str] = ("0", "1", "2")) -> pd.DataFrame:
    """Give similarities that differ between natural errors and attacked data."""
    rows = []
    for model in _models({"expression": models["expression"]}):
        for seed, targets, features, view, scale, (place, comparison) in itertools.product(
            seeds, ("opposite", "error"), ("shap", "random"), ("signal", "image"),
            ("power", "log_power"),
            enumerate(("natural", "natural_error", "attacked", "attacked_error", "published")),
        ):  # fmt: skip
            draw = _rng(*model.values(), seed, targets, features, view, scale, comparison)
            value = (0.35 if view == "image" else 0.2) - 0.05 * place + draw.normal(0, 0.02)
            attacked, published = comparison == "attacked", comparison == "published"
            value += 0.6 if published else 0
            rows.append(
                {**model, "seed": seed, "targets": targets, "features": features, "view": view,
                 "scale": scale, "comparison": comparison, "n_draws": 200,
                 "n_samples": 178 if published else 17}
                | interval("ssim", value, np.nan if published else 0.05)
                | {"order_low": value - 0.02, "order_high": value + 0.04, "own_order": value + 0.01,
                   "p_exchangeable": 0.01 if attacked else np.nan, "p_gene_order": 0.2,
                   "published": 0.8 if attacked or published else np.nan,
                   "sign_over_orders": 0.99 if attacked else np.nan,
                   "reading": ("depends on gene order" if seed == "0" else "unlike natural error")
                   if attacked else ""}
            )  # fmt: skip
    return pd.DataFrame(rows)
