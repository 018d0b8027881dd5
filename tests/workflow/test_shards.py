"""How an attack is cut into jobs is no part of its result."""

import copy

import tiny

TABLE = tiny.attack_table(tiny.DNABERT2)


def test_shards_of_1_7_and_50_sequences_give_one_table(workflow, tmp_path):
    config = copy.deepcopy(tiny.CONFIG)
    config["run"] |= {"encoders": [tiny.DNABERT2], "seeds": [0]}
    config["sampling"]["attack_samples"] = 8

    made = {}
    for size, shards in ((1, 8), (7, 2), (50, 1)):
        config["compute"]["shard_size"] = size
        run = workflow(config, TABLE, check=True)
        # Each size is a new attack, not the table of the size before.
        jobs = tiny.planned(run.stdout + run.stderr)
        assert jobs.get("attack_shard", 1) == shards
        assert jobs["attack"] == 1
        made[size] = (tmp_path / TABLE).read_bytes()

    assert made[1] == made[7] == made[50]
