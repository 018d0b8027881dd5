"""Mistakes in a configuration, said in one line that names the place and what to do."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from genosiege import configuration
from genosiege.errors import InputError
from genosiege.sequence import attacks


@pytest.fixture
def config() -> dict[str, Any]:
    return {
        "run": {"name": "main", "seeds": [0], "tasks": ["a"], "encoders": ["e"], "attacks": ["g"]},
        "constraints": {"gc_shift": {"mode": "hard"}, "stop_codons": {"mode": "off"}},
        "tasks": {"a": {"source": {"kind": "huggingface"}}, "b": {"source": {"kind": "url"}}},
        "encoders": {"e": {"kind": "cnn", "architecture": {"kernel_size": 9}}},
        "attacks": {"g": {"kind": "genetic"}},
    }


def mistake(config: dict[str, Any], folder: Path) -> str:
    with pytest.raises(InputError) as error:
        configuration.check(config, folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_sound_configuration_passes_and_leaves_nothing(config, tmp_path):
    before = deepcopy(config)

    configuration.check(config, tmp_path)

    assert config == before
    assert not list(tmp_path.iterdir())


def test_a_place_reads_like_a_path():
    assert configuration.place(["run", "tasks", 0]) == "run/tasks[0]"
    assert configuration.place(["attacks", "genetic", "population"]) == "attacks/genetic/population"
    assert configuration.place([]) == ""


def test_a_bare_off_becomes_the_word(config):
    config["constraints"]["gc_shift"]["mode"] = False

    configuration.normalise(config)

    assert config["constraints"]["gc_shift"]["mode"] == "off"
    assert config["constraints"]["stop_codons"]["mode"] == "off"


@pytest.mark.parametrize(
    ("catalogue", "known"), [("tasks", "a, b"), ("encoders", "e"), ("attacks", "g")]
)
def test_a_name_outside_its_catalogue_is_named_with_what_exists(config, tmp_path, catalogue, known):
    config["run"][catalogue] = [*config["run"][catalogue], "promotors"]

    assert mistake(config, tmp_path) == (
        f'config, run/{catalogue}[1], "promotors": `{catalogue}` has no such entry; '
        f"add it there or take one of: {known}."
    )


def test_a_missing_split_is_named_by_its_file(config, tmp_path):
    config["tasks"]["a"]["source"] = {"kind": "path", "path": "gue/{split}.csv"}
    (tmp_path / "gue").mkdir()
    for split in ("train", "test"):
        (tmp_path / f"gue/{split}.csv").touch()

    message = mistake(config, tmp_path)

    assert message.startswith('config, tasks/a/source/path, "gue/dev.csv": the split dev')
    (tmp_path / "gue/dev.csv").touch()
    configuration.check(config, tmp_path)


def test_class_folders_need_train_and_test(config, tmp_path):
    config["tasks"]["a"]["source"] = {"kind": "path", "path": "cohn", "layout": "class_folders"}
    (tmp_path / "cohn/train").mkdir(parents=True)

    message = mistake(config, tmp_path)

    assert message.startswith('config, tasks/a/source/path, "cohn": there is no folder test in it')
    (tmp_path / "cohn/test").mkdir()
    configuration.check(config, tmp_path)


def test_a_task_that_is_not_run_may_lie_elsewhere(config, tmp_path):
    config["tasks"]["b"]["source"] = {"kind": "path", "path": "absent/{split}.csv"}

    configuration.check(config, tmp_path)


def test_a_missing_checkpoint_is_an_error(config, tmp_path):
    config["encoders"]["e"] = {"kind": "hf", "source": {"kind": "path", "path": "no/such"}}

    assert mistake(config, tmp_path).startswith('config, encoders/e/source/path, "no/such": ')


def test_a_start_site_outside_the_simulated_sequence_is_an_error(config, tmp_path):
    config["tasks"]["a"]["source"] = {"kind": "simulate", "length": 200, "tss_index": 249}

    assert mistake(config, tmp_path).startswith("config, tasks/a/source/tss_index, 249: ")


@pytest.mark.parametrize("tss_index", [300, 299, 0, None])
def test_the_start_site_of_a_simulated_task_lies_in_its_sequences(config, tmp_path, tss_index):
    source = {"kind": "simulate", "length": 300, "tss_index": 249}
    config["tasks"]["a"] = {"source": source, "tss_index": tss_index}

    if tss_index == 300:
        assert mistake(config, tmp_path).startswith("config, tasks/a/tss_index, 300: ")
    else:
        configuration.check(config, tmp_path)


def test_heads_that_do_not_divide_the_width_are_an_error(config, tmp_path):
    shape = {"hidden_size": 100, "num_attention_heads": 12}
    config["encoders"]["e"] = {"kind": "dnabert2", "architecture": shape}

    assert "num_attention_heads, 12: " in mistake(config, tmp_path)


def test_an_even_filter_is_an_error(config, tmp_path):
    config["encoders"]["e"]["architecture"]["kernel_size"] = 8

    assert "kernel_size, 8: " in mistake(config, tmp_path)


@pytest.mark.parametrize("tokens", [{"kmer": 6, "stride": 2}, {"stride": 6}])
def test_a_stride_that_is_neither_one_nor_k_is_an_error(config, tmp_path, tokens):
    config["encoders"]["e"] = {"kind": "hf", "tokens": tokens}

    assert f"encoders/e/tokens/stride, {tokens['stride']}: " in mistake(config, tmp_path)


@pytest.mark.parametrize("tokens", [{"kmer": 6, "stride": 6}, {"kmer": 6, "stride": 1}])
def test_a_stride_of_one_or_k_is_none(config, tmp_path, tokens):
    config["encoders"]["e"] = {"kind": "hf", "tokens": tokens}

    configuration.check(config, tmp_path)


def test_a_missing_matrix_file_is_an_error(config, tmp_path):
    config["constraints"]["motifs"] = {"mode": "soft", "jaspar": ["mine.jaspar"]}

    assert 'constraints/motifs/jaspar[0], "mine.jaspar"' in mistake(config, tmp_path)


def test_an_interval_that_ends_before_its_start_is_an_error(config, tmp_path):
    config["constraints"]["edit_mask"] = {"mode": "hard", "editable": [[0, 9], [50, 50]]}

    assert "constraints/edit_mask/editable[1], [50, 50]: " in mistake(config, tmp_path)


@pytest.mark.parametrize("occupied", ["results", "results/main"])
def test_a_file_in_the_place_of_the_results_is_an_error(config, tmp_path, occupied):
    (tmp_path / occupied).parent.mkdir(exist_ok=True)
    (tmp_path / occupied).touch()

    assert f"but {occupied} is a file" in mistake(config, tmp_path)


def test_a_link_that_leads_nowhere_is_an_error(config, tmp_path):
    (tmp_path / "results").symlink_to(tmp_path / "nowhere")

    assert 'run/name, "main"' in mistake(config, tmp_path)


# A schema's errors in our words -------------------------------------------------------

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "count": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
        "rate": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "mode": {"enum": ["hard", "soft", "off", False]},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": True},
        "name": {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_-]+$"},
        "file": {"pattern": "\\{split\\}"},
        "fixed": {"const": False},
        "inner": {
            "type": "object",
            "required": ["kind"],
            "dependentRequired": {"one": ["two"]},
        },
    },
}


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"count": 0}, "config, count, 0: this has to be at least 1; correct it."),
        ({"count": 10}, "config, count, 10: this has to be at most 9; correct it."),
        (
            {"count": "many"},
            'config, count, "many": this has to be a whole number or null; correct it.',
        ),
        (
            {"rate": "1e-4"},
            'config, rate, "1e-4": this has to be a number; correct it '
            "(YAML reads 1e-4 as text; write 1.0e-4, with point and sign).",
        ),
        ({"rate": 0}, "config, rate, 0: this has to be above 0; correct it."),
        ({"rate": 1}, "config, rate, 1: this has to be below 1; correct it."),
        (
            {"mode": "harsh"},
            'config, mode, "harsh": there is no such choice; take one of: hard, soft, off.',
        ),
        ({"list": []}, "config, list, []: this list needs at least 1 entry; add to it."),
        (
            {"list": [1, 2, 3]},
            "config, list, [1, 2, 3]: this list has at most 2 entries; take some away.",
        ),
        ({"list": [1, 1]}, "config, list, [1, 1]: an entry is there twice; remove one."),
        ({"name": ""}, 'config, name, "": this is empty; fill it in.'),
        (
            {"name": "a b"},
            'config, name, "a b": a name has letters, digits, hyphens and underscores only; '
            "correct it.",
        ),
        (
            {"file": "x.csv"},
            'config, file, "x.csv": {split} has to stand where train, dev or test goes; '
            "correct it.",
        ),
        (
            {"fixed": True},
            "config, fixed, true: only false is possible here; correct it or leave it out.",
        ),
        (
            {"inner": None},
            "config, inner: nothing stands here; fill it in or leave the key out.",
        ),
        ({"inner": {}}, 'config, inner, "kind": this key is missing; add it.'),
        (
            {"inner": {"kind": 1, "one": 1}},
            'config, inner, "one": it needs two beside it; add that or leave both out.',
        ),
        (
            {"cuont": 3},
            'config, "cuont": there is no such key; did you mean count? '
            "The keys here are: count, file, fixed, inner, list, mode, name, rate.",
        ),
        (
            {"zzz": 3},
            'config, "zzz": there is no such key; '
            "the keys here are: count, file, fixed, inner, list, mode, name, rate.",
        ),
    ],
)
def test_schema_errors_are_reworded(config, line):
    error = next(jsonschema.Draft202012Validator(SCHEMA).iter_errors(config))

    assert configuration.reworded(error) == line


def test_the_kinds_in_dna_space_are_those_with_a_search():
    assert attacks.KINDS == configuration.DNA_KINDS


@pytest.mark.parametrize("kind", ["variants", "transfer"])
def test_a_list_of_variants_belongs_to_one_tasks_sequences(config, tmp_path, kind):
    (tmp_path / "known.vcf").touch()
    known = {"kind": "variants", "path": "known.vcf"}
    config["attacks"] |= {"known": known, "g": {"kind": "transfer", "attack": "known"}}
    config["run"]["attacks"] = ["known" if kind == "variants" else "g"]
    config["tasks"]["b"]["source"] = dict(config["tasks"]["a"]["source"])
    config["run"]["tasks"] = ["a", "b"]
    # The same rows, divided otherwise.
    configuration.check(config, tmp_path)

    config["tasks"]["b"]["source"]["path"] = "another"

    assert "run each task by itself" in mistake(config, tmp_path)
