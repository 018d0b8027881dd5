"""FGSM and PGD in embedding space: analytic optima, budgets that hold, nothing else touched."""

import json

import numpy as np
import pytest
import torch
import yaml
from test_oracle import CNN, make_dnabert2
from toy_models import Linear, linear_weights, random_sequence, wrap

from genosiege.errors import InputError
from genosiege.sequence import encoders, latent, tables
from genosiege.sequence.answers import margins, true_class_probabilities
from genosiege.sequence.gradients import embed
from genosiege.sequence.oracle import Oracle

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
EPSILONS = (0.05, 0.2, 0.8)
KINDS = ("latent_fgsm", "latent_pgd")


def sample_of(model, seed=0, n=9, wrong=0):
    """Sequences of several lengths, of the class the model puts them in but for the first."""
    rng = np.random.default_rng(seed)
    texts = [random_sequence(rng, int(length), 0.05) for length in rng.integers(20, 40, n)]
    labels = Oracle(model, device=CPU).logits(texts).argmax(axis=1)
    labels[:wrong] = (labels[:wrong] + 1) % model.n_classes
    rows = [
        {"id": f"test:{i}", "sequence": text, "label": int(label)}
        for i, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    return tables.typed(rows, tables.SAMPLE_COLUMNS)


def attack(model, sample, kind, batch_size=4, **options):
    entry = {"kind": kind, "epsilons": EPSILONS, **options}
    return latent.attack_sample(model, sample, latent.load(entry), batch_size, CPU)


@pytest.fixture(params=["cnn", "dnabert2"])
def model(request, tmp_path):
    return encoders.build(CNN, [], 3) if request.param == "cnn" else make_dnabert2(tmp_path, 3)


def sizes(model, sample):
    """Frobenius norm, root mean square entry and number of entries, by numpy."""
    found = []
    for text in sample["sequence"]:
        ids = torch.from_numpy(model.tokenizer.encode([text]).padded(None, 0)[0])
        matrix = embed(model.classifier, ids).numpy()
        found.append((np.linalg.norm(matrix), np.sqrt((matrix**2).mean()), matrix.size))
    return np.array(found).T


# Linear models -----------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_linear_model_loses_what_the_dual_norm_says(kind, norm):
    """The lowest w · δ is -radius · |w|₁ under linf, and -radius · |w|₂ under l2."""
    weights = linear_weights(0, 40)
    model = wrap(Linear(weights))
    sample = sample_of(model)
    options = {} if kind == "latent_fgsm" else {"steps": 60}

    rows = attack(model, sample, kind, norm=norm, **options)

    norms, entries, _ = sizes(model, sample)
    for row in rows.itertuples():
        i = int(row.id.split(":")[1])
        part = weights[: len(sample["sequence"][i])]
        slope = part[..., row.label] - part[..., 1 - row.label]
        if norm == "linf":
            fall = row.epsilon * entries[i] * np.abs(slope).sum()
        else:
            fall = row.epsilon * norms[i] * np.linalg.norm(slope)
        close = 1e-4 if kind == "latent_fgsm" else 2e-3
        assert row.margin_before - row.margin_after == pytest.approx(fall, rel=close)
        assert row.flipped == (row.margin_before < fall)


# Budgets -----------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_perturbation_is_larger_than_its_budget(model, kind, norm):
    sample = sample_of(model)
    rows = attack(model, sample, kind, norm=norm)
    norms, entries, n_entries = sizes(model, sample)
    for row in rows.itertuples():
        i = int(row.id.split(":")[1])
        size, radius = (
            (row.linf, row.epsilon * entries[i])
            if norm == "linf"
            else (row.l2, row.epsilon * norms[i])
        )
        assert size <= radius * (1 + 1e-5)
        # Padding has no share in it: it is bounded by the entries of real tokens.
        assert row.l2 <= row.linf * np.sqrt(n_entries[i]) * (1 + 1e-5)
    assert (rows["l2"] > 0).any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_budget_is_never_worse(model, kind, norm):
    options = {"step_size": 2.0, "steps": 3} if kind == "latent_pgd" else {}
    rows = attack(
        model, sample_of(model), kind, norm=norm, epsilons=(30.0, 0.1, 3.0, 0.01), **options
    )
    assert sorted(rows["epsilon"].unique()) == [0.01, 0.1, 3.0, 30.0]
    for _, of_one in rows.groupby("id"):
        assert of_one["epsilon"].is_monotonic_increasing
        assert (np.diff(of_one["margin_after"]) <= 0).all()
        assert (np.diff(of_one["flipped"].astype(int)) >= 0).all()
        assert (of_one["margin_after"] <= of_one["margin_before"]).all()


def test_pgd_finds_lower_margins_than_fgsm(model):
    sample = sample_of(model)
    for norm in ("linf", "l2"):
        one, many = (attack(model, sample, kind, norm=norm) for kind in KINDS)
        assert many["margin_after"].mean() < one["margin_after"].mean()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_projection_gives_the_nearest_point_of_the_ball(norm):
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(5, 4, 3, generator=generator)
    radius = torch.tensor([0.1, 0.7, 2.0, 9.0, 0.0])[:, None, None]
    found = latent.project(points, radius, norm)
    order = np.inf if norm == "linf" else 2
    size = torch.linalg.vector_norm(found.flatten(1), order, dim=1)
    assert (size <= radius[:, 0, 0] + 1e-6).all()
    assert torch.equal(found[3], points[3])
    for _ in range(200):
        other = torch.randn(points.shape, generator=generator)
        inside = (
            other * radius / torch.linalg.vector_norm(other.flatten(1), order, dim=1)[:, None, None]
        )
        distance = (found - points).flatten(1).norm(dim=1)
        assert (distance <= (inside - points).flatten(1).norm(dim=1) + 1e-5).all()


def test_zero_gradients_have_no_direction():
    assert (latent.direction(torch.zeros(2, 3, 4), "l2") == 0).all()
    assert (latent.direction(torch.zeros(2, 3, 4), "linf") == 0).all()


# Books -------------------------------------------------------------------------------


def test_a_row_tells_the_model_before_and_what_it_cost(model):
    sample = sample_of(model, wrong=2)
    rows = attack(model, sample, "latent_pgd", steps=5)
    logits = Oracle(model, device=CPU).logits(list(sample["sequence"]))
    labels = sample["label"].to_numpy()

    assert list(rows.columns) == list(latent.COLUMNS)
    assert list(rows["id"]) == [name for name in sample["id"] for _ in EPSILONS]
    assert list(rows["epsilon"]) == [*EPSILONS] * len(sample)
    first = rows.drop_duplicates("id")
    np.testing.assert_allclose(first["margin_before"], margins(logits, labels), atol=1e-5)
    np.testing.assert_allclose(
        first["p_true_before"], true_class_probabilities(logits, labels), atol=1e-5
    )
    assert list(first["correct_before"]) == [False] * 2 + [True] * 7
    attacked = rows[rows["correct_before"]]
    assert list(attacked["n_gradients"].iloc[:3]) == [5, 10, 15]
    assert list(attacked["n_queries"].iloc[:3]) == [7, 13, 19]
    assert (attacked["flipped"] == (attacked["margin_after"] < 0)).all()
    skipped = rows[~rows["correct_before"]]
    assert not skipped["flipped"].any() and (skipped["margin_before"] < 0).all()
    assert (skipped["margin_after"] == skipped["margin_before"]).all()
    assert (skipped[["l2", "linf", "n_gradients"]] == 0).all(axis=None)


def test_fgsm_takes_one_gradient(model):
    rows = attack(model, sample_of(model), "latent_fgsm")
    assert (rows["n_gradients"] == 1).all()
    assert list(rows["n_queries"].iloc[:3]) == [2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_results_do_not_depend_on_batches(model, kind):
    sample = sample_of(model)
    one, all_at_once = (attack(model, sample, kind, size, steps=4) if kind == "latent_pgd"
                        else attack(model, sample, kind, size) for size in (1, 50))  # fmt: skip
    assert (one["flipped"] == all_at_once["flipped"]).all()
    np.testing.assert_allclose(one["margin_after"], all_at_once["margin_after"], atol=1e-3)


def test_random_starts_belong_to_the_sequence(model):
    sample = sample_of(model)
    whole = attack(model, sample, "latent_pgd", 1, steps=1)
    part = attack(model, sample.iloc[3:5], "latent_pgd", 1, steps=1)
    fixed = attack(model, sample, "latent_pgd", 1, steps=1, random_start=False)
    both = whole[whole["id"].isin(part["id"])].reset_index(drop=True)
    assert both.equals(part)
    assert not np.allclose(fixed["margin_after"], whole["margin_after"])


def test_the_model_is_left_as_it_was(model):
    model.classifier.train()
    modes = [module.training for module in model.classifier.modules()]
    state = {name: value.clone() for name, value in model.classifier.state_dict().items()}
    wanted = [p.requires_grad for p in model.classifier.parameters()]

    attack(model, sample_of(model, n=3), "latent_pgd", steps=2)

    assert [module.training for module in model.classifier.modules()] == modes
    assert [p.requires_grad for p in model.classifier.parameters()] == wanted
    assert all(p.grad is None for p in model.classifier.parameters())
    for name, value in model.classifier.state_dict().items():
        assert torch.equal(value, state[name])


# Options -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_options_are_the_librarys(kind, repository):
    path = repository / "workflow/schemas/attack.schema.yaml"
    defined = yaml.safe_load(path.read_text())["$defs"]
    offered = {name: entry for name, entry in defined[kind]["properties"].items() if entry}
    options = latent.load({"kind": kind})
    assert set(offered) == set(vars(options))
    for name, entry in offered.items():
        default = defined["epsilons"]["default"] if name == "epsilons" else entry["default"]
        assert json.loads(json.dumps(getattr(options, name))) == default


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "greedy"}, 'kind "greedy": choose one of latent_fgsm, latent_pgd'),
        ({"kind": "latent_fgsm", "steps": 3}, '"steps".*norm, epsilons'),
        ({"kind": "latent_fgsm", "norm": "l1"}, '"l1": choose linf or l2'),
        ({"kind": "latent_pgd", "epsilons": []}, "epsilons"),
        ({"kind": "latent_pgd", "epsilons": [0.1, 0]}, "epsilons.*numbers > 0"),
        ({"kind": "latent_pgd", "steps": 0}, "steps 0"),
        ({"kind": "latent_pgd", "step_size": 0}, "step_size 0"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(entry, message):
    with pytest.raises(InputError, match=message) as caught:
        latent.load(entry)
    assert "\n" not in str(caught.value)
