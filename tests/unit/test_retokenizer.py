import json
from collections.abc import Sequence

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from genosiege.sequence import retokenizer
from genosiege.sequence.retokenizer import Retokenizer, supported
from genosiege.sequence.tokenizer import BpeTokenizer, Tokens

LETTERS = "ACGTN"


def random_sequences(n: int, length: int, seed: int = 0, letters: str = "ACGT") -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(letters), length)) for _ in range(n)]


@pytest.fixture(scope="module")
def bpe() -> BpeTokenizer:
    # Of few kinds of repeats, so that tokens are long and merges reach far.
    motifs = ["".join(pair) for pair in zip(*[iter(random_sequences(4, 40, 3))] * 2, strict=True)]
    return BpeTokenizer.train([*random_sequences(150, 100), *motifs * 30, "AAAAAAAAA" * 9], 400)


def assert_same(found: Tokens, expected: Tokens) -> None:
    assert found.offsets.tolist() == expected.offsets.tolist()
    assert found.ids.tolist() == expected.ids.tolist()
    assert (found.ids.dtype, found.offsets.dtype) == (np.int32, np.int64)


def mutants(original: str, n: int, most: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        letters = list(original)
        size = min(len(original), int(rng.integers(most + 1)))
        for position in rng.choice(len(original), size, replace=False):
            letters[position] = LETTERS[rng.integers(5)]
        made.append("".join(letters))
    return made


@st.composite
def families(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Draw (original, mutant) pairs: up to three originals of one length, repetitive ones too."""
    length = draw(st.integers(1, 120))
    units = draw(st.lists(st.text(LETTERS, min_size=1, max_size=length), min_size=1, max_size=3))
    edits = st.dictionaries(st.integers(0, length - 1), st.sampled_from(LETTERS), max_size=10)
    pairs = []
    for unit in units:
        original = (unit * length)[:length]
        for chosen in draw(st.lists(edits, min_size=2, max_size=9)):
            letters = [chosen.get(i, base) for i, base in enumerate(original)]
            pairs.append((original, "".join(letters)))
    return pairs


@given(families(), st.booleans())
def test_mutants_get_the_ids_of_the_whole_string(bpe, pairs, named):
    originals, sequences = ([pair[i] for pair in pairs] for i in (0, 1))

    found = Retokenizer(bpe).encode(sequences, originals if named else None)

    assert_same(found, bpe.encode(sequences))


@given(families(), families())
def test_what_is_remembered_changes_nothing(bpe, first, second):
    one = Retokenizer(bpe)
    for pairs in (first, second, first):
        originals, sequences = ([pair[i] for pair in pairs] for i in (0, 1))

        assert_same(one.encode(sequences, originals), bpe.encode(sequences))


@given(st.lists(st.text(LETTERS, min_size=20, max_size=20), min_size=6, max_size=20), st.data())
def test_a_wrong_original_does_no_harm(bpe, sequences, data):
    given_ = st.one_of(
        st.none(), st.text(LETTERS + "acx€", max_size=22), st.sampled_from(sequences)
    )
    originals = data.draw(st.lists(given_, min_size=len(sequences), max_size=len(sequences)))

    assert_same(Retokenizer(bpe).encode(sequences, originals), bpe.encode(sequences))


@given(st.lists(st.text("ACGTNacg .€", max_size=12), max_size=20))
def test_any_strings_get_the_ids_of_the_tokenizer(bpe, sequences):
    originals = [None] * len(sequences)

    assert_same(Retokenizer(bpe).encode(sequences, originals), bpe.encode(sequences))


def test_other_letters_of_mutants_are_left_to_the_tokenizer(bpe):
    original = "ACGTACGTACGTACGTACGT"
    sequences = [original[:i] + letter + original[i + 1 :] for i, letter in enumerate("x. CGTacn")]

    found = Retokenizer(bpe).encode(sequences, [original] * len(sequences))

    assert_same(found, bpe.encode(sequences))


def test_only_what_is_near_an_edit_is_read(bpe):
    original = random_sequences(1, 300, 5)[0]
    singles = [original[:i] + "N" + original[i + 1 :] for i in range(300)]
    read: list[str] = []

    class Spy:
        def __init__(self) -> None:
            self.backend = bpe.backend
            self.n_bases = bpe.n_bases

        def encode(self, sequences: Sequence[str]) -> Tokens:
            read.extend(sequences)
            return bpe.encode(sequences)

    one = Retokenizer(Spy())
    read.clear()

    assert_same(one.encode(singles, [original] * 300), bpe.encode(singles))
    assert read.count(original) == 1
    assert len(read) < 5


def test_the_memory_is_bounded(bpe, monkeypatch):
    monkeypatch.setattr(retokenizer, "_MOST_REMEMBERED", 2000)
    one = Retokenizer(bpe)
    for seed in range(20):
        original = random_sequences(1, 100, seed)[0]
        sequences = mutants(original, 30, 5, seed)

        assert_same(one.encode(sequences, [original] * 30), bpe.encode(sequences))
        assert one._pool.n_ids < 6000


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": None},
        {"post_processor": None},
        {"model": {"fuse_unk": True}},
        {"model": {"dropout": 0.1}},
        {"model": {"ignore_merges": True}},
        {"model": {"end_of_word_suffix": "</w>"}},
    ],
)
def test_tokenizers_that_do_more_are_not_supported(bpe, change):
    written = json.loads(bpe.backend.to_str())
    for key, value in change.items():
        written[key] = written[key] | value if key == "model" else value
    other = BpeTokenizer(tokenizers.Tokenizer.from_str(json.dumps(written)), 3)

    # Without special tokens there is nothing else to it.
    assert supported(other) == ("post_processor" in change)
    assert supported(bpe)


@pytest.mark.real
def test_the_published_tokenizer_is_followed(shared):
    published = BpeTokenizer.load(shared / "models" / "dnabert2_tokenizer" / "tokenizer.json")
    one = Retokenizer(published)
    for seed in range(30):
        original = random_sequences(1, 300, seed, LETTERS if seed % 3 == 0 else "ACGT")[0]
        singles = [original[:i] + b + original[i + 1 :] for i in range(300) for b in "ACGT"]
        for sequences in (singles, mutants(original, 100, 16, seed)):
            expected = published.encode(sequences)

            assert_same(one.encode(sequences, [original] * len(sequences)), expected)
            assert_same(one.encode(sequences), expected)
