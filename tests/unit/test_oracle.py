"""The oracle against direct forwards, and its books against what a spy saw."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_models import Linear, Spy, linear_weights, random_sequence, wrap

from genosiege.errors import InputError
from genosiege.sequence import dnabert2_encoder, encoders
from genosiege.sequence.answers import Answers, WithSlopes, margins
from genosiege.sequence.batching import batches
from genosiege.sequence.dnabert2 import Architecture, DnaBert2
from genosiege.sequence.journal import Journal
from genosiege.sequence.oracle import Oracle, Search
from genosiege.sequence.tokenizer import BpeTokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
CNN = {"kind": "cnn", "architecture": {"channels": 8, "blocks": 2, "kernel_size": 3}}
DNABERT2 = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 12,
    "intermediate_size": 64,
}


@pytest.fixture
def sequences():
    rng = np.random.default_rng(0)
    return [random_sequence(rng, int(n), 0.02) for n in rng.integers(20, 60, 90)]


@pytest.fixture
def spy():
    return Spy(Linear(linear_weights(0, 60)))


def oracle(model, **options):
    return Oracle(model, **{"device": CPU, "batch_size": 7, **options})


def asking(*proposals):
    """A search that asks in turn and returns the answers it got."""
    got = []
    for proposal in proposals:
        got.append((yield proposal))
    return got


def run(model, searches, **options):
    return {s.key: (s, outcome) for s, outcome in oracle(model, **options).run(searches)}


def make_dnabert2(folder, n_classes=2):
    rng = np.random.default_rng(1)
    text = [random_sequence(rng, 60) for _ in range(50)]
    tokenizer = BpeTokenizer.train(text, 60)
    architecture = Architecture(vocab_size=tokenizer.vocab_size, **DNABERT2)
    network = DnaBert2.fresh(architecture, torch.Generator().manual_seed(0))
    location = encoders.Location(folder / "e.safetensors", folder / "e.json", folder / "t.json")
    dnabert2_encoder.save(network, tokenizer, location)
    spec = {"kind": "dnabert2", "frozen": True}
    return encoders.build(spec, [str(path) for path in location], n_classes)


@pytest.fixture(params=["cnn", "dnabert2"])
def real_model(request, tmp_path):
    """A small model of an encoder kind that ships."""
    return encoders.build(CNN, [], 2) if request.param == "cnn" else make_dnabert2(tmp_path)


# Logits -------------------------------------------------------------------------------


def direct(model, sequence):
    ids, mask = model.tokenizer.encode([sequence]).padded(None, model.tokenizer.pad_id)
    with torch.no_grad():
        return model.classifier(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()[0]


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_logits_are_those_of_a_direct_forward_in_the_order_asked(real_model, sequences, batch_size):
    found = oracle(real_model, batch_size=batch_size).logits(sequences)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [direct(real_model, s) for s in sequences], atol=1e-5)


def test_duplicates_are_computed_once(spy, sequences):
    repeated = [*sequences, *sequences[::-1], sequences[3]]

    found = oracle(wrap(spy)).logits(repeated)

    assert sorted(spy.rows) == sorted(set(sequences))
    assert max(map(len, spy.forwards)) == 7
    np.testing.assert_array_equal(found[:90], found[90:180][::-1])
    np.testing.assert_array_equal(found[-1], found[3])


def test_no_sequences_have_no_logits(spy):
    assert oracle(wrap(spy)).logits([]).shape == (0, 2)
    assert not spy.forwards


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_callers_model_is_left_as_it_was(real_model, sequences, precision):
    real_model.classifier.train()
    modes = [module.training for module in real_model.classifier.modules()]
    before = {name: value.clone() for name, value in real_model.classifier.state_dict().items()}

    oracle(real_model, precision=precision).logits(sequences)

    assert [module.training for module in real_model.classifier.modules()] == modes
    for name, value in real_model.classifier.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


def test_bf16_agrees_loosely_and_answers_in_float32(real_model, sequences):
    exact = oracle(real_model).logits(sequences)
    coarse = oracle(real_model, precision="bf16")

    found = coarse.logits(sequences)

    assert coarse.precision == "bf16"
    assert found.dtype == np.float32
    assert not np.array_equal(found, exact)
    np.testing.assert_allclose(found, exact, atol=0.03)


def test_a_bf16_search_is_told_of_flips_in_fp32(real_model, sequences):
    """Rounding alone must not end a search: such a flip would not survive rescoring."""
    coarse = oracle(real_model, precision="bf16")
    rounded, exact = coarse.logits(sequences), oracle(real_model).logits(sequences)
    # Half of the sequences are flips for the class that is the likelier one by less.
    label = int(np.argmin(rounded.mean(axis=0)))
    flips = margins(rounded, np.full(len(sequences), label)) < 0
    heard = []

    def steps():
        heard.append((yield sequences))

    list(coarse.run([Search("a", label, len(sequences), steps())]))

    assert flips.any()
    np.testing.assert_allclose(heard[0].logits[flips], exact[flips], atol=1e-6)
    np.testing.assert_array_equal(heard[0].logits[~flips], rounded[~flips])


def test_auto_precision_keeps_small_models_in_fp32(spy):
    assert oracle(wrap(spy), precision="auto").precision == "fp32"


@pytest.mark.parametrize(
    ("option", "value"), [("precision", "fp8"), ("batching", "all"), ("batch_size", 0)]
)
def test_an_unknown_option_is_refused_by_its_value(spy, option, value):
    with pytest.raises(InputError, match=str(value)):
        oracle(wrap(spy), **{option: value})


# Answers ------------------------------------------------------------------------------


def test_margin_is_the_true_logit_minus_the_largest_other():
    logits = np.array([[1.0, 3.0, 2.5], [1.0, 3.0, 2.5], [0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(margins(logits, np.array([1, 2, 0])), [0.5, -0.5, 0.0])


def test_answers_know_their_probabilities():
    found = Answers(np.log(np.array([[0.2, 0.7, 0.1]], np.float32)), 2, False)

    assert found.p_true[0] == pytest.approx(0.1)
    assert found.p_largest[0] == pytest.approx(0.7)
    assert found.margins[0] == pytest.approx(np.log(0.1 / 0.7))


# Books --------------------------------------------------------------------------------


@pytest.mark.parametrize("batching", ["per_sequence", "lockstep"])
def test_queries_are_counted_and_repeated_ones_computed_once(spy, sequences, batching):
    a, b, c, d = sequences[:4]
    search = Search("x", 0, 100, asking([a, b, a], [b, c], [], [a, d, d]))

    found, got = run(wrap(spy), [search], batching=batching)["x"]

    assert (found.n_queries, found.n_queries_unique) == (8, 4)
    assert sorted(spy.rows) == sorted([a, b, c, d])
    assert [len(answers) for answers in got] == [3, 2, 0, 3]
    assert not any(answers.exhausted for answers in got)
    np.testing.assert_array_equal(got[0].logits[0], got[3].logits[0])


def test_a_budget_answers_the_candidates_before_the_first_it_cannot_pay(spy, sequences):
    a, b, c, d, e = sequences[:5]
    search = Search("x", 1, 3, asking([a, b], [a, c, b, d, a], [c, a], [e]))

    found, got = run(wrap(spy), [search])["x"]

    assert [len(answers) for answers in got] == [2, 3, 2, 0]
    assert [answers.exhausted for answers in got] == [False, True, False, True]
    assert (found.n_queries, found.n_queries_unique) == (7, 3)
    assert sorted(spy.rows) == sorted([a, b, c])


@given(
    st.integers(0, 12),
    st.lists(st.lists(st.integers(0, 19), max_size=12), max_size=6),
    st.sampled_from(["per_sequence", "lockstep"]),
)
@settings(max_examples=60, deadline=None)
def test_no_search_spends_more_than_its_budget(budget, proposals, batching):
    rng = np.random.default_rng(0)
    pool = [random_sequence(rng, 10) for _ in range(20)]
    spy = Spy(Linear(linear_weights(0, 10)))
    asked = [[pool[i] for i in proposal] for proposal in proposals]

    search = Search("x", 0, budget, asking([], *asked))
    found, got = run(wrap(spy), [search], batching=batching)["x"]

    paid: dict[str, None] = {}
    for proposal, answers in zip(asked, got[1:], strict=True):
        prefix = []
        for candidate in proposal:
            if candidate not in paid and len(paid) == budget:
                break
            paid[candidate] = None
            prefix.append(candidate)
        assert len(answers) == len(prefix)
        assert answers.exhausted == (len(prefix) < len(proposal))
    assert found.n_queries_unique == len(paid) == len(spy.rows) <= budget
    assert found.n_queries == sum(len(answers) for answers in got)


# Slopes -------------------------------------------------------------------------------


@pytest.mark.parametrize("batching", ["per_sequence", "lockstep"])
def test_slopes_are_told_to_who_asks_and_counted(spy, sequences, batching):
    a, b, c = sequences[:3]
    model = wrap(spy)
    asking_one = Search("x", 1, 100, asking([a], WithSlopes([a, b, a]), [c], WithSlopes([c])))
    asking_none = Search("y", 0, 100, asking([a, b]))

    done = run(model, [asking_one, asking_none], batching=batching)

    found, got = done["x"]
    assert [answers.slopes is None for answers in got] == [True, False, True, False]
    # Each string is a query like any other; each gradient counts once in a proposal.
    assert (found.n_queries, found.n_queries_unique, found.n_gradients) == (6, 3, 3)
    expected = oracle(model).slopes([a, b, a, c], [1] * 4)
    for slope, wanted in zip([*got[1].slopes, *got[3].slopes], expected, strict=True):
        np.testing.assert_allclose(slope, wanted, atol=1e-6)
    assert got[1].slopes[1].shape == (len(b), 4)
    other, got = done["y"]
    assert (other.n_gradients, got[0].slopes) == (0, None)


def test_the_classes_of_two_searches_give_opposite_slopes(spy, sequences):
    searches = [Search(str(i), i, 9, asking(WithSlopes(sequences[:2]))) for i in (0, 1)]
    done = run(wrap(spy), searches, batching="lockstep")
    for one, other in zip(*(done[str(i)][1][0].slopes for i in (0, 1)), strict=True):
        np.testing.assert_allclose(one, -other, atol=1e-6)
        assert np.abs(one).max() > 0


def test_what_the_budget_does_not_answer_has_no_slopes(spy, sequences):
    a, b, c = sequences[:3]
    search = Search("x", 0, 2, asking(WithSlopes([a, b, c]), WithSlopes([c]), WithSlopes([b])))

    found, got = run(wrap(spy), [search])["x"]

    assert [len(answers.slopes) for answers in got] == [2, 0, 1]
    assert [answers.exhausted for answers in got] == [True, True, False]
    assert (found.n_queries_unique, found.n_gradients) == (2, 3)


def test_a_bf16_search_has_slopes_in_fp32(real_model, sequences):
    exact = oracle(real_model).slopes(sequences[:5], [0] * 5)
    coarse = oracle(real_model, precision="bf16")
    search = Search("x", 0, 100, asking(sequences[:7], WithSlopes(sequences[:5])))

    ((_, got),) = coarse.run([search])

    assert coarse.precision == "bf16"
    for slope, wanted in zip(got[1].slopes, exact, strict=True):
        np.testing.assert_array_equal(slope, wanted)


@pytest.mark.parametrize("batching", ["per_sequence", "lockstep"])
def test_a_replay_out_of_a_journal_has_the_same_slopes(real_model, sequences, batching, tmp_path):
    def searches():
        return [
            Search(str(i), 0, 9, asking(sequences[i : i + 4], WithSlopes([sequences[i]])))
            for i in range(3)
        ]

    def attempt():
        journal = Journal(tmp_path, "job")
        found = oracle(real_model, batching=batching).run(searches(), journal)
        done = {search.key: (search.n_gradients, got) for search, got in found}
        journal.save()
        return done

    first, again = attempt(), attempt()

    for key, (n_gradients, got) in first.items():
        assert again[key][0] == n_gradients == 1
        for answers, replayed in zip(got, again[key][1], strict=True):
            np.testing.assert_array_equal(answers.logits, replayed.logits)
        np.testing.assert_array_equal(got[1].slopes[0], again[key][1][1].slopes[0])


# Batching -----------------------------------------------------------------------------


def proposals_of(sequences):
    """Searches of different lengths, with overlapping questions."""
    return [
        Search(str(i), 0, 50, asking(*[sequences[i + 5 * k : i + 5 * k + 9] for k in range(i + 1)]))
        for i in range(6)
    ]


def test_lockstep_agrees_with_per_sequence(real_model, sequences):
    one = run(real_model, proposals_of(sequences), batching="per_sequence")
    other = run(real_model, proposals_of(sequences), batching="lockstep")

    assert one.keys() == other.keys()
    for key, (search, got) in one.items():
        search_too, got_too = other[key]
        assert search.n_queries == search_too.n_queries
        assert search.n_queries_unique == search_too.n_queries_unique
        for answers, answers_too in zip(got, got_too, strict=True):
            np.testing.assert_allclose(answers.margins, answers_too.margins, atol=1e-4)


def test_per_sequence_does_not_depend_on_who_shares_the_job(real_model, sequences):
    together = run(real_model, proposals_of(sequences))
    for search in proposals_of(sequences):
        _, got = run(real_model, [search])[search.key]
        for alone, shared in zip(got, together[search.key][1], strict=True):
            np.testing.assert_array_equal(alone.logits, shared.logits)


def test_equal_sets_make_equal_forwards_whatever_their_order(spy, sequences):
    oracle(wrap(spy)).logits(sequences)
    oracle(wrap(spy)).logits(sequences[::-1])

    half = len(spy.forwards) // 2
    assert spy.forwards[:half] == spy.forwards[half:]


def test_lockstep_fills_its_forwards_with_all_searches(spy):
    rng = np.random.default_rng(3)
    pool = [random_sequence(rng, 30) for _ in range(12)]
    searches = [Search(str(i), 0, 9, asking([pool[i]], [pool[i + 6]])) for i in range(6)]

    run(wrap(spy), searches, batching="lockstep", batch_size=6)

    assert [len(forward) for forward in spy.forwards] == [6, 6]


def test_lockstep_begins_a_search_when_another_ends(spy, monkeypatch):
    rng = np.random.default_rng(6)
    monkeypatch.setattr("genosiege.sequence.oracle.MOST_AT_ONCE", 3)
    n_steps = [1 + number % 3 for number in range(10)]

    def steps(number):
        for _ in range(n_steps[number]):
            yield [random_sequence(rng, 30)]
        return number

    searches = (Search(f"s{number}", 0, 100, steps(number)) for number in range(10))
    ended = list(oracle(wrap(spy), batching="lockstep").run(searches))

    assert sorted(outcome for _, outcome in ended) == list(range(10))
    assert all(search.key == f"s{outcome}" for search, outcome in ended)
    # Of 19 questions each forward holds three, until one search is left with its last.
    assert [len(forward) for forward in spy.forwards] == [3, 3, 3, 3, 3, 3, 1]


def test_lockstep_computes_once_what_two_searches_ask(spy, sequences):
    searches = [Search(str(i), 0, 9, asking(sequences[:5])) for i in range(2)]

    done = run(wrap(spy), searches, batching="lockstep")

    assert len(spy.rows) == 5
    assert [search.n_queries_unique for search, _ in done.values()] == [5, 5]


def test_a_long_list_is_tokenized_in_pieces(spy, sequences, monkeypatch):
    monkeypatch.setattr("genosiege.sequence.oracle._CHUNK", 13)
    np.testing.assert_allclose(
        oracle(wrap(spy)).logits(sequences),
        [direct(wrap(spy.encoder), s) for s in sequences],
        atol=1e-5,
    )


@given(st.lists(st.integers(0, 400), max_size=200), st.integers(1, 70))
@settings(max_examples=200, deadline=None)
def test_batches_part_the_rows_within_size_and_padding(lengths, batch_size):
    array = np.array(lengths, dtype=np.int64)

    groups = list(batches(array, batch_size))

    assert sorted(np.concatenate([[], *groups])) == list(range(len(lengths)))
    for group in groups:
        assert 1 <= len(group) <= batch_size
        if len(group) > 16:
            size = array[group].max() * len(group)
            assert size - array[group].sum() <= 0.05 * size + 1e-9
