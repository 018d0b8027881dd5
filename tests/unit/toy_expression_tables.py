"""Rows of every file that the tables of the expression arm are made from, by hand or at random."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genosiege import files
from genosiege.expression.tables.reading import Cards

T = 8 / 9


def card(
    n: Mapping[str, tuple[int, int]] | None = None, n_genes: int = 20, **changes: Any
) -> dict[str, Any]:
    """Give a card of data without a leak; `n` are negatives and positives by split."""
    counts = n or {"train": (30, 60), "dev": (10, 20), "test": (10, 20)}
    splits = {
        split: {"n": sum(both), "per_class": {"0": both[0], "1": both[1]}}
        for split, both in counts.items()
    }
    sharing = {
        "train": {"others": 5},
        "dev": {"train": 2, "others": 2},
        "test": {"train": 3, "others": 3},
    }
    group = {"crossing": 4, "per_split": {"train": 8, "dev": 3, "test": 3}, "sharing": sharing}
    equal = {"rows": 1, "sharing": {"train": {}, "dev": {"train": 0}, "test": {"train": 1}}}
    return {
        "leaky_preprocessing": False,
        "upstream_leak": False,
        "split": {"split": "random"},
        "samples": {"excluded": {"cell line": 7, "no phenotype": 2}, "splits": splits},
        "groups": {"donor": group, "site": group, "study": group},
        "duplicates": {"exact": equal, "rounded": equal},
        "genes": {"expressed": n_genes + 3, "constant_in_train": 1, "kept": n_genes},
        "values": {
            "share_of_zeros": 0.25,
            "clipped": {"train": 0.0, "dev": 0.01, "test": 0.02},
        },
    } | changes


def cards(*datasets: str, seeds: Iterable[int] = (0,), **changes: Any) -> Cards:
    """Give equal cards of some datasets."""
    return Cards({(name, seed): card(**changes) for name in datasets for seed in seeds})


def attack_rows(
    setting: Mapping[str, Any], samples: Sequence[tuple[str, int, bool, bool]], **changes: Any
) -> pd.DataFrame:
    """Give the rows of one setting.

    Parameters
    ----------
    setting : mapping
        Columns that differ from FIMBA with k 5 towards the other class.
    samples : sequence of tuple
        Id, label, whether the model is right before, and after.
    **changes
        Columns to overwrite.
    """
    names, labels, before, after = zip(*samples, strict=True)
    table: dict[str, Any] = {
        "targets": "opposite", "importance": "global", "features": "shap", "feature_set": 0,
        "values": "interpolated", "k": 5, "t": T, **setting,
    }  # fmt: skip
    right_before, right_after = np.array(before), np.array(after)
    rows = {
        "id": list(names),
        "label": list(labels),
        "p_true_before": np.where(right_before, 0.9, 0.2),
        "correct_before": right_before,
        "p_true_after": np.where(right_after, 0.8, 0.3),
        "correct_after": right_after,
        "l0": float(table["k"]),
        "l2": 1.5,
        "neighbours_true": right_after,
        "status": "attacked",
    }
    made = pd.DataFrame(rows | changes)
    for name, value in reversed(table.items()):
        made.insert(0, name, value)
    return made


def uniform(features: str, **changes: Any) -> dict[str, Any]:
    """Give the setting of values drawn at random, which have no target."""
    importance = "none" if features == "random" else "global"
    return {
        "targets": "none", "importance": importance, "features": features, "values": "uniform",
        "t": np.nan,
    } | changes  # fmt: skip


def place(root: Path, dataset: str, model: str, seed: int, name: str) -> str:
    """Give the path of a model's file, its folder made."""
    path = root / "expression" / dataset / model / f"seed{seed}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return str(path)


def put(
    root: Path, table: pd.DataFrame, name: str, dataset: str = "tcga", model: str = "forest",
    seed: int = 0,
) -> str:  # fmt: skip
    """Write a model's table and give its path."""
    path = place(root, dataset, model, seed, name)
    files.write_parquet(table, path)
    return path


class Simulated:
    """Files of several datasets, models and seeds whose numbers are drawn at random."""

    def __init__(
        self,
        root: Path,
        datasets: Sequence[str] = ("covid", "tcga"),
        models: Sequence[str] = ("cnn", "random_forest", "resnet", "vit", "xgboost"),
        seeds: Sequence[int] = (0,),
        n: int = 60,
        n_genes: int = 120,
    ) -> None:
        self.root, self.datasets, self.models, self.seeds = root, datasets, models, seeds
        self.n, self.n_genes = n, n_genes
        self.ks = (10, 50, n_genes)
        self.cards = cards(*datasets, seeds=seeds, n_genes=n_genes)

    def _places(self) -> list[tuple[str, str, int]]:
        return [(d, m, s) for d in self.datasets for m in self.models for s in self.seeds]

    def _rng(self, *names: object) -> np.random.Generator:
        return np.random.default_rng([*"|".join(map(str, names)).encode()])

    def _samples(self, rng: np.random.Generator, lost: float) -> list[tuple[str, int, bool, bool]]:
        # Every tenth is misclassified in all settings alike.
        before = np.arange(self.n) % 10 != 0
        after = before & (rng.random(self.n) >= lost)
        return [
            (f"s{i:03d}", int(i % 3 > 0), bool(b), bool(a))
            for i, (b, a) in enumerate(zip(before, after, strict=True))
        ]

    def fimba(self) -> list[str]:
        """Write `fimba.parquet` of all models: SHAP and random features, all values and k."""
        paths = []
        for dataset, model, seed in self._places():
            rng, tables = self._rng(dataset, model, seed, "fimba"), []
            strength = 0.5 + 0.4 * rng.random()
            for k in self.ks:
                share = strength * (k / self.n_genes) ** 0.4
                for sets, features, factor in ((1, "shap", 1.0), (3, "random", 0.3)):
                    importance = "none" if features == "random" else "global"
                    for number in range(sets):
                        own = {"features": features, "importance": importance, "k": k}
                        own |= {"feature_set": number}
                        for targets, weight in (("opposite", 1.0), ("error", 0.6)):
                            lost = share * weight * (factor if k < self.n_genes else 1.0)
                            tables.append(
                                attack_rows(own | {"targets": targets}, self._samples(rng, lost))
                            )
                        lost = 0.5 * share * factor
                        setting = uniform(features, k=k, feature_set=number)
                        tables.append(attack_rows(setting, self._samples(rng, lost)))
            paths.append(put(self.root, pd.concat(tables), "fimba.parquet", dataset, model, seed))
        return paths

    def evasion(self, fractions: Sequence[int] = (10, 100)) -> list[str]:
        """Write `evasion.parquet` of all models."""
        paths = []
        for dataset, model, seed in self._places():
            rng, tables = self._rng(dataset, model, seed, "vae"), []
            for fraction in fractions:
                whole = {"targets": "none", "importance": "none", "features": "none",
                         "values": "reconstructed", "k": self.n_genes, "t": np.nan}  # fmt: skip
                rows = attack_rows(whole, self._samples(rng, 0.1))
                tables.append(rows.assign(fraction=fraction))
                for k in self.ks:
                    for features, lost in (("shap", 0.8), ("random", 0.35)):
                        importance = "none" if features == "random" else "global"
                        own = {"features": features, "importance": importance, "k": k}
                        own |= {"values": "decoded"}
                        lost *= (k / self.n_genes) ** 0.3
                        rows = attack_rows(own, self._samples(rng, lost))
                        tables.append(rows.assign(fraction=fraction))
            paths.append(put(self.root, pd.concat(tables), "evasion.parquet", dataset, model, seed))
        return paths

    def importance(self) -> list[str]:
        """Write `importance.parquet` of all models: a common signal and each model's own."""
        paths = []
        for dataset, model, seed in self._places():
            signal = self._rng(dataset, "signal").exponential(size=self.n_genes)
            tables = []
            for method in ("permutation", "shap"):
                own = self._rng(dataset, model, seed, method).exponential(size=self.n_genes)
                tables.append(importance_rows(signal**2 + own, method, 100, 100 * self.n_genes))
            rows = pd.concat(tables, ignore_index=True)
            paths.append(put(self.root, rows, "importance.parquet", dataset, model, seed))
        return paths

    def smallest_k(self) -> list[str]:
        """Write `smallest_k.parquet` of all models; some samples never flip."""
        paths = []
        for dataset, model, seed in self._places():
            rng, tables = self._rng(dataset, model, seed, "k"), []
            for targets, scale in (("error", 60.0), ("opposite", 20.0)):
                for features in ("random", "shap"):
                    factor = 4.0 if features == "random" else 1.0
                    found = np.ceil(rng.exponential(factor * scale, self.n) + 1)
                    correct = np.arange(self.n) % 10 != 0
                    tables.append(
                        smallest_k_rows(
                            np.where(found <= self.n_genes, found, np.nan), correct,
                            tried_to=self.n_genes, targets=targets, features=features,
                        )
                    )  # fmt: skip
            rows = pd.concat(tables, ignore_index=True)
            paths.append(put(self.root, rows, "smallest_k.parquet", dataset, model, seed))
        return paths

    def poisoning(self) -> list[str]:
        """Write `poisoning.parquet` of all models."""
        paths = []
        for dataset, model, seed in self._places():
            rng = self._rng(dataset, model, seed, "poison")
            kinds = [("none", 0, 0.0, 0.05)]
            for rate in (1.0, 5.0, 10.0):
                kinds += [("vae", f, rate, 0.05 + 0.02 * rate * f / 100) for f in (10, 50, 100)]
                kinds += [("reconstruction", f, rate, 0.05) for f in (10, 50, 100)]
                kinds += [("label_flip", 0, rate, 0.05 + 0.01 * rate)]
            tables = [
                poisoning_rows(kind, fraction, rate, rng.random(self.n) >= lost)
                for kind, fraction, rate, lost in kinds
            ]
            rows = pd.concat(tables, ignore_index=True)
            paths.append(put(self.root, rows, "poisoning.parquet", dataset, model, seed))
        return paths

    def hardening(self, rounds: int = 3) -> list[str]:
        """Write `hardening.parquet` of all models."""
        paths = []
        for dataset, model, seed in self._places():
            rng, tables = self._rng(dataset, model, seed, "harden"), []
            first: dict[tuple[str, int, int], np.ndarray[Any, Any]] = {}
            for defence, gain in (("fimba", 0.15), ("random_noise", 0.02)):
                for number in range(rounds + 1):
                    for attack, k, base in (("clean", 0, 0.95), ("fimba", 50, 0.3),
                                            ("fimba", 10, 0.6), ("random", 50, 0.85)):  # fmt: skip
                        for own in range(3 if attack == "random" else 1):
                            chance = min(base + gain * number, 0.97)
                            correct = rng.random(self.n) < chance
                            if number == 0:
                                correct = first.setdefault((attack, k, own), correct)
                            tables.append(hardening_rows(defence, number, attack, k, correct))
            rows = pd.concat(tables, ignore_index=True)
            paths.append(put(self.root, rows, "hardening.parquet", dataset, model, seed))
        return paths

    def comparison(self) -> list[str]:
        """Write `comparison.parquet` of all models; trees have no gradients."""
        paths = []
        for dataset, model, seed in self._places():
            rng, tables = self._rng(dataset, model, seed, "compare"), []
            chances = {"hopskipjump": 0.95, "zoo": 0.3, "lowprofool": 0.7, "fimba": 0.8,
                       "fimba_random": 0.5}  # fmt: skip
            for attack, chance in chances.items():
                applies = attack != "lowprofool" or model in ("cnn", "resnet", "vit")
                flipped = rng.random(self.n) < chance
                tables.append(comparison_rows(attack, np.arange(self.n) % 10 != 0, flipped,
                                              rng, applies))  # fmt: skip
            rows = pd.concat(tables, ignore_index=True)
            paths.append(put(self.root, rows, "comparison.parquet", dataset, model, seed))
        return paths

    def vaes(self, fractions: Sequence[int] = (10, 100)) -> list[str]:
        """Write the autoencoders' `model.json`."""
        paths = []
        for dataset in self.datasets:
            for seed in self.seeds:
                for fraction in fractions:
                    path = self.root / f"expression/{dataset}/vae/seed{seed}/fraction{fraction}"
                    errors = {"n": self.n, "mse": 0.5 / fraction, "mse_of_mean": 0.2}
                    told = {"n_train": fraction, "reconstruction": {"test": errors}}
                    files.write_json(told, path / "model.json")
                    paths.append(str(path / "model.json"))
        return paths


def importance_rows(
    values: Sequence[float] | np.ndarray[Any, Any], method: str = "shap", n_samples: int = 5,
    n_queries: int = 0, genes: Sequence[str] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Rank genes by their importance, ties in the order given."""
    names = genes or [f"G{i:03d}" for i in range(len(values))]
    importance = np.asarray(values, dtype=float)
    order = np.argsort(-importance, kind="stable")
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(1, len(order) + 1)
    return pd.DataFrame(
        {"method": method, "gene": names, "importance": importance, "rank": rank,
         "n_samples": n_samples, "n_queries": n_queries}
    )  # fmt: skip


def smallest_k_rows(
    found: Sequence[float] | np.ndarray[Any, Any], correct: Sequence[bool] | np.ndarray[Any, Any],
    tried_to: int, **changes: Any,
) -> pd.DataFrame:  # fmt: skip
    """Give rows of `smallest_k.parquet`; nan where nothing flips the sample."""
    right = np.asarray(correct, dtype=bool)
    k = pd.Series(np.where(right, found, np.nan)).astype("Int64")
    return pd.DataFrame(
        {
            "targets": "opposite",
            "importance": "global",
            "features": "shap",
            "t": T,
            "id": [f"s{i:03d}" for i in range(len(right))],
            "label": np.arange(len(right)) % 2,
            "correct_before": right,
            "smallest_k": k,
            "tried_to": np.where(right, tried_to, 0),
            "n_queries": np.where(right, k.fillna(tried_to).to_numpy(dtype=int), 0),
            "status": np.where(right, "attacked", "skipped_misclassified"),
        }
        | changes
    )


def poisoning_rows(
    kind: str, fraction: int, rate: float, correct: Sequence[bool] | np.ndarray[Any, Any]
) -> pd.DataFrame:
    """Give the rows of one retrained model."""
    right = np.asarray(correct, dtype=bool)
    return pd.DataFrame(
        {
            "kind": kind,
            "fraction": fraction,
            "rate": rate,
            "n_poison": int(9 * rate),
            "n_poison_wrong": int(3 * rate),
            "status": "baseline" if kind == "none" else "retrained",
            "id": [f"s{i:03d}" for i in range(len(right))],
            "label": (np.arange(len(right)) % 3 > 0).astype(int),
            "p_true": np.where(right, 0.8, 0.3),
            "correct": right,
        }
    )


def hardening_rows(
    defence: str, number: int, attack: str, k: int,
    correct: Sequence[bool] | np.ndarray[Any, Any], **changes: Any,
) -> pd.DataFrame:  # fmt: skip
    """Give the rows of one attack on the model of one round."""
    right = np.asarray(correct, dtype=bool)
    return pd.DataFrame(
        {
            "defence": defence,
            "round": number,
            "attack": attack,
            "k": k,
            "t": np.nan if attack == "clean" else T,
            "id": [f"s{i:03d}" for i in range(len(right))],
            "label": (np.arange(len(right)) % 3 > 0).astype(int),
            "p_true": np.where(right, 0.8, 0.3),
            "correct": right,
            "status": "clean" if attack == "clean" else "attacked",
            "n_added": 40 * number,
        }
        | changes
    )


def comparison_rows(
    attack: str, correct: Sequence[bool] | np.ndarray[Any, Any],
    flipped: Sequence[bool] | np.ndarray[Any, Any], rng: np.random.Generator,
    applies: bool = True, budget: int = 1000,
) -> pd.DataFrame:  # fmt: skip
    """Give the rows of one attack."""
    right = np.asarray(correct, dtype=bool)
    won = np.asarray(flipped, dtype=bool) & right & applies
    n, asked = len(right), right & applies
    status = np.where(won, "success", np.where(right, "failed", "skipped_misclassified"))
    return pd.DataFrame(
        {
            "attack": attack,
            "budget": budget,
            "id": [f"s{i:03d}" for i in range(n)],
            "label": np.arange(n) % 2,
            "correct_before": right,
            "flipped": won,
            "n_queries": np.where(asked, rng.integers(10, budget, n), 0),
            "n_gradients": np.where(asked, 7, 0) if attack == "lowprofool" else 0,
            "l0": pd.Series(np.where(won, rng.integers(1, 50, n), np.nan)).astype("Int64"),
            "l2": np.where(won, rng.random(n), np.nan),
            "linf": np.where(won, rng.random(n), np.nan),
            "status": status if applies else "not_applicable",
        }
    )
