import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from genosiege.errors import InputError
from genosiege.sequence import tokenizer
from genosiege.sequence.tokenizer import BpeTokenizer, CharacterTokenizer, Tokens

dna = st.text(alphabet="ACGTN", max_size=60)


def random_sequences(n: int, length: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), length)) for _ in range(n)]


@pytest.fixture(scope="module")
def bpe() -> BpeTokenizer:
    return BpeTokenizer.train(random_sequences(200, 100), vocab_size=128)


def lists(tokens: Tokens) -> list[list[int]]:
    return [part.tolist() for part in np.split(tokens.ids, tokens.offsets[1:-1])]


def merged_by_hand(sequence: str, backend: dict) -> list[int]:
    """Apply merges one at a time, the earliest learned first: the definition of BPE."""
    vocabulary = backend["model"]["vocab"]
    rank = {tuple(pair): i for i, pair in enumerate(backend["model"]["merges"])}
    parts = list(sequence)
    while True:
        pairs = [(rank.get((a, b), np.inf), i) for i, (a, b) in enumerate(pairwise(parts))]
        best, i = min(pairs, default=(np.inf, 0))
        if best == np.inf:
            return [1, *(vocabulary[part] for part in parts), 2]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


@given(st.lists(st.lists(st.integers(0, 99), max_size=9), max_size=9), st.data())
def test_padded_rows_hold_each_sequence_and_then_padding(sequences, data):
    tokens = Tokens.from_lists(sequences)
    rows = data.draw(st.lists(st.sampled_from(range(len(sequences)) or [0]), max_size=9))
    rows = rows if sequences else []

    input_ids, attention_mask = tokens.padded(np.array(rows, dtype=np.int64), pad_id=-1)

    width = max((len(sequences[row]) for row in rows), default=0)
    assert input_ids.dtype == np.int64
    assert attention_mask.dtype == bool
    assert input_ids.tolist() == [
        sequences[row] + [-1] * (width - len(sequences[row])) for row in rows
    ]
    assert (attention_mask == (input_ids != -1)).all()


def test_padded_takes_all_rows_by_default():
    tokens = Tokens.from_lists([[5], [6, 7]])

    assert tokens.padded(None, 3)[0].tolist() == [[5, 3], [6, 7]]
    assert tokens.lengths.tolist() == [1, 2]
    assert len(tokens) == 2


def test_characters_become_their_places_in_acgtn():
    tokens = CharacterTokenizer().encode(["ACGTN", "", "GG"])

    assert lists(tokens) == [[0, 1, 2, 3, 4], [], [2, 2]]
    assert CharacterTokenizer.pad_id == 4


@pytest.mark.parametrize("sequences", [["AC", "GZ"], ["acgt"], ["Aé"], ["A€"]])
def test_other_characters_are_refused_by_name(sequences):
    wrong = next(c for c in "".join(sequences) if c not in "ACGTN")

    with pytest.raises(InputError, match=f"{wrong!r}"):
        CharacterTokenizer().encode(sequences)


def test_training_follows_the_conventions_of_dnabert2(bpe, tmp_path):
    bpe.save(tmp_path / "tokenizer.json")
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]

    first = sorted(vocabulary, key=vocabulary.__getitem__)[:9]
    assert first == ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "A", "C", "G", "T"]
    assert (bpe.pad_id, bpe.vocab_size, len(vocabulary)) == (3, 128, 128)
    assert lists(bpe.encode(["", "N", "NAN"])) == [[1, 2], [1, 0, 2], [1, 0, 5, 0, 2]]


@given(st.lists(dna, min_size=1, max_size=8))
def test_a_batch_is_encoded_as_its_members_alone(bpe, sequences):
    alone = [lists(bpe.encode([sequence]))[0] for sequence in sequences]

    assert lists(bpe.encode(sequences)) == alone


@given(st.text(alphabet="ACGT", max_size=120))
def test_encoding_applies_the_merges_in_the_order_learned(bpe, tmp_path_factory, sequence):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    bpe.save(path)

    assert lists(bpe.encode([sequence]))[0] == merged_by_hand(
        sequence, json.loads(path.read_text())
    )


def test_training_does_not_depend_on_the_process(tmp_path):
    program = (
        "import sys; from genosiege.sequence.tokenizer import BpeTokenizer\n"
        "sequences = open(sys.argv[1]).read().split()\n"
        "BpeTokenizer.train(sequences, 300).save(sys.argv[2])\n"
    )
    sequences = tmp_path / "sequences.txt"
    sequences.write_text("\n".join(random_sequences(300, 120)))
    made = []
    for hash_seed, parallel in (("1", "false"), ("2", "true"), ("3", "false")):
        path = tmp_path / f"{hash_seed}.json"
        subprocess.run(
            [sys.executable, "-c", program, sequences, path],
            check=True,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(tokenizer.__file__).parents[2]),
                "PYTHONHASHSEED": hash_seed,
                "TOKENIZERS_PARALLELISM": parallel,
            },
        )
        made.append(path.read_bytes())

    assert made[0] == made[1] == made[2]


def test_merges_never_cross_an_unknown_base():
    trained = BpeTokenizer.train(["ANC"] * 50, vocab_size=64)

    assert trained.vocab_size == 9  # A and C never meet, so there is nothing to merge


def test_a_pair_seen_once_is_no_merge():
    assert BpeTokenizer.train(["ACGT"], vocab_size=64).vocab_size == 9


def test_a_vocabulary_without_room_for_the_bases_is_refused():
    with pytest.raises(InputError, match="vocab_size 8"):
        BpeTokenizer.train(["ACGT"], vocab_size=8)


def test_a_saved_tokenizer_is_read_back_the_same(bpe, tmp_path):
    sequences = random_sequences(20, 90, seed=1)
    bpe.save(tmp_path / "made" / "tokenizer.json")

    loaded = BpeTokenizer.load(tmp_path / "made" / "tokenizer.json")

    assert lists(loaded.encode(sequences)) == lists(bpe.encode(sequences))
    assert (loaded.pad_id, loaded.vocab_size) == (bpe.pad_id, bpe.vocab_size)


def test_truncation_and_padding_of_the_file_are_switched_off(bpe, tmp_path):
    path = tmp_path / "tokenizer.json"
    bpe.save(path)
    backend = tokenizers.Tokenizer.from_file(str(path))
    backend.enable_truncation(4)
    backend.enable_padding(pad_id=3, length=64)
    backend.save(str(path))
    sequences = random_sequences(3, 50, seed=2)

    assert lists(BpeTokenizer.load(path).encode(sequences)) == lists(bpe.encode(sequences))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": {}}', b"\xff\xfe\x00"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"tokenizer\.json"):
        BpeTokenizer.load(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json: there is no such tokenizer"):
        BpeTokenizer.load(tmp_path / "absent.json")
    with pytest.raises(InputError, match="there is no such tokenizer"):
        BpeTokenizer.load(tmp_path)


def test_a_tokenizer_without_padding_token_is_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(path))

    with pytest.raises(InputError, match="no padding token"):
        BpeTokenizer.load(path)


@pytest.mark.real
def test_the_published_tokenizer_gives_the_reference_ids(shared):
    golden = shared / "golden" / "dnabert2_tiny"
    expected = load_file(golden / "expected.safetensors")
    published = BpeTokenizer.load(shared / "models" / "dnabert2_tokenizer" / "tokenizer.json")

    tokens = published.encode(json.loads((golden / "sequences.json").read_text()))
    input_ids, attention_mask = tokens.padded(None, published.pad_id)

    assert (published.vocab_size, published.pad_id) == (4096, 3)
    assert (input_ids == expected["input_ids"]).all()
    assert (attention_mask == expected["attention_mask"].astype(bool)).all()
