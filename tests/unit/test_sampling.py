"""What a setting asks of a split that the split has not: an error, or a warning and the rest."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from genosiege import code_digest, runtime
from genosiege.data import sampling
from genosiege.errors import InputError

SEQUENCES = pd.Series(["ACGT", "ACGTACGT", "ACG"])


def test_an_offset_beyond_every_sequence_is_refused():
    with pytest.raises(InputError) as error:
        sampling.check_offset(SEQUENCES, 8, "tasks/mine/tss_index")

    assert str(error.value) == (
        "config, tasks/mine/tss_index, 8: this lies outside the sequences, of which the longest "
        "has 8 bp; give an offset below that, or null."
    )


@pytest.mark.parametrize(("offset", "short"), [(7, 2), (4, 2), (3, 1), (2, 0), (None, 0)])
def test_an_offset_that_some_sequences_do_not_reach_is_warned_of(caplog, offset, short):
    sampling.check_offset(SEQUENCES, offset, "tasks/mine/tss_index")

    said = [f"tasks/mine/tss_index, value {offset}: {short} of 3 sequences end before it"]
    assert caplog.messages == said * (short > 0)


@pytest.mark.parametrize(("n", "warned"), [(4, True), (3, False), (2, False), (None, False)])
def test_more_samples_than_rows_are_warned_of(caplog, n, warned):
    rng = np.random.default_rng(0)

    rows = sampling.stratified_rows(np.array([0, 1, 1]), n, rng, "sampling.attack_samples")

    assert len(rows) == min(n or 3, 3)
    said = ["sampling.attack_samples, value 4: there are 3 rows; all are taken"]
    assert caplog.messages == said * warned


def test_a_jobs_own_warnings_reach_the_terminal_and_its_log(tmp_path, capsys):
    log = tmp_path / "job.log"

    code = code_digest.of_job("draw_sample", [], runtime.SCRIPTS)
    with runtime.script(SimpleNamespace(log=[str(log)], params=SimpleNamespace(code=code))):
        logging.getLogger("genosiege.data.sampling").warning("too few")
        logging.getLogger("genosiege.data.sampling").info("all is well")
        logging.getLogger("another.library").warning("deprecated")

    assert capsys.readouterr().err == "Warning: too few\n"
    assert [word in log.read_text() for word in ("too few", "well", "deprecated")] == [True] * 3
