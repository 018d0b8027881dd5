"""A killed job goes on where it stood, and ends with the table of an undisturbed one."""

import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from toy_models import KilledError, Linear, Spy, linear_weights, random_sequence, wrap

from genosiege.sequence import attacks, campaign
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.journal import Journal, fingerprint
from genosiege.sequence.oracle import Oracle

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 40
# Small, so that a whole job is a few dozen forwards.
GENETIC = {"kind": "genetic", "population": 12, "generations": 8, "patience": 4, "max_edits": 4}
# A forward holds a whole generation, so that the kill falls between two.
COMPUTE = {"precision": "fp32", "batching": "per_sequence", "batch_size": 64}
DIGEST = fingerprint("a job")


def spy(dies_after=None):
    weights = linear_weights(0, LENGTH)
    weights[0, :, 0] += 3  # some margins are too large to flip
    return Spy(Linear(weights), dies_after)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    sequences = [random_sequence(rng, LENGTH) for _ in range(6)]
    labels = Oracle(wrap(spy()), device=torch.device("cpu")).logits(sequences).argmax(axis=1)
    labels[4] = 1 - labels[4]
    names = [f"test:{i}" for i in range(6)]
    return pd.DataFrame({"id": names, "sequence": sequences, "label": labels.astype(np.int64)})


def attack(spy, sample, journal=None, **compute):
    model = wrap(spy)
    oracle = Oracle(model, **COMPUTE | compute)
    return campaign.attack_sample(
        model, sample, attacks.load(GENETIC), Constraints(), [0, 1], oracle, journal
    )


@pytest.fixture(scope="module")
def undisturbed(sample):
    watched = spy()
    return attack(watched, sample), watched.forwards


def searched(spy, sample):
    """The forwards of the searches; the first one judges the originals."""
    assert sorted(spy.forwards[0]) == sorted(sample["sequence"])
    return spy.forwards[1:]


@pytest.mark.parametrize("dies_after", [2, 9, 31])
def test_a_resumed_job_repeats_no_forward_and_ends_with_the_same_table(
    tmp_path, sample, undisturbed, dies_after
):
    table, forwards = undisturbed
    assert len(forwards) > 35
    assert set(table["stop_reason"]) > {"", "success"}  # some end early, some do not
    first, second = spy(dies_after), spy()
    with pytest.raises(KilledError):
        attack(first, sample, Journal(tmp_path / "state", DIGEST))

    resumed = attack(second, sample, Journal(tmp_path / "state", DIGEST))

    pd.testing.assert_frame_equal(resumed, table)
    assert searched(first, sample) + searched(second, sample) == forwards[1:]


def test_a_job_resumes_from_what_was_on_disk_when_it_was_shot(tmp_path, sample, undisturbed):
    table, forwards = undisturbed
    state, left = tmp_path / "state", tmp_path / "left"
    first, second = spy(20), spy()
    journal = Journal(state, DIGEST, every=0.0)
    journal.save_in_time = lambda: (
        journal.save(),
        shutil.copytree(state, left, dirs_exist_ok=True),
    )
    with pytest.raises(KilledError):
        attack(first, sample, journal)

    resumed = attack(second, sample, Journal(left, DIGEST))

    pd.testing.assert_frame_equal(resumed, table)
    assert searched(first, sample) + searched(second, sample) == forwards[1:]


def test_a_job_killed_again_and_again_comes_to_its_end(tmp_path, sample, undisturbed):
    n_killed, resumed = 0, None
    while resumed is None and n_killed < 100:
        try:
            resumed = attack(spy(6), sample, Journal(tmp_path / "state", DIGEST))
        except KilledError:
            n_killed += 1
    assert 5 < n_killed < 100
    pd.testing.assert_frame_equal(resumed, undisturbed[0])


def test_a_resumed_lockstep_job_repeats_no_question(tmp_path, sample):
    whole, first, second = spy(), spy(4), spy()
    table = attack(whole, sample, batching="lockstep")
    with pytest.raises(KilledError):
        attack(first, sample, Journal(tmp_path / "state", DIGEST), batching="lockstep")

    resumed = attack(second, sample, Journal(tmp_path / "state", DIGEST), batching="lockstep")

    pd.testing.assert_frame_equal(resumed, table)
    asked = [s for s in (first, second) for forward in searched(s, sample) for s in forward]
    assert sorted(asked) == sorted(s for forward in searched(whole, sample) for s in forward)


def test_finished_rows_need_neither_model_nor_answers(tmp_path, sample, undisturbed):
    attack(spy(), sample, Journal(tmp_path / "state", DIGEST))
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    again = spy()

    table = attack(again, sample, Journal(tmp_path / "state", DIGEST))

    pd.testing.assert_frame_equal(table, undisturbed[0])
    assert searched(again, sample) == []


# The files ----------------------------------------------------------------------------


def filled(folder, number, every=20.0):
    journal = Journal(folder, DIGEST, every)
    journal.note("search", {f"ACGT{number}": np.array([number, -number], np.float32)})
    journal.finish(f"row{number}", {"value": number})
    journal.save()
    return journal


def test_the_files_of_two_attempts_merge(tmp_path):
    one, other = Journal(tmp_path / "s", DIGEST), Journal(tmp_path / "s", DIGEST)
    for number, journal in enumerate((one, other)):
        journal.note("search", {f"ACGT{number}": np.array([number, 5], np.float32)})
        journal.finish(f"row{number}", {"value": number})
        journal.save()

    merged = Journal(tmp_path / "s", DIGEST)

    assert {key: row["value"] for key, row in merged.rows.items()} == {"row0": 0, "row1": 1}
    known = merged.recall("search", ["ACGT0", "ACGT1", "ACGT2"])
    assert {key: row.tolist() for key, row in known.items()} == {"ACGT0": [0, 5], "ACGT1": [1, 5]}


def test_answers_belong_to_their_search(tmp_path):
    filled(tmp_path / "s", 1)
    assert Journal(tmp_path / "s", DIGEST).recall("another", ["ACGT1"]) == {}


def test_the_state_of_another_job_is_discarded(tmp_path, caplog):
    filled(tmp_path / "s", 1)
    caplog.set_level(logging.INFO)

    other = Journal(tmp_path / "s", fingerprint("another job"))

    assert other.rows == {}
    assert other.recall("search", ["ACGT1"]) == {}
    assert list((tmp_path / "s").glob("*")) == []
    assert "discarded" in caplog.text


def test_what_is_new_reaches_the_disk_in_time(tmp_path):
    hasty, lazy = filled(tmp_path / "a", 1, every=0.0), filled(tmp_path / "b", 1, every=1000.0)
    for journal in (hasty, lazy):
        journal.finish("row2", {})
        journal.save_in_time()

    assert set(Journal(tmp_path / "a", DIGEST).rows) == {"row1", "row2"}
    assert set(Journal(tmp_path / "b", DIGEST).rows) == {"row1"}


def test_a_file_being_written_is_ignored(tmp_path, caplog):
    filled(tmp_path / "s", 1)
    (folder,) = (tmp_path / "s").iterdir()
    for path in list(folder.iterdir()):
        torn = folder / f".{path.stem}.0123{path.suffix}"
        torn.write_bytes(path.read_bytes()[:-9])

    assert set(Journal(tmp_path / "s", DIGEST).rows) == {"row1"}
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[1, 2]", b'{"a": 1}', b"null", "cut", "other"],
    ids=["empty", "torn", "no text", "numbers", "mapping", "null", "cut", "other"],
)
def test_a_damaged_file_costs_only_what_it_held(tmp_path, caplog, kind, content):
    filled(tmp_path / "s", 1)
    (folder,) = (tmp_path / "s").iterdir()
    (path,) = folder.glob(f"*.{kind}")
    if content == "cut":
        content = path.read_bytes()[:-7]
    if content == "other":
        content = next(p for p in folder.iterdir() if p != path).read_bytes()
    path.write_bytes(content)
    filled(tmp_path / "s", 2)

    journal = Journal(tmp_path / "s", DIGEST)

    known = set(journal.recall("search", ["ACGT1", "ACGT2"]))
    rows = set(journal.rows)
    assert (rows if kind == "json" else known) == ({"row2"} if kind == "json" else {"ACGT2"})
    assert (known if kind == "json" else rows) >= {"ACGT1" if kind == "json" else "row1"}
    assert path.name in caplog.text


def test_closing_removes_the_journal(tmp_path):
    journal = filled(tmp_path / "s", 1)
    journal.close()
    assert not (tmp_path / "s").exists()
    Journal(tmp_path / "s", DIGEST).close()  # nothing there is no mistake


def test_rows_come_back_as_they_went(tmp_path):
    journal = Journal(tmp_path / "s", DIGEST)
    row = {
        "edits": [[3, "A"]],
        "flipped_in_search": True,
        "n_queries": 7,
        "stop_reason": "patience",
    }
    journal.finish("0/test:1", row)
    journal.save()
    assert Journal(tmp_path / "s", DIGEST).rows == {"0/test:1": {"search": "0/test:1", **row}}


def test_a_fingerprint_tells_jobs_apart():
    job = [["abc"], [{"id": "test:0", "label": 1}], {"attack": {"kind": "genetic"}}, "cpu"]
    assert fingerprint(job) == fingerprint(json.loads(json.dumps(job)))
    for i, other in enumerate((["abd"], [{"id": "test:0", "label": 0}], {"attack": {}}, "cuda")):
        assert fingerprint(job) != fingerprint([*job[:i], other, *job[i + 1 :]])
