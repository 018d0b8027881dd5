import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from torch import nn
from toy_expression_classes import two_classes

from genosiege import optimisation
from genosiege.expression import cnn, folding, models, network_training, resnet, vit
from genosiege.expression.folding import Grid
from genosiege.expression.network_training import Epoch, Training

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL_VIT = vit.Architecture(patch=2, hidden=8, layers=2, heads=2)
NETWORKS = {
    "cnn": (cnn.Cnn, cnn.Architecture(channels=(4, 8), hidden=8)),
    "resnet": (resnet.ResNet, resnet.Architecture(widths=(4, 8), blocks=(1, 1))),
    "vit": (vit.Vit, SMALL_VIT),
}


def made(kind: str, p: int, seed: int = 0) -> nn.Module:
    network, sizes = NETWORKS[kind]
    with optimisation.seeded(np.random.default_rng(seed)):
        return network(sizes, p).eval()


def values(n: int, p: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform(-1, 1, (n, p)).astype(np.float32))


@pytest.mark.parametrize(
    ("p", "grid"),
    [
        (1, (1, 1)),
        (2, (1, 2)),
        (3, (1, 3)),
        (12, (3, 4)),
        (13, (3, 5)),
        (50, (7, 8)),  # 5 × 10 is twice as long as wide: still good, see below
        (64, (8, 8)),
        (257, (16, 17)),
        (260, (13, 20)),
        (2881, (43, 67)),
    ],
)
def test_genes_fill_the_squarest_rectangle(p, grid):
    assert folding.rectangle(p) == (grid if p != 50 else (5, 10))


@given(st.integers(1, 5000))
def test_a_rectangle_holds_all_genes_and_wastes_less_than_a_row(p):
    rows, columns = folding.rectangle(p)

    assert 0 <= rows * columns - p < columns
    assert rows <= columns
    # Any better one without padding would have been taken.
    exact = [r for r in range(rows + 1, math.isqrt(p) + 1) if p % r == 0 and p // r <= 2 * r]
    assert not exact
    assert columns <= 2 * rows or p <= 3


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 150), st.integers(1, 5))
def test_unfolding_gives_back_what_was_folded_and_padding_is_zero(p, patch):
    given_values = values(3, p) + 2  # no zero among them
    natural = folding.rectangle(p)
    grid = folding.whole(natural, patch)

    pictures = folding.fold(given_values, natural, grid)

    assert pictures.shape == (3, 1, *grid)
    assert grid.rows % patch == grid.columns % patch == 0
    assert (pictures != 0).sum() == 3 * p
    assert torch.equal(folding.unfold(pictures, natural, p), given_values)
    assert torch.equal(pictures[:, 0, 0, : natural.columns], given_values[:, : natural.columns])


def test_a_patch_is_a_square_of_the_picture():
    network = vit.Vit(vit.Architecture(patch=2, hidden=4, heads=1), 24)  # 4 × 6 cells

    patches = network.patches(torch.arange(24.0)[None])

    assert patches.shape == (1, 6, 4)
    assert patches[0, 0].tolist() == [0, 1, 6, 7]
    assert patches[0, 1].tolist() == [2, 3, 8, 9]
    assert patches[0, 5].tolist() == [16, 17, 22, 23]


def test_resnet_18_has_the_published_blocks_and_number_of_parameters():
    network = resnet.ResNet(resnet.Architecture(), 260)

    blocks = [part for part in network if isinstance(part, resnet.Block)]
    assert len(blocks) == 8
    # Layers with weights on the way from the input: the stem, two a block, the last one.
    assert 1 + 2 * len(blocks) + 1 == 18
    # 11,689,512 as published, with three input channels and 1,000 classes.
    published = 11_689_512 - 2 * 64 * 7 * 7 - (512 * 1000 + 1000) + (512 * 2 + 2)
    assert sum(p.numel() for p in network.parameters()) == published == 11_171_266


def test_resnet_halves_the_picture_at_each_later_stage():
    network = resnet.ResNet(resnet.Architecture(widths=(4, 8, 16), blocks=(2, 1, 1)), 64 * 64)
    shapes = []
    for part in network:
        if isinstance(part, resnet.Block):
            part.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))

    network.eval()(values(2, 64 * 64))

    assert shapes == [(4, 16, 16), (4, 16, 16), (8, 8, 8), (16, 4, 4)]


def test_a_residual_block_without_weights_passes_its_input_on():
    block = resnet.Block(3, 3, 1).eval()
    for part in block.body:
        if isinstance(part, nn.Conv2d):
            nn.init.zeros_(part.weight)
    hidden = torch.rand(2, 3, 5, 5)

    assert torch.equal(block(hidden), hidden)


def test_attention_is_that_of_torch():
    attention = vit.Attention(8, 2)
    other = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        other.in_proj_weight.copy_(attention.queries_keys_values.weight)
        other.in_proj_bias.copy_(attention.queries_keys_values.bias)
        other.out_proj.weight.copy_(attention.out.weight)
        other.out_proj.bias.copy_(attention.out.bias)
    tokens = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))

    expected = other(tokens, tokens, tokens, need_weights=False)[0]

    assert torch.allclose(attention(tokens), expected, atol=1e-6)


def test_the_class_token_sees_each_patch_and_only_through_attention():
    network = made("vit", 24)
    patches = network.patches(values(1, 24))
    before = network.classify(patches)
    for number in range(patches.shape[1]):
        changed = patches.clone()
        changed[:, number] += 1
        assert (network.classify(changed) - before).abs().max() > 1e-6

    for block in network.blocks:  # what attention takes from others is lost
        nn.init.zeros_(block.attention[1].out.weight)
    before = network.classify(patches)
    assert torch.equal(network.classify(patches + 1), before)


def test_patches_attend_to_each_other_and_not_to_themselves_alone():
    network = made("vit", 24)
    tokens = torch.randn(1, 7, 8, generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 3] += torch.linspace(-1, 1, 8)  # a constant would be lost in the norm

    difference = (network.blocks[0](changed) - network.blocks[0](tokens)).abs().amax(dim=2)

    assert (difference[0] > 1e-6).all()


def test_the_order_of_patches_counts_by_position_embeddings_alone():
    network = made("vit", 24)
    patches = network.patches(values(2, 24))
    shuffled = patches[:, [4, 2, 0, 5, 1, 3]]

    assert (network.classify(shuffled) - network.classify(patches)).abs().max() > 1e-5
    nn.init.zeros_(network.positions)
    assert torch.allclose(network.classify(shuffled), network.classify(patches), atol=1e-6)


@pytest.mark.parametrize("kind", sorted(NETWORKS))
@pytest.mark.parametrize("p", [1, 2, 7, 29, 64])
def test_every_network_takes_any_number_of_genes_and_uses_each(kind, p):
    network = made(kind, p)
    rows = values(3, p).requires_grad_()
    kept = rows.detach().clone()

    out = network(rows)
    out.sum().backward()

    assert out.shape == (3, 2)
    assert torch.equal(rows.detach(), kept)
    assert rows.grad.shape == rows.shape
    assert torch.isfinite(rows.grad).all()
    out = network(rows)
    slopes = torch.autograd.grad((out[:, 1] - out[:, 0]).sum(), rows)[0]
    if kind == "vit":  # no ReLU that may be shut
        assert (slopes != 0).any(dim=0).all()
    else:
        assert (slopes != 0).any()


def test_batches_hold_each_row_once_and_never_one_alone():
    for n in range(2, 40):
        for size in (2, 3, 8):
            batches = network_training.batches(n, size, np.random.default_rng(n))
            assert sorted(np.concatenate(batches)) == list(range(n))
            assert min(map(len, batches)) >= 2
            assert max(map(len, batches)) <= size + 1
    first, second = (network_training.batches(30, 8, np.random.default_rng(s)) for s in (0, 1))
    assert not np.array_equal(first[0], second[0])


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_a_last_batch_of_one_row_does_no_harm(kind):
    network = made(kind, 4)
    train = two_classes(17, seed=1, p=4)

    options = Training(epochs=1, batch_size=8)
    network_training.fit(network, train, train, options, np.random.default_rng(0))

    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_training_keeps_the_epoch_that_is_best_on_dev(monkeypatch):
    told = iter([(0.5, 0.7), (0.9, 0.6), (0.9, 0.5), (0.9, 0.5), (0.8, 0.1), (0.7, 0.1), (1, 0)])
    network = made("cnn", 12)
    states = []

    def judged(module, dev, weights):
        states.append({name: t.clone() for name, t in module.state_dict().items()})
        return next(told)

    monkeypatch.setattr(network_training, "judge", judged)
    train = two_classes(40, seed=1)
    options = Training(epochs=20, batch_size=8, patience=3)
    history = network_training.fit(network, train, train, options, np.random.default_rng(0))

    # Better accuracy, then smaller loss, then the earlier; three later ones end it.
    assert len(history) == 6
    assert network_training.best_epoch(history).epoch == 3
    kept = network.state_dict()
    assert all(torch.equal(kept[name], states[2][name]) for name in kept)
    assert any(not torch.equal(kept[name], states[5][name]) for name in kept)
    assert not network.training


def test_dev_is_judged_by_balanced_accuracy_and_weighted_loss():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.nothing = nn.Parameter(torch.zeros(1))

        def forward(self, rows):
            return torch.stack([torch.zeros(len(rows)), rows[:, 0]], dim=1) + self.nothing

    # Three negatives, one of them wrong; one positive, right.
    dev = two_classes(4, seed=0, p=1)
    logits = np.array([-1.0, -2.0, 3.0, 1.0], dtype=np.float32)
    dev = type(dev)(dev.ids, logits[:, None], np.array([0, 0, 0, 1]), dev.genes)
    weights = np.array([0.5, 2.0])

    accuracy, loss = network_training.judge(Fixed(), dev, weights)

    assert accuracy == pytest.approx((2 / 3 + 1) / 2)
    p = 1 / (1 + np.exp(-logits.astype(float)))
    each = -np.log([1 - p[0], 1 - p[1], 1 - p[2], p[3]])
    assert loss == pytest.approx((0.5 * each[:3].sum() + 2 * each[3]) / (1.5 + 2))
    one_class = dev.take(dev.labels == 0)
    assert network_training.judge(Fixed(), one_class, weights)[0] == pytest.approx(2 / 3)


def test_class_weights_make_both_classes_weigh_the_same():
    weights = network_training.class_weights(np.repeat([0, 1], [111, 776]))

    assert 111 * weights[0] == pytest.approx(776 * weights[1])
    assert 111 * weights[0] + 776 * weights[1] == pytest.approx(887)


def test_first_step_follows_the_weighted_loss():
    # One linear layer, one batch: the gradient is that of the balanced cross-entropy.
    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, rows):
            return self.linear(rows)

    train = two_classes(20, seed=3, positives=0.2, p=3)
    module = Linear()
    history = network_training.fit(
        module, train, train, Training(epochs=1, batch_size=64), np.random.default_rng(0)
    )

    start = Linear()
    start.load_state_dict(module.state_dict())
    loss = network_training.judge(start, train, network_training.class_weights(train.labels))[1]
    assert history[0].dev_loss == loss
    assert loss < history[0].loss  # measured before the step that lowered it


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    train = two_classes(20, seed=1)
    model = models.create({"kind": "vit", "patch": 2, "training": {"epochs": 1}}, 12, 0)

    model.fit(train, train)

    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_network_predicts_without_dropout_and_goes_back_to_its_mode():
    network = made("cnn", 12).train()
    frozen = network[1]
    frozen.eval()
    rows = values(20, 12).numpy()

    first, second = (network_training.logits(network, rows) for _ in range(2))

    assert np.array_equal(first, second)
    assert network.training
    assert not frozen.training


def test_many_rows_are_predicted_in_small_batches(monkeypatch):
    monkeypatch.setitem(network_training._CELLS, "cpu", 12 * 7)
    network = made("resnet", 12)
    sizes = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    rows = values(50, 12).numpy()

    out = network_training.logits(network, rows)

    assert sizes == [7] * 7 + [1]
    with torch.no_grad():
        assert np.allclose(out, network(torch.from_numpy(rows)).numpy(), atol=1e-6)


def test_a_training_that_diverges_is_refused():
    train = two_classes(40, seed=1)
    network = made("cnn", 12)
    nn.init.constant_(network[-1].weight, float("inf"))

    told = refusal(
        network_training.fit, network, train, train, Training(epochs=2), np.random.default_rng(0)
    )

    assert "loss is not finite" in told


def test_the_best_epoch_is_the_first_of_equals():
    epochs = [Epoch(1, 0, 0.8, 0.2), Epoch(2, 0, 0.9, 0.4), Epoch(3, 0, 0.9, 0.4)]

    assert network_training.best_epoch(epochs).epoch == 2


def test_a_grid_is_raised_to_whole_patches():
    assert folding.whole(Grid(13, 20), 4) == (16, 20)
    assert folding.whole(Grid(13, 20), 1) == (13, 20)
