"""Whatever happens to a run on a cluster, its tables are those of an undisturbed one."""

import signal
import subprocess
from datetime import datetime

import long_search
import pytest
from submitting import assert_success, on_slurm, on_this_machine, result_tables

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def undisturbed(checkout):
    """The tables of a run on this machine, and the prepared data that all runs begin with."""
    folder = long_search.saving_often(checkout, "undisturbed")
    assert_success(on_this_machine(folder, long_search.SETTINGS))
    tables = result_tables(folder)
    assert len(tables) > 10
    return tables


@pytest.fixture
def folder(checkout, request):
    return long_search.saving_often(checkout, request.node.name)


def half_written(folder):
    return [path for path in (folder / "results").rglob(".*") if path.is_file()]


def test_a_cancelled_job_is_noticed_tried_again_and_resumed(cluster, start, folder, undisturbed):
    call = start(folder)
    cluster.call("scancel", long_search.search_at_work(cluster, folder))
    said = long_search.ended(call, folder)

    assert "CANCELLED" in said
    assert "resuming" in long_search.logs(folder)
    assert result_tables(folder) == undisturbed
    assert half_written(folder) == []


def test_a_requeued_job_is_waited_for_and_resumed(cluster, start, folder, undisturbed):
    call = start(folder)
    cluster.call("scontrol", "requeue", long_search.search_at_work(cluster, folder))
    long_search.ended(call, folder)

    assert "resuming" in long_search.logs(folder)
    assert result_tables(folder) == undisturbed
    assert half_written(folder) == []


def test_a_job_that_makes_room_saves_its_state_and_loses_no_attempt(
    cluster, start, folder, undisturbed
):
    now = f"{datetime.now():%Y-%m-%dT%H:%M:%S}"
    partition = ("--set-resources", "attack_shard:slurm_partition=gpu")
    call = start(folder, *partition)
    long_search.search_at_work(cluster, folder)
    urgent = ("--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    cluster.call("sbatch", *urgent)
    long_search.wait_for(lambda: "back into the queue" in long_search.logs(folder))
    long_search.ended(call, folder)

    assert "resuming" in long_search.logs(folder)
    # It failed in no attempt: the same job went on when there was room again.
    asked = ("--partition=gpu", "--format=State", f"--starttime={now}")
    states = cluster.call("sacct", "-X", "--noheader", *asked).split()
    assert states == ["COMPLETED", "COMPLETED"]
    assert result_tables(folder) == undisturbed
    assert half_written(folder) == []


def test_a_run_goes_on_when_its_node_comes_back(cluster, start, folder, undisturbed):
    call = start(folder)
    long_search.search_at_work(cluster, folder)
    node = f"nodename={cluster.node}"
    cluster.call("scontrol", "update", node, "state=down", "reason=test")
    long_search.wait_for(lambda: "down" in cluster.call("sinfo", "--noheader"))
    cluster.call("scontrol", "update", node, "state=resume")
    long_search.ended(call, folder)

    assert result_tables(folder) == undisturbed
    assert half_written(folder) == []


def test_after_a_kill_the_next_call_ends_what_was_left_over(cluster, start, folder, undisturbed):
    call = start(folder)
    left_over = long_search.search_at_work(cluster, folder)
    # So that it cannot end before the next call begins.
    cluster.call("scontrol", "suspend", left_over)
    call.send_signal(signal.SIGKILL)
    call.wait(timeout=60)

    locked = start(folder)
    assert locked.wait(timeout=120) != 0
    assert "--unlock" in (folder / "call.log").read_text()
    unlock = [*long_search.command(folder, long_search.SETTINGS, "--unlock"), "--cores", "1"]
    subprocess.run(unlock, cwd=folder, check=True, capture_output=True, timeout=120)
    long_search.ended(start(folder), folder)

    states = cluster.call("sacct", "-X", "--noheader", f"--jobs={left_over}", "--format=State")
    assert "CANCELLED" in states
    assert result_tables(folder) == undisturbed
    assert half_written(folder) == []


def test_a_run_outlasts_a_controller_out_of_reach(cluster, start, folder, undisturbed):
    call = start(folder)
    long_search.search_at_work(cluster, folder)
    cluster.be_out_of_reach(80)
    long_search.ended(call, folder)

    assert result_tables(folder) == undisturbed
    assert half_written(folder) == []


def test_what_outlived_a_killed_call_is_made_again_under_new_settings(
    cluster, start, folder, checkout
):
    changed = long_search.settings(generations=5, patience=5)
    fresh = long_search.saving_often(checkout, "fresh")
    assert_success(on_this_machine(fresh, changed))

    call = start(folder)
    long_search.search_at_work(cluster, folder)
    call.send_signal(signal.SIGKILL)
    call.wait(timeout=60)
    long_search.wait_for(lambda: not cluster.call("squeue", "--noheader").strip())
    # No record of them was written, and nothing marks them any more.
    assert (folder / long_search.SEARCH / "shard0.parquet").is_file()
    unlock = [*long_search.command(folder, changed, "--unlock"), "--cores", "1"]
    subprocess.run(unlock, cwd=folder, check=True, capture_output=True, timeout=120)
    again = on_slurm(cluster, folder, changed)

    assert_success(again)
    assert "have no record" in again.stdout + again.stderr
    assert result_tables(folder) == result_tables(fresh)
