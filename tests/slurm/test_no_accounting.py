"""A site without a database: squeue alone tells what became of a job."""

import long_search
import pytest
from submitting import result_tables, started

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running SLURM that sacct can learn nothing from."""
    cluster = started(tmp_path_factory.mktemp("slurm"), accounting=False)
    yield cluster
    cluster.stop()


def test_a_cancelled_job_is_noticed_and_tried_again(cluster, start, checkout):
    folder = long_search.saving_often(checkout, "no_accounting")
    call = start(folder)
    cluster.call("scancel", long_search.search_at_work(cluster, folder))
    said = long_search.ended(call, folder)

    assert "CANCELLED" in said
    assert "tables/attacks.csv" in "\n".join(result_tables(folder))
