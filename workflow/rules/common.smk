"""What all rules share: the checked configuration, wildcards, code inputs, targets."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# Before any installed copy: the library that lies beside this file is the one that runs.
sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from genosiege import configuration, workflow_code
from genosiege.errors import InputError

SCRIPTS = Path(workflow.basedir) / "scripts"
SEQUENCE = "<results>/sequence/{task}/{encoder}"


def checked(config):
    """Fill the defaults in; end with one line where the configuration is wrong."""
    try:
        validate(config, "../schemas/config.schema.yaml")
        configuration.normalise(config)
        configuration.check(config)
    except WorkflowError as error:
        sys.exit(f"Error: {configuration.reworded(error.__context__ or error)}")
    except InputError as error:
        sys.exit(f"Error: {error}")


checked(config)


wildcard_constraints:
    task="[A-Za-z0-9_-]+",
    encoder="[A-Za-z0-9_-]+",
    attack="[A-Za-z0-9_-]+",
    split="train|dev|test",
    seed="[0-9]+",
    stage="baseline|[a-z_]+/round[1-9][0-9]*",
    shard="[0-9]+",


# The code of a rule -------------------------------------------------------------------


def code(script, *modules):
    """List a script, the named library modules and all they import of the library.

    `code("embed")` is `scripts/embed.py` and its imports; further arguments are dotted
    module names that a registry imports by name.
    """
    files = [workflow_code.module_file(module, SCRIPTS) for module in modules]
    starts = [SCRIPTS / f"{script}.py", *filter(None, files)]
    # Relative to the working directory, so that a moved clone reruns nothing.
    return [os.path.relpath(path) for path in workflow_code.closure(starts, SCRIPTS)]


def code_with(script, encoder=False, attack=False):
    """Like `code`, as an input function that adds the modules of the wildcards' kinds.

    `encoder=True` adds the module of `encoders/{encoder}/kind`, `attack=True` that of
    `attacks/{attack}/kind`.
    """

    def files(wildcards):
        modules = []
        if encoder:
            modules += workflow_code.kind_modules(
                config["encoders"], wildcards.encoder, "encoder"
            )
        if attack:
            modules += workflow_code.kind_modules(
                config["attacks"], wildcards.attack, "attack"
            )
        return code(script, *modules)

    return files


# Inputs that depend on the configuration ----------------------------------------------


def encoder_files(wildcards):
    """List the files an encoder is loaded from; a `cnn` has none."""
    entry = config["encoders"][wildcards.encoder]
    if "source" in entry:
        return [f"resources/encoders/{wildcards.encoder}"]
    if entry["kind"] == "cnn":
        return []
    return expand(
        f"{SEQUENCE}/{{file}}",
        task=wildcards.task,
        encoder=wildcards.encoder,
        file=["encoder.safetensors", "encoder.json", "tokenizer.json"],
    )


def shards(wildcards):
    """Count the shards of `{split}`'s sample, from the configuration alone."""
    sampling = config["sampling"]
    rows = config["tasks"][wildcards.task].get("rows") or {}
    cap = "train_samples" if wildcards.split == "train" else "eval_samples"
    return workflow_code.shard_count(
        [sampling["attack_samples"], rows.get(wildcards.split), sampling[cap]],
        config["compute"]["shard_size"],
    )


# Targets ------------------------------------------------------------------------------


def models():
    """Name every model of the run, so that a deleted one is made again."""
    return expand(
        f"{SEQUENCE}/seed{{seed}}/baseline/model.safetensors",
        task=config["run"]["tasks"],
        encoder=config["run"]["encoders"],
        seed=config["run"]["seeds"],
    )
