"""The autoencoder of expression, on data that lie on a curve."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal

from genosiege import files
from genosiege.errors import InputError
from genosiege.expression import vae, vae_training
from genosiege.expression.samples import Samples
from genosiege.expression.vae_training import Training, share

GENES = 12
SMALL = Training(widths=(16, 8), latent=2, epochs=120, batch_size=16, learning_rate=5e-3, beta=0.01)
QUICK = Training(widths=(8, 6), latent=2, epochs=3, batch_size=16, learning_rate=1e-3)


def on_a_curve(n, seed):
    """Samples that one hidden number decides, the class by its sign; hardly any noise."""
    rng = np.random.default_rng(seed)
    hidden = np.linspace(-1, 1, n) + rng.normal(0, 0.01, n)
    phases = np.linspace(0, 2, GENES)
    values = 0.8 * np.sin(2 * hidden[:, None] + phases) + rng.normal(0, 0.01, (n, GENES))
    return Samples(
        ids=np.array([f"s{seed}.{i}" for i in range(n)]),
        values=values.astype(np.float32),
        labels=(hidden > 0).astype(np.int64),
        genes=tuple(f"g{i}" for i in range(GENES)),
    )


@pytest.fixture(scope="module")
def learned():
    return vae_training.train(on_a_curve(160, 1), on_a_curve(40, 2), 100, SMALL, seed=3)


@pytest.fixture(scope="module")
def quick():
    return vae_training.train(on_a_curve(40, 1), on_a_curve(20, 2), 100, QUICK, seed=3)


def weights(trained):
    return {name: tensor.clone() for name, tensor in trained.vae.network.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_samples_on_a_curve_are_reconstructed_far_better_than_by_their_mean(learned):
    found = vae.reconstruction(learned.vae, on_a_curve(60, 4))

    assert found["n"] == 60
    assert found["mse"] < 0.1 * found["mse_of_mean"]


def test_the_reported_errors_are_means_over_samples_and_genes(learned):
    train, other = on_a_curve(160, 1), on_a_curve(30, 5)
    mean = train.values.astype(np.float64).mean(axis=0)
    decoded = learned.vae.reconstruct(other.values)

    found = vae.reconstruction(learned.vae, other)

    assert found["mse_of_mean"] == pytest.approx(((other.values - mean) ** 2).mean(), rel=1e-5)
    assert found["mse"] == pytest.approx(((other.values - decoded) ** 2).mean(), rel=1e-5)


@given(
    mean=st.lists(st.floats(-3, 3), min_size=1, max_size=4),
    log_variance=st.floats(-4, 2),
)
def test_the_divergence_is_that_of_torch_distributions(mean, log_variance):
    means = torch.tensor([mean, [0.0] * len(mean)], dtype=torch.float64)
    log_variances = torch.full_like(means, log_variance)
    posterior = torch.distributions.Normal(means, torch.exp(log_variances / 2))
    prior = torch.distributions.Normal(torch.zeros_like(means), torch.ones_like(means))
    expected = torch.distributions.kl_divergence(posterior, prior).sum(dim=1)

    assert torch.allclose(vae.divergence(means, log_variances), expected, atol=1e-10)


def test_the_divergence_of_the_prior_is_nothing():
    assert vae.divergence(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_z_is_drawn_with_the_posteriors_own_spread(quick):
    network, values = quick.vae.network, torch.from_numpy(on_a_curve(3, 6).values)
    seen = []
    hook = network.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    with torch.inference_mode():
        noise = torch.tensor([[1.0, -2.0]] * 3)
        _, mean, log_variance = network(values, noise)
    hook.remove()

    assert torch.allclose(seen[0], mean + log_variance.exp().sqrt() * noise)


def test_the_loss_is_summed_over_genes_and_z_and_is_a_mean_over_samples(quick):
    # One epoch of one batch: its loss is that of the network before any step.
    options = Training(widths=(8, 6), latent=2, epochs=1, batch_size=99, beta=0.5)
    train = on_a_curve(40, 1)
    network = vae_training._initial(GENES, (8, 6), options, seed=3)
    rng = vae_training.runtime.stream(3, "vae", "order and noise")
    values = torch.from_numpy(train.values[rng.permutation(40)])
    noise = torch.from_numpy(rng.standard_normal((40, 2), dtype=np.float32))
    with torch.inference_mode():
        decoded, mean, log_variance = network(values, noise)
    error = ((decoded - values) ** 2).sum().item() / 40
    variance = log_variance.exp()
    nats = (0.5 * (variance + mean**2 - 1) - 0.5 * variance.log()).sum().item() / 40

    trained = vae_training.train(train, on_a_curve(20, 2), 100, options, seed=3)

    (epoch,) = trained.report["history"]
    assert epoch["train_error"] == pytest.approx(error, rel=1e-5)
    assert epoch["train_divergence"] == pytest.approx(nats, rel=1e-5)
    assert epoch["train_loss"] == pytest.approx(error + 0.5 * nats, rel=1e-5)


def test_nothing_of_the_way_gives_the_reconstruction_and_all_of_it_the_targets(learned):
    some, others = on_a_curve(9, 7).values, on_a_curve(9, 8).values[::-1]

    assert np.array_equal(learned.vae.interpolate(some, others, 0.0), learned.vae.reconstruct(some))
    assert np.array_equal(
        learned.vae.interpolate(some, others, 1.0), learned.vae.reconstruct(others)
    )


def test_halfway_is_the_middle_of_the_posterior_means(learned):
    some, others = on_a_curve(5, 7).values, on_a_curve(5, 8).values[::-1]
    middle = (learned.vae.encode(some) + learned.vae.encode(others)) / 2

    halfway = learned.vae.interpolate(some, others, 0.5)

    assert np.allclose(halfway, learned.vae.decode(middle), atol=1e-6)


def test_decoded_expression_stays_where_prepared_expression_lies(learned):
    decoded = learned.vae.decode(np.array([[500, -500], [-500, 500]], dtype=np.float32))

    with torch.inference_mode():
        raw = learned.vae.network.decoder(torch.tensor([[500.0, -500.0], [-500.0, 500.0]]))
    assert np.array_equal(decoded, raw.numpy().clip(-1.5, 1.5))
    learned.vae.network.decoder[-1].bias.data += 9
    assert learned.vae.decode(np.zeros((1, 2), np.float32)).max() == 1.5
    learned.vae.network.decoder[-1].bias.data -= 9


def test_no_samples_give_no_rows(quick):
    assert quick.vae.encode(np.empty((0, GENES), np.float32)).shape == (0, 2)
    assert quick.vae.reconstruct(np.empty((0, GENES), np.float32)).shape == (0, GENES)


def test_the_epoch_that_is_best_on_dev_is_kept():
    # Dev is unlike train, so that its loss rises again.
    train, dev = on_a_curve(40, 1), on_a_curve(20, 2)
    dev = Samples(dev.ids, -dev.values, dev.labels, dev.genes)
    options = Training(widths=(16, 8), latent=2, epochs=40, batch_size=8, learning_rate=1e-2)
    full = vae_training.train(train, dev, 100, options, seed=1)
    best = full.report["best_epoch"]
    losses = [epoch["dev_loss"] for epoch in full.report["history"]]
    assert losses[best - 1] == min(losses)
    assert best < len(losses) == 40

    stopped = Training(widths=(16, 8), latent=2, epochs=best, batch_size=8, learning_rate=1e-2)
    assert equal(weights(full), weights(vae_training.train(train, dev, 100, stopped, seed=1)))


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(quick):
    train, dev = on_a_curve(40, 1), on_a_curve(20, 2)
    torch.rand(3)  # whatever was drawn before

    again = vae_training.train(train, dev, 100, QUICK, seed=3)
    other = vae_training.train(train, dev, 100, QUICK, seed=4)

    assert equal(weights(again), weights(quick))
    assert again.report == quick.report
    assert not equal(weights(other), weights(quick))


def test_training_leaves_torchs_own_stream_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)

    vae_training.train(on_a_curve(20, 1), on_a_curve(10, 2), 100, QUICK, seed=3)

    assert torch.equal(torch.rand(2), expected)


def test_only_the_share_of_train_and_dev_is_used():
    train, dev = on_a_curve(40, 1), on_a_curve(20, 2)
    known = train.take(share(train.labels, 50, 3, "train"))
    judges = dev.take(share(dev.labels, 50, 3, "dev"))

    part = vae_training.train(train, dev, 50, QUICK, seed=3)

    blanked = train.values.copy()
    blanked[~np.isin(train.ids, known.ids)] = 0
    elsewhere = dev.values.copy()
    elsewhere[~np.isin(dev.ids, judges.ids)] = 0
    same = vae_training.train(
        Samples(train.ids, blanked, train.labels, train.genes),
        Samples(dev.ids, elsewhere, dev.labels, dev.genes),
        50,
        QUICK,
        seed=3,
    )
    assert equal(weights(part), weights(same))
    assert part.report == same.report
    assert (part.report["n_train"], part.report["n_dev"]) == (20, 10)
    assert np.allclose(part.vae.mean_expression, known.values.mean(axis=0), atol=1e-6)


@settings(max_examples=50)
@given(
    n=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    fraction=st.integers(1, 99),
    seed=st.integers(0, 5),
)
def test_a_share_is_stratified_rounded_and_part_of_every_larger_one(n, fraction, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat([0, 1], n))
    expected = [int(count * fraction / 100 + 0.5) for count in n]
    if 0 in expected:
        with pytest.raises(InputError):
            share(labels, fraction, seed, "train")
        return

    rows = share(labels, fraction, seed, "train")

    assert np.bincount(labels[rows], minlength=2).tolist() == expected
    assert (np.diff(rows) > 0).all()
    assert set(rows) <= set(share(labels, fraction + 1, seed, "train"))


def test_the_whole_share_is_the_split():
    assert share(np.array([0, 1, 1, 0, 1]), 100, 0, "train").tolist() == [0, 1, 2, 3, 4]


def test_a_share_without_a_sample_of_a_class_is_refused():
    labels = np.repeat([0, 1], [4, 100])

    message = refusal(share, labels, 10, 0, "train")

    assert message == (
        "vae, fraction 10: 10 % of the 4 train samples of class 0 is not one sample; "
        "raise the fraction or add samples."
    )
    assert len(share(labels, 10, 0, "dev", at_least=1)) == 11


@pytest.mark.parametrize("fraction", [0, 101, 10.0, True, "10"])
def test_an_impossible_fraction_is_refused(fraction):
    assert "whole number of 1 to 100" in refusal(share, np.array([0, 1]), fraction, 0, "train")


def test_the_published_network_has_the_published_layers():
    options = Training()
    network = vae.Network(2881, options.layers(2881), options.latent, options.output)

    shapes = [tuple(part.weight.shape) for part in network.encoder if hasattr(part, "weight")]
    assert shapes == [(2100, 2881), (1600, 2100), (1200, 1600), (800, 1200), (512, 800)]
    assert network.mean.weight.shape == network.log_variance.weight.shape == (32, 512)
    shapes = [tuple(part.weight.shape) for part in network.decoder if hasattr(part, "weight")]
    assert shapes == [
        *((512, 32), (800, 512), (1200, 800), (1600, 1200), (2100, 1600), (2881, 2100)),
    ]
    kinds = [type(part) for part in network.decoder]
    assert kinds == [torch.nn.Linear, torch.nn.Tanh] * 5 + [torch.nn.Linear]
    assert (options.epochs, options.learning_rate) == (50, 1e-5)


def test_auto_widths_follow_the_genes_but_stay_above_the_latent():
    auto = Training(widths="auto", latent=8)

    assert auto.layers(2881) == auto.layers(20000) == vae_training.PUBLISHED_WIDTHS
    assert auto.layers(288) == (210, 160, 120, 80, 51)
    assert auto.layers(30) == (22, 17, 16, 16, 16)


def test_a_tanh_output_cannot_leave_the_scale():
    network = vae.Network(4, (5,), 2, "tanh")

    assert network.decoder(torch.full((3, 2), 1e6)).abs().max() <= 1
    assert isinstance(network.decoder[-1], torch.nn.Tanh)


def test_what_is_saved_comes_back_with_equal_output(learned, tmp_path):
    some = on_a_curve(7, 9)
    measured = {"reconstruction": {"test": vae.reconstruction(learned.vae, some)}}

    vae.save(learned.vae, tmp_path / "v.safetensors", tmp_path / "v.json", learned.report)
    back = vae.load(tmp_path / "v.safetensors", tmp_path / "v.json", some.genes)

    assert np.array_equal(back.reconstruct(some.values), learned.vae.reconstruct(some.values))
    assert vae.reconstruction(back, some) == measured["reconstruction"]["test"]
    assert not back.network.training
    assert (back.widths, back.latent, back.output) == ((16, 8), 2, "linear")
    known = json.loads((tmp_path / "v.json").read_text())
    assert known["widths"] == [16, 8]
    assert (known["n_train"], known["fraction"], known["n_features"]) == (160, 100, GENES)
    assert len(known["history"]) == 120
    assert known["n_parameters"] == sum(p.numel() for p in learned.vae.network.parameters())


def test_two_saves_are_equal_bytes(quick, tmp_path):
    for name in "ab":
        vae.save(quick.vae, tmp_path / f"{name}.st", tmp_path / f"{name}.json", quick.report)

    assert files.sha256(tmp_path / "a.st") == files.sha256(tmp_path / "b.st")
    assert files.sha256(tmp_path / "a.json") == files.sha256(tmp_path / "b.json")


def test_files_that_do_not_belong_together_are_refused(quick, learned, tmp_path):
    genes = quick.vae.genes
    vae.save(quick.vae, tmp_path / "a.st", tmp_path / "a.json", quick.report)
    vae.save(learned.vae, tmp_path / "b.st", tmp_path / "b.json", learned.report)

    other = refusal(vae.load, tmp_path / "a.st", tmp_path / "b.json", genes)
    assert "these are not the weights of" in other
    renamed = refusal(vae.load, tmp_path / "a.st", tmp_path / "a.json", ("x", *genes[1:]))
    assert "of other genes" in renamed
    (tmp_path / "c.json").write_text('{"format": "genosiege-vae-1"}')
    described = refusal(vae.load, tmp_path / "a.st", tmp_path / "c.json", genes)
    assert "describes no VAE" in described
    (tmp_path / "a.st").write_bytes(b"nothing")
    damaged = refusal(vae.load, tmp_path / "a.st", tmp_path / "a.json", genes)
    assert "no whole safetensors file" in damaged


def test_weights_of_another_shape_are_refused(quick, tmp_path):
    vae.save(quick.vae, tmp_path / "a.st", tmp_path / "a.json", quick.report)
    known = json.loads((tmp_path / "a.json").read_text())
    files.write_json({**known, "latent": 3}, tmp_path / "a.json")

    message = refusal(vae.load, tmp_path / "a.st", tmp_path / "a.json", quick.vae.genes)

    assert "these tensors do not fit" in message


def test_samples_of_other_genes_are_refused(quick):
    some = on_a_curve(4, 1)
    renamed = Samples(some.ids, some.values, some.labels, some.genes[::-1])

    assert "not the same genes" in refusal(vae.reconstruction, quick.vae, renamed)
    assert "rows of 12 numbers" in refusal(quick.vae.encode, some.values[:, :5])
    assert "of other genes" in refusal(vae_training.train, some, renamed, 100, QUICK, 0)
    empty = some.take(np.array([], dtype=np.int64))
    assert "there is no sample" in refusal(vae.reconstruction, quick.vae, empty)


def test_a_diverging_training_is_refused():
    wild = Training(widths=(8,), latent=2, epochs=30, batch_size=4, learning_rate=1e30)

    message = refusal(vae_training.train, on_a_curve(40, 1), on_a_curve(20, 2), 100, wild, 0)

    assert "lower vae: learning_rate" in message


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("widths", "wide"),
        ("widths", []),
        ("widths", [4, 0]),
        ("widths", [4.0]),
        ("widths", 4),
        ("latent", 0),
        ("epochs", True),
        ("batch_size", 1.5),
        ("learning_rate", 0),
        ("learning_rate", "1e-5"),
        ("learning_rate", float("nan")),
        ("beta", -1),
        ("beta", True),
        ("output", "relu"),
    ],
)
def test_a_bad_option_is_named(option, value):
    assert refusal(Training.from_mapping, {option: value}).startswith(f"vae, {option} ")


def test_an_unknown_option_is_named():
    assert refusal(Training.from_mapping, {"depth": 1}).startswith("vae, depth:")


def test_options_come_from_a_configuration():
    assert Training.from_mapping({"widths": [9, 4], "beta": 2}) == Training(widths=(9, 4), beta=2)
    assert Training.from_mapping(None) == Training()
