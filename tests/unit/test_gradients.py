"""Slopes against true differences where they are exact, and against numerical derivatives."""

import json

import numpy as np
import pytest
import torch
import transformers
from checkpoints import kmers
from test_kmers import of_words
from test_oracle import CNN, make_dnabert2
from torch import nn
from toy_models import BASES, Linear, linear_weights, random_sequence, wrap

from genosiege import optimisation
from genosiege.sequence import encoders, gradients
from genosiege.sequence.answers import margins
from genosiege.sequence.dnabert2 import Architecture, DnaBert2
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.kmer_tokenizer import KmerTokenizer
from genosiege.sequence.networks import Classifier, Encoder, Pooled, make_head
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.tokenizer import BpeTokenizer, CharacterTokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def slopes(model, sequences, labels):
    return Oracle(model, device=CPU, batch_size=5).slopes(sequences, labels)


def differences(model, sequence, label):
    """True change of the margin by each substitution, (length, 4)."""
    places = [(i, c) for i, old in enumerate(sequence) if old in BASES for c in range(4)]
    texts = [sequence[:i] + BASES[c] + sequence[i + 1 :] for i, c in places]
    logits = Oracle(model, device=CPU).logits([sequence, *texts])
    found = np.zeros((len(sequence), 4))
    margin = margins(logits, np.full(len(logits), label))
    found[tuple(np.array(places).T)] = margin[1:] - margin[0]
    return found


def inputs(model, sequences):
    padded = model.tokenizer.encode(sequences).padded(None, model.tokenizer.pad_id)
    return tuple(torch.from_numpy(part) for part in padded)


# Character level ---------------------------------------------------------------------


def test_slopes_of_a_linear_model_are_its_differences():
    model = wrap(Linear(linear_weights(0, 30)))
    rng = np.random.default_rng(1)
    sequences = [random_sequence(rng, length, 0.1) for length in (30, 12, 25, 30)]
    labels = [0, 1, 1, 0]

    found = slopes(model, sequences, labels)

    for sequence, label, slope in zip(sequences, labels, found, strict=True):
        np.testing.assert_allclose(slope, differences(model, sequence, label), atol=1e-4)


def test_the_other_class_is_the_largest_one():
    model = wrap(Linear(linear_weights(2, 20, n_classes=4)))
    sequence = random_sequence(np.random.default_rng(3), 20)
    logits = Oracle(model, device=CPU).logits([sequence])[0]
    weights = linear_weights(2, 20, n_classes=4)[:, :4]
    present = [BASES.index(base) for base in sequence]

    for label in range(4):
        other = max((c for c in range(4) if c != label), key=logits.__getitem__)
        part = weights[..., label] - weights[..., other]
        expected = part - part[np.arange(20), present][:, None]
        np.testing.assert_allclose(slopes(model, [sequence], [label])[0], expected, atol=1e-5)


# Embeddings --------------------------------------------------------------------------


def hub_classifier(folder, own_head):
    """A small decoder of transformers, with its own head or one of ours."""
    tokenizer = BpeTokenizer.train([random_sequence(np.random.default_rng(1), 3000)], 40)
    tokenizer.save(folder / "tokenizer.json")
    config = transformers.MixtralConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, intermediate_size=16, num_local_experts=2, num_labels=3,
    )  # fmt: skip
    with optimisation.seeded(np.random.default_rng(0)):
        network = transformers.AutoModelForSequenceClassification.from_config(config)
    for parameter in network.parameters():
        parameter.data *= 5
    network.save_pretrained(folder)
    spec = {"kind": "hf", "train": "none"} if own_head else {"kind": "hf", "pooling": "mean"}
    return encoders.build(spec, [str(folder)], 3)


@pytest.fixture(params=["cnn", "dnabert2", "hf", "hf own head"])
def model(request, tmp_path):
    if request.param == "cnn":
        return encoders.build(CNN, [], 3)
    if request.param == "dnabert2":
        return make_dnabert2(tmp_path, 3)
    return hub_classifier(tmp_path, request.param == "hf own head")


@pytest.fixture
def sequences():
    rng = np.random.default_rng(5)
    return [random_sequence(rng, length, 0.03) for length in (50, 33, 41)]


def test_gradients_are_numerical_derivatives(model, sequences):
    classifier = model.classifier
    ids, mask = inputs(model, sequences)
    labels = torch.tensor([0, 2, 1])
    start = gradients.embed(classifier, ids)
    logits, found = gradients.logits_and_gradients(classifier, ids, mask, labels, start)
    generator = torch.Generator().manual_seed(0)
    step = 2e-3 * start.abs().max()

    def margin(vectors):
        with torch.no_grad(), gradients.embedded_as(classifier, vectors):
            return gradients.margins_of(classifier(ids, mask), labels).double()

    with torch.no_grad():
        assert torch.allclose(logits, classifier(ids, mask), atol=1e-5)
    assert (found[~mask] == 0).all()
    for row in range(len(sequences)):
        # Along the gradient itself the derivative is its norm, and rounding matters least.
        unit = torch.zeros_like(start)
        unit[row] = found[row] / found[row].norm()
        unit[row] += 0.2 * torch.randn(unit[row].shape, generator=generator) / unit[row].numel()
        slope = (margin(start + step * unit) - margin(start - step * unit)) / (2 * step)
        assert slope[row].item() == pytest.approx((found * unit).sum().item(), rel=0.03)


def test_the_model_is_left_as_it_was(model, sequences):
    state = {name: value.clone() for name, value in model.classifier.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in model.classifier.parameters()]

    slopes(model, sequences, [0, 1, 2])
    ids, mask = inputs(model, sequences)
    start = gradients.embed(model.classifier, ids)
    gradients.logits_and_gradients(model.classifier, ids, mask, torch.tensor([0, 1, 2]), start)

    assert [parameter.requires_grad for parameter in model.classifier.parameters()] == wanted
    assert all(parameter.grad is None for parameter in model.classifier.parameters())
    assert not model.classifier.embedding._forward_hooks
    for name, value in model.classifier.state_dict().items():
        assert torch.equal(value, state[name])


def test_slopes_are_the_same_inside_inference_mode_and_after_forwards(model, sequences):
    before = slopes(model, sequences, [0, 1, 2])
    with torch.inference_mode():
        oracle = Oracle(model, device=CPU, batch_size=5)
        oracle.logits(sequences)
        inside = oracle.slopes(sequences, [0, 1, 2])
    for one, other in zip(before, inside, strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_array_equal(one, other)


def test_slopes_do_not_depend_on_who_shares_the_batch(model, sequences):
    together = slopes(model, sequences, [0, 1, 2])
    for sequence, label, slope in zip(sequences, [0, 1, 2], together, strict=True):
        alone = slopes(model, [sequence], [label])[0]
        np.testing.assert_allclose(slope, alone, atol=1e-4 * np.abs(alone).max())


def test_a_stored_cnn_has_no_tensor_for_its_constant_embedding():
    model = encoders.build(CNN, [], 2)
    assert not any("one_hot" in name for name in model.classifier.state_dict())
    ids = torch.tensor([[0, 1, 2, 3, 4]])
    expected = torch.cat([torch.eye(4), torch.zeros(1, 4)])
    assert torch.equal(gradients.embed(model.classifier, ids)[0], expected)


# The bridge --------------------------------------------------------------------------


class SumOfTokens(Encoder):
    """Logits linear in the embeddings, with weights of each position: (T, h, C)."""

    def __init__(self, vocabulary, length, n_classes=2):
        super().__init__()
        self.width = n_classes
        generator = torch.Generator().manual_seed(0)
        self.words = nn.Embedding(vocabulary, 6)
        self.words.weight.data = torch.randn(vocabulary, 6, generator=generator)
        self.weights = nn.Parameter(torch.randn(length, 6, n_classes, generator=generator))

    @property
    def embedding(self):
        return self.words

    def forward(self, input_ids, attention_mask):
        words = self.words(input_ids) * attention_mask[..., None]
        return torch.einsum("bth,thc->bc", words, self.weights[: input_ids.shape[1]])


def sum_of_tokens(tokenizer):
    classifier = Classifier(SumOfTokens(tokenizer.vocab_size, 200), nn.Identity(), frozen=False)
    return SequenceModel(tokenizer, classifier.eval(), 2, {}, None)


def segmentation(tokenizer, sequence):
    spans = tokenizer.encode_spans([sequence])[1]
    return [tuple(span) for span in spans if span[0] < span[1]]


@pytest.fixture(scope="module")
def bpe():
    return BpeTokenizer.train([random_sequence(np.random.default_rng(2), 20_000)], 120)


def test_the_bridge_is_exact_for_a_linear_model_where_the_segmentation_stays(bpe):
    model, n_equal, n_others = sum_of_tokens(bpe), 0, 0
    rng = np.random.default_rng(4)
    for sequence in [random_sequence(rng, 60, 0.05) for _ in range(4)]:
        slope, true = slopes(model, [sequence], [1])[0], differences(model, sequence, 1)
        for i, base in np.ndindex(slope.shape):
            mutant = sequence[:i] + BASES[base] + sequence[i + 1 :]
            if sequence[i] == "N" or mutant == sequence:
                assert slope[i, base] == 0
            elif segmentation(bpe, mutant) == segmentation(bpe, sequence):
                assert slope[i, base] == pytest.approx(true[i, base], abs=1e-4)
                n_equal += 1
            else:
                n_others += 1
    assert n_equal > 30 and n_others > 30


def test_the_bridge_reads_embeddings_base_by_base_where_the_segmentation_changes(bpe):
    """By hand: each base has a share of its token's gradient, and a token before and after."""
    model = sum_of_tokens(bpe)
    sequence = random_sequence(np.random.default_rng(6), 50)
    table = model.classifier.embedding.weight.detach().numpy()
    weights = model.classifier.encoder.weights.detach().numpy()
    gradient = weights[..., 1] - weights[..., 0]
    (ids, spans), found = segments(bpe, sequence), slopes(model, [sequence], [1])[0]
    for i, base in np.ndindex(found.shape):
        mutant_ids, mutant_spans = segments(bpe, sequence[:i] + BASES[base] + sequence[i + 1 :])
        expected = 0.0
        for t, (start, end) in enumerate(spans):
            for p in range(start, end):
                (u,) = [u for u, (a, b) in enumerate(mutant_spans) if a <= p < b]
                change = table[mutant_ids[u]] - table[ids[t]]
                expected += gradient[t] @ change / (end - start)
        assert found[i, base] == pytest.approx(expected, abs=1e-4)


def segments(tokenizer, sequence):
    tokens, spans = tokenizer.encode_spans([sequence])
    return tokens.ids, spans


def test_the_bridge_over_single_characters_is_the_fast_path(monkeypatch, sequences):
    model = encoders.build(CNN, [], 2)
    fast = slopes(model, sequences, [0, 1, 0])
    monkeypatch.setattr(gradients, "CharacterTokenizer", BpeTokenizer)
    assert isinstance(model.tokenizer, CharacterTokenizer)
    for one, other in zip(fast, slopes(model, sequences, [0, 1, 0]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(("k", "stride"), [(3, 1), (4, 1), (3, 3), (4, 4)])
def test_slopes_over_kmers_sum_over_all_tokens_that_a_base_is_in(k, stride):
    """Exact for a model linear in its tokens, whatever the words overlap."""
    words = [word for n in range(1, k + 1) for word in kmers(n)]
    model = sum_of_tokens(KmerTokenizer(of_words(words), k, stride))
    rng = np.random.default_rng(7)
    sequences, labels = [random_sequence(rng, n, 0.05) for n in (40, 23, 31)], [1, 0, 1]

    found = slopes(model, sequences, labels)

    for sequence, label, slope in zip(sequences, labels, found, strict=True):
        true = differences(model, sequence, label)
        assert np.abs(true).max() > 1
        np.testing.assert_allclose(slope, true, atol=1e-3)


@pytest.mark.parametrize("n_share", [0.0, 0.2])
def test_spans_from_lengths_are_those_of_the_library(bpe, n_share):
    rng = np.random.default_rng(8)
    texts = [random_sequence(rng, int(n), n_share) for n in rng.integers(0, 60, 20)]
    tokens, spans = bpe.encode_spans(texts)
    offsets = [e.offsets for e in bpe.backend.encode_batch(texts)]
    for row, expected in enumerate(offsets):
        part = spans[tokens.offsets[row] : tokens.offsets[row + 1]]
        real = [tuple(span) for span in part if span[0] < span[1]]
        assert real == [tuple(span) for span in expected if span[0] < span[1]]
        assert "".join(texts[row][a:b] for a, b in real) == texts[row]


# Real models -------------------------------------------------------------------------


@pytest.mark.real
def test_gradients_of_the_published_encoder_are_numerical_derivatives(shared):
    golden = shared / "golden" / "dnabert2_tiny"
    tokenizer = BpeTokenizer.load(shared / "models/dnabert2_tokenizer/tokenizer.json")
    architecture = Architecture.from_json(golden / "config.json")
    network = DnaBert2.from_checkpoint(architecture, golden / "model.safetensors")
    with optimisation.seeded(np.random.default_rng(0)):
        head = make_head(architecture.hidden_size, 3)
    classifier = Classifier(Pooled(network, architecture.hidden_size, "cls"), head, frozen=True)
    model = SequenceModel(tokenizer, classifier.eval(), 3, {}, None)

    texts = json.loads((golden / "sequences.json").read_text())[:3]
    test_gradients_are_numerical_derivatives(model, texts)


@pytest.mark.real
def test_slopes_of_the_real_model_point_at_its_best_substitutions(shared):
    """In a curved landscape: a hint, no more, but far from chance over twenty sequences."""
    folder = str(shared / "models/mistral_dna_tf0")
    model = encoders.build({"kind": "hf", "train": "none"}, [folder], 2)
    lines = (shared / "data/gue/tf_0/test.csv").read_text().splitlines()[1:21]
    rows = [line.split(",") for line in lines]
    correlations = []
    for text, label in rows:
        slope = slopes(model, [text], [int(label)])[0]
        true = differences(model, text, int(label))
        correlations.append(np.corrcoef(slope.ravel(), true.ravel())[0, 1])
    assert np.mean(correlations) > 0.1
