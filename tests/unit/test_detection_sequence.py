"""Detectors on a model, and what they say of natural sequences, adversaries and mutants."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from as_snakemake import run_script
from refusals import refusal
from sklearn.metrics import roc_auc_score
from torch import nn
from toy_models import Linear, Spy, linear_weights, random_sequence, substitutions, wrap

from genosiege import files, optimisation
from genosiege.detection import dna, sequence_detectors, sequence_scores
from genosiege.detection.detectors import Mahalanobis, NearestNeighbours
from genosiege.detection.options import SEQUENCE, Detection
from genosiege.sequence import encoders, prediction, results
from genosiege.sequence.answers import margins
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.networks import Classifier
from genosiege.sequence.splits import Split
from genosiege.sequence.tokenizer import BpeTokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 40
FEATURES = 6
OPTIONS = Detection(fit_samples=30, kmer=1, neighbours=3, mutants=3)


def sequences(n, seed=0):
    rng = np.random.default_rng(seed)
    return [random_sequence(rng, LENGTH) for _ in range(n)]


@pytest.fixture
def model():
    """Six features that are sums over positions, and a linear head on them."""
    made = wrap(Spy(Linear(linear_weights(0, LENGTH, FEATURES))), n_classes=2)
    made.classifier.head = nn.Linear(FEATURES, 2)
    with torch.no_grad():
        made.classifier.head.weight.copy_(torch.arange(12).reshape(2, 6) % 5 - 2.0)
        made.classifier.head.bias.zero_()
    return made


def split(n, seed):
    return Split(sequences(n, seed), np.arange(n) % 2)


def fitted(model, options=OPTIONS, train=None):
    train = train or split(60, 1)
    return sequence_detectors.fitted(model, train, options, seed=0, batch_size=8)


def asked(model):
    return model.classifier.encoder.rows


# The model ----------------------------------------------------------------------------


def test_features_and_logits_are_the_models_own(model):
    reader = sequence_detectors.Reader(model, batch_size=4)
    asked_for = sequences(11)
    tokens = model.tokenizer.encode(asked_for)
    found = reader.read(asked_for)
    np.testing.assert_allclose(found.features, prediction.encode(model, tokens), rtol=1e-5)
    np.testing.assert_allclose(found.logits, prediction.predict(model, tokens), rtol=1e-5)
    assert reader.has_features and found.features.shape == (11, FEATURES)


def test_the_callers_model_is_left_as_it_was(model):
    model.classifier.train()
    fitted(model).score_all(sequences(3))
    assert model.classifier.training and model.classifier.head.training
    assert not model.classifier.head._forward_pre_hooks


def test_equal_strings_are_read_once_by_all_detectors_together(model):
    detectors = fitted(model)
    before = len(asked(model))
    strings = sequences(5)
    found = detectors.score_all(strings + strings[::-1])
    assert sorted(asked(model)[before:]) == sorted(strings)
    detectors.logits(strings)
    assert len(asked(model)) == before + 5
    for scores in found.values():
        np.testing.assert_array_equal(scores[:5], scores[:4:-1])


def test_scores_do_not_depend_on_the_order_of_sequences(model):
    strings = sequences(23)
    forth, back = fitted(model).score_all(strings), fitted(model).score_all(strings[::-1])
    assert tuple(forth) == SEQUENCE
    for name in SEQUENCE:
        np.testing.assert_array_equal(back[name][::-1], forth[name])
        np.testing.assert_array_equal(fitted(model).score(name, strings), forth[name])


def test_cached_features_are_taken_instead_of_new_ones(model):
    reader = sequence_detectors.Reader(model, batch_size=4)
    strings = sequences(9)
    cached = np.arange(6 * FEATURES, dtype=np.float32).reshape(6, FEATURES)
    reader.remember(Split(strings[:6], np.zeros(6, int), cached))
    found = reader.read(strings[::-1])
    assert sorted(asked(model)) == sorted(strings[6:])
    np.testing.assert_array_equal(found.features[:2:-1], cached)
    np.testing.assert_allclose(
        found.logits[:2:-1], prediction.head_logits(model, cached), rtol=1e-5
    )
    tokens = model.tokenizer.encode(strings[:5:-1])
    np.testing.assert_allclose(found.logits[:3], prediction.predict(model, tokens), rtol=1e-5)


def hub_folder(folder, kind):
    import transformers

    tokenizer = BpeTokenizer.train(sequences(50), 40)
    tokenizer.save(folder / "tokenizer.json")
    common = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    common |= {"intermediate_size": 16, "num_labels": 3}
    configs = {
        "bert": transformers.BertConfig,
        "roberta": transformers.RobertaConfig,  # a head of two layers
        "mistral": lambda **c: transformers.MistralConfig(**c, num_key_value_heads=2),
    }
    with optimisation.seeded(np.random.default_rng(0)):
        network = transformers.AutoModelForSequenceClassification.from_config(
            configs[kind](**common)
        )
    network.save_pretrained(folder)


@pytest.mark.parametrize("kind", ["bert", "roberta", "mistral"])
def test_features_of_an_own_head_are_what_its_last_layer_makes_the_logits_of(kind, tmp_path):
    hub_folder(tmp_path, kind)
    model = encoders.build({"kind": "hf", "train": "none"}, [str(tmp_path)], 3)
    strings = [s[: 10 + i] for i, s in enumerate(sequences(12))]  # of several lengths

    reader = sequence_detectors.Reader(model, batch_size=5)
    found = reader.read(strings)

    assert reader.has_features and found.features.shape == (12, 16)
    (weight,) = [p for n, p in model.classifier.head.named_parameters() if p.shape == (3, 16)]
    bias = [p for p in model.classifier.head.parameters() if p.shape == (3,)]
    again = found.features @ weight.detach().numpy().T + sum(b.detach().numpy() for b in bias)
    np.testing.assert_allclose(again, found.logits, atol=1e-5)
    assert np.ptp(found.features, axis=0).min() > 0
    tokens = model.tokenizer.encode(strings)
    np.testing.assert_allclose(found.logits, prediction.predict(model, tokens, 5), atol=1e-5)


class Hiding(Classifier):
    """A head of its own whose layer is not given what its logits are made of."""

    def forward(self, input_ids, attention_mask):
        features = self.encoder(input_ids, attention_mask)
        return self.head["last"](features) * 2 + 1


def test_detectors_of_features_are_left_out_where_a_head_hides_them(model, caplog):
    model.classifier = Hiding(
        model.classifier.encoder, nn.ModuleDict({"last": nn.Linear(FEATURES, 2)}), frozen=True
    )
    model.spec = {"kind": "hf", "train": "none"}
    with caplog.at_level(logging.INFO):
        detectors = fitted(model)
    assert detectors.names == ("spectral", "period3", "kmer", "margin")
    assert "mahalanobis is left out" in caplog.text
    assert set(detectors.score_all(sequences(3))) == set(detectors.names)


# The detectors ------------------------------------------------------------------------


def test_each_detector_is_fitted_on_the_drawn_training_rows_alone(model):
    train, test = split(60, 1), sequences(8, 2)
    rows = sequence_detectors.drawn(train.labels, OPTIONS, 0, "detector fit")
    assert len(rows) == 30 and train.labels[rows].sum() == 15
    chosen, labels = [train.sequences[row] for row in rows], train.labels[rows]

    def features(strings):
        return prediction.encode(model, model.tokenizer.encode(strings))

    expected = {
        "spectral": dna.DnaSpectrum().fit(chosen, labels).score(test),
        "period3": dna.PeriodThree().fit(chosen, labels).score(test),
        "kmer": dna.KmerBackground(1).fit(chosen, labels).score(test),
        "mahalanobis": Mahalanobis().fit(features(chosen), labels).score(features(test)),
        "nearest_neighbours": NearestNeighbours(3)
        .fit(features(chosen), labels)
        .score(features(test)),
        "margin": -abs(np.diff(prediction.predict(model, model.tokenizer.encode(test)))[:, 0]),
    }
    found = fitted(model, train=train).score_all(test)
    assert list(found) == list(expected)
    for name, scores in expected.items():
        np.testing.assert_allclose(found[name], scores, rtol=1e-4, err_msg=name)


def test_cached_training_features_are_lined_up_with_the_drawn_rows(model):
    train = split(60, 1)
    cached = prediction.encode(model, model.tokenizer.encode(train.sequences))
    plain = fitted(model, train=train).score_all(sequences(6))
    before = len(asked(model))
    detectors = fitted(model, train=train._replace(features=cached))
    assert len(asked(model)) == before
    for name, scores in detectors.score_all(sequences(6)).items():
        np.testing.assert_allclose(scores, plain[name], rtol=1e-4, err_msg=name)


def test_equal_distributions_cannot_be_told_apart_by_any_detector(model):
    options = Detection(fit_samples=None, kmer=1)
    detectors = fitted(model, options, split(300, 1))
    scores = detectors.score_all(sequences(600, 2))
    for name, values in scores.items():
        auroc = roc_auc_score([0] * 300 + [1] * 300, values)
        assert abs(auroc - 0.5) < 4 / np.sqrt(12 * 150), name  # four standard deviations


def test_only_the_detectors_asked_for_are_made_and_others_refused(model):
    detectors = fitted(model, Detection(sequence=("kmer", "margin")))
    assert detectors.names == ("kmer", "margin")
    message = refusal(sequence_detectors.build, ["fft"], model, OPTIONS, 8)
    assert '"fft"' in message and "period3" in message


def test_a_score_that_is_no_number_is_refused(model):
    class Broken:
        def score(self, strings):
            return np.full(len(strings), np.nan)

    detectors = sequence_detectors.SequenceDetectors(
        {"mine": Broken()}, sequence_detectors.Reader(model, 8)
    )

    assert refusal(detectors.score_all, sequences(2)).startswith("detector mine: a score is not")


def test_no_sequence_has_no_score(model):
    assert all(scores.shape == (0,) for scores in fitted(model).score_all([]).values())


# The scores ---------------------------------------------------------------------------


def table(n, seed, split_name):
    found = pd.DataFrame({"id": [f"{split_name}:{i}" for i in range(n)]})
    return found.assign(sequence=sequences(n, seed), label=np.arange(n) % 2)


def attacked(sample, model, seed, attack_seeds=(0,)):
    """Draw an attack of up to eleven edits."""
    rng, rows = np.random.default_rng(seed), []
    for attack_seed in attack_seeds:
        for row in sample.itertuples():
            letters = list(row.sequence)
            for position in rng.choice(LENGTH, int(rng.integers(0, 12)), replace=False):
                letters[position] = rng.choice([b for b in "ACGT" if b != letters[position]])
            rows.append((attack_seed, row.id, row.label, row.sequence, "".join(letters)))
    names = ["attack_seed", "id", "label", "original", "adversarial"]
    found = pd.DataFrame(rows, columns=names)
    found["n_edits"] = [
        len(substitutions(a, b)) for a, b in zip(found.original, found.adversarial, strict=True)
    ]
    logits = prediction.predict(model, model.tokenizer.encode(list(found["original"])))
    found["correct_before"] = margins(logits, found["label"].to_numpy()) >= 0
    # Not what the model says: a table's own word on its adversaries stands.
    found["success_flip"] = found["correct_before"] & (np.arange(len(found)) % 3 == 0)
    return found.assign(flipped=found["correct_before"])


@pytest.fixture
def world(model):
    sample = table(20, 5, "test")
    attacks = {"genetic": attacked(sample, model, 0, (0, 1)), "greedy": attacked(sample, model, 1)}
    return table(50, 4, "dev"), sample, attacks


RULES = Constraints(edit_mask="hard", editable=((3, 33),))


def scored(model, world, options=OPTIONS, seed=0):
    return sequence_scores.score(fitted(model), *world, RULES, options, seed)


def test_natural_parts_are_all_of_dev_and_of_the_sample(model, world):
    dev, sample, _ = world
    found = scored(model, world).scores
    validation, natural = (found[found["part"] == part] for part in ("validation", "natural"))
    assert validation["id"].tolist() == dev["id"].tolist()
    assert natural["id"].tolist() == sample["id"].tolist()
    for part, rows in ((validation, dev), (natural, sample)):
        rows = rows.set_index("id").loc[part["id"]]
        logits = prediction.predict(model, model.tokenizer.encode(list(rows["sequence"])))
        right = margins(logits, rows["label"].to_numpy()) >= 0
        assert part["correct_before"].tolist() == right.tolist() and 0 < right.sum() < len(right)
        assert not part["flipped"].any() and (part["attack"] == "").all()
        assert not part[["attack_seed", "n_edits", "copy"]].to_numpy().any()


def test_adversaries_are_the_edited_rows_of_what_the_model_gets_right(model, world):
    _, _, attacks = world
    found = scored(model, world).scores
    for name, rows in attacks.items():
        mine = found[(found["part"] == "adversary") & (found["attack"] == name)]
        kept = rows[rows["correct_before"] & (rows["n_edits"] > 0)]
        assert 0 < len(kept) < len(rows)
        for column in ("attack_seed", "id", "label", "n_edits", "correct_before"):
            assert mine[column].tolist() == kept[column].tolist()
        assert mine["flipped"].tolist() == kept["success_flip"].tolist()
        assert 0 < mine["flipped"].sum() < len(mine)
        assert (mine["copy"] == 0).all()


def test_every_row_has_the_scores_of_its_string(model, world):
    dev, sample, attacks = world
    found = scored(model, world).scores
    detectors = fitted(model)
    strings = {
        "validation": dict(zip(dev["id"], dev["sequence"], strict=True)),
        "natural": dict(zip(sample["id"], sample["sequence"], strict=True)),
        "adversary": {
            (name, *key[:2]): key[2]
            for name, rows in attacks.items()
            for key in zip(rows["attack_seed"], rows["id"], rows["adversarial"], strict=True)
        },
    }
    mine = found[found["part"] != "mutant"]
    read = [
        strings[r.part][(r.attack, r.attack_seed, r.id) if r.part == "adversary" else r.id]
        for r in mine.itertuples()
    ]
    for name in SEQUENCE:
        expected = [detectors.score(name, [string])[0] for string in read]
        np.testing.assert_allclose(mine[f"score_{name}"], expected, rtol=1e-4, atol=1e-6)
    assert np.isfinite(found.filter(like="score_")).all().all()
    assert found.filter(like="score_").nunique().min() > 50


def test_each_adversary_has_its_mutants_whose_flips_are_the_models(model, world, monkeypatch):
    drawn = []
    draw = sequence_scores.mutants.draw
    monkeypatch.setattr(
        sequence_scores.mutants, "draw", lambda *a: drawn.append(draw(*a)) or drawn[-1]
    )
    found = scored(model, world).scores
    mutants, adversaries = (found[found["part"] == p] for p in ("mutant", "adversary"))
    key = ["attack", "attack_seed", "id", "label", "n_edits"]
    expected = adversaries.loc[adversaries.index.repeat(3), key].reset_index(drop=True)
    pd.testing.assert_frame_equal(mutants[key].reset_index(drop=True), expected)
    logits = prediction.predict(model, model.tokenizer.encode(list(drawn[0]["mutant"])))
    wrong = margins(logits, drawn[0]["label"].to_numpy()) < 0
    assert mutants["flipped"].tolist() == wrong.tolist() and 0 < wrong.sum() < len(wrong)
    assert mutants["correct_before"].all()
    np.testing.assert_allclose(mutants["score_margin"], -abs(np.diff(logits)[:, 0]), atol=1e-5)
    allowed = drawn[0].apply(lambda r: set(substitutions(r["original"], r["mutant"])), axis=1)
    assert all(position in range(3, 33) for positions in allowed for position in positions)


def test_equal_strings_are_scored_once(model, world):
    dev, sample, attacks = world
    twice = {"genetic": attacks["genetic"], "again": attacks["genetic"]}
    detectors = fitted(model)
    before = len(asked(model))
    dev = pd.concat([dev, sample.assign(id="copy of " + sample["id"])])
    sequence_scores.score(detectors, dev, sample, twice, RULES, OPTIONS, 0)
    read = asked(model)[before:]
    assert len(read) == len(set(read))


def test_the_order_of_the_sequences_does_not_matter(model, world):
    dev, sample, attacks = world
    turned = (
        dev,
        sample.iloc[::-1],
        {name: attacks[name].iloc[::-1] for name in ("greedy", "genetic")},
    )
    key = ["part", "attack", "attack_seed", "id", "copy"]
    one, other = (
        scored(model, given).scores.sort_values(key, ignore_index=True) for given in (world, turned)
    )
    pd.testing.assert_frame_equal(one, other)


def test_equal_inputs_give_equal_tables(model, world):
    for one, other in zip(scored(model, world), scored(model, world), strict=True):
        pd.testing.assert_frame_equal(one, other)
    other = scored(model, world, seed=1).scores
    assert not other["score_margin"].equals(scored(model, world).scores["score_margin"])


def test_spectra_are_means_and_bands_over_the_rows_of_a_group(model, world):
    _, sample, attacks = world
    found = scored(model, world).spectra
    assert list(found) == list(sequence_scores.SPECTRUM_COLUMNS)
    groups = found.groupby(["group", "attack"], sort=False).size()
    assert groups.to_dict() == dict.fromkeys(
        [
            ("natural", ""), ("adversary", "genetic"), ("adversary", "greedy"),
            ("mutant", "genetic"), ("mutant", "greedy"),
        ],
        LENGTH // 2,
    )  # fmt: skip
    rows = attacks["greedy"]
    kept = rows[rows["correct_before"] & (rows["n_edits"] > 0)]["adversarial"].tolist()
    for group, attack, strings in (
        ("natural", "", sample["sequence"].tolist()),
        ("adversary", "greedy", kept),
    ):
        mine = found[(found["group"] == group) & (found["attack"] == attack)]
        spectra = dna.log_spectra(strings, LENGTH // 2)
        np.testing.assert_allclose(mine["frequency"], np.arange(1, 21) / LENGTH)
        np.testing.assert_allclose(mine["mean"], spectra.mean(axis=0))
        np.testing.assert_allclose(mine["low"], np.percentile(spectra, 5, axis=0))
        np.testing.assert_allclose(mine["high"], np.percentile(spectra, 95, axis=0))
        assert (mine["n"] == len(strings)).all()


def test_without_attacks_the_natural_parts_remain(model, world):
    dev, sample, attacks = world
    untouched = attacks["greedy"].assign(n_edits=0)
    for given in ({}, {"greedy": untouched}):
        found = scored(model, (dev, sample, given))
        assert set(found.scores["part"]) == {"validation", "natural"}
        assert set(found.spectra["group"]) == {"natural"}
    kinds = scored(model, world).scores.dtypes
    assert found.scores.dtypes.equals(kinds)


def test_an_attack_on_another_sample_is_refused(model, world):
    dev, sample, attacks = world
    other = attacks["greedy"].assign(original="A" * LENGTH)
    message = refusal(scored, model, (dev, sample, {"greedy": other}))
    assert "attack greedy" in message and "test:0" in message
    assert "no sequence" in refusal(scored, model, (dev, sample.iloc[:0], {}))


# The script ---------------------------------------------------------------------------


def test_the_script_writes_both_tables(tmp_path):
    spec = {"kind": "cnn", "architecture": {"channels": 4, "blocks": 1}}
    model = encoders.build(spec, [], 2)
    encoders.save(model, str(tmp_path / "model.safetensors"), {})
    train, dev, sample = table(30, 1, "train"), table(20, 2, "dev"), table(10, 3, "test")
    place = tmp_path / "promoters/cnn/seed0/baseline/attacks/genetic/test.parquet"
    for rows, path in ((train, "train"), (dev, "dev"), (sample, "sample")):
        files.write_parquet(rows, tmp_path / f"{path}.parquet")
    rows = attacked(sample, model, 0)
    lacking = {name: kind for name, kind in results.ATTACK_ROWS.items() if name not in rows}
    rows = rows.assign(**{name: 0 if kind != "object" else "" for name, kind in lacking.items()})
    files.write_parquet(rows.astype(results.ATTACK_ROWS), place)
    given = {
        "input": {
            "model": str(tmp_path / "model.safetensors"), "encoder": [],
            "train": str(tmp_path / "train.parquet"), "dev": str(tmp_path / "dev.parquet"),
            "sample": str(tmp_path / "sample.parquet"), "attacks": [str(place)],
        },
        "output": {name: str(tmp_path / f"{name}.parquet") for name in ("table", "spectra")},
        "params": {
            "encoder": spec, "detection": {"fit_samples": 20, "kmer": 1, "mutants": 2},
            "constraints": {}, "tss_index": None, "batch_size": 8,
        },
        "wildcards": {"task": "promoters", "encoder": "cnn", "seed": "0"},
    }  # fmt: skip

    done = run_script("detect_sequence", tmp_path, **given)

    assert done.returncode == 0, (tmp_path / "log").read_text()
    found = files.read_parquet(tmp_path / "table.parquet")
    options = Detection(fit_samples=20, kmer=1, mutants=2)
    detectors = sequence_detectors.fitted(
        model, Split(train["sequence"].tolist(), train["label"].to_numpy()), options, 0, 8
    )
    expected = sequence_scores.score(
        detectors, dev, sample, {"genetic": rows}, Constraints(), options, 0
    )
    pd.testing.assert_frame_equal(found, expected.scores)
    spectra = files.read_parquet(tmp_path / "spectra.parquet")
    pd.testing.assert_frame_equal(spectra, expected.spectra)
