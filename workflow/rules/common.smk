"""What all rules share: the checked configuration, wildcards, code, targets."""

import hashlib
import os
import re
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

SCRIPTS = Path(workflow.basedir) / "scripts"

# Before any installed copy: the library that lies beside this file is the one that runs.
sys.path.insert(0, str(SCRIPTS))

from genosiege import (
    calls,
    code_digest,
    configuration,
    defences,
    detection_configuration,
    expression_configuration,
    files,
    records,
    schema,
    slurm_jobs,
    workflow_code,
)
from genosiege.data import download
from genosiege.errors import InputError
from genosiege.kinds import detectors as detector_kinds
from genosiege.kinds.models import ON_GPU

workflow_code.prefer_in_jobs(SCRIPTS)

SEQUENCE = "<results>/sequence/{task}/{encoder}"


def checked(config):
    """Fill the defaults in; end with one line where the configuration is wrong.

    Also where this is a job, on a cluster, of a call that is over: before Snakemake removes the
    files that the job would make again.
    """
    try:
        calls.join(Path(".snakemake/genosiege.call"))
        if workflow.is_main_process:
            for path in dict.fromkeys(map(os.path.relpath, workflow.configfiles)):
                schema.check_keys(Path(path))
        schema.validate(config, Path(workflow.basedir) / "schemas/config.schema.yaml")
        configuration.normalise(config)
        configuration.check(config)
        defences.check(config)
        expression_configuration.check(config)
        detection_configuration.check(config)
    except InputError as error:
        sys.exit(f"Error: {error}")


checked(config)


def read_code():
    """Read all code before it is told apart by rules; name what has changed."""
    # A job holds what it runs against what its call was planned on.
    code_digest.recall(SCRIPTS, trusting=not workflow.is_main_process)
    if workflow.is_main_process and (changed := code_digest.changed(SCRIPTS)):
        print(
            f"Code changed since the last run, in {', '.join(changed)}: jobs that import it run again.",
            file=sys.stderr,
        )


read_code()

workflow_code.tell_jobs(config["compute"])


def is_output(path):
    """Tell whether a rule makes a file or folder."""
    return any(output.match(path) for rule in workflow.rules for output in rule.output)


def remake_unrecorded():
    """Have files made again of which Snakemake does not know what they were made with."""
    told = {"--touch", "-t", "--forceall", "-F", "--unlock", "--lint"}
    if not workflow.is_main_process or told.intersection(sys.argv):
        return
    try:
        unknown = records.without(config["run"]["name"], is_output)
    except InputError as error:
        sys.exit(f"Error: {error}")
    if not unknown:
        return
    what = f"{len(unknown)} files have no record of the settings they were made with, {unknown[0]} for one"
    # While a call is at work, a finished job's files are without a record for a moment.
    if records.is_locked():
        what += ": if the call that has the lock does not go on to note it, they are made again."
    else:
        records.mark(unknown)
        what += ": the call that made them was killed. They are made again."
    print(what, file=sys.stderr)


def begin_call():
    """Keep the jobs of earlier, killed calls from writing into this one; note what was asked."""
    # Who calls without the lock wants the one that has it to go on.
    if not workflow.execution_settings.lock:
        calls.accompany()
        return
    calls.begin()
    code_digest.keep(SCRIPTS)
    records.begin(config["run"]["name"])
    # The whole configuration, so that a report can be made of the run as it was asked for.
    files.write_json(config, f"results/{config['run']['name']}/config.json")
    if "slurm" in type(workflow.executor_settings).__module__:
        slurm_jobs.cancel_left_over(Path.cwd())


wildcard_constraints:
    task="[A-Za-z0-9_-]+",
    encoder="[A-Za-z0-9_-]+",
    attack="[A-Za-z0-9_-]+",
    split="train|dev|test",
    seed="[0-9]+",
    stage="baseline|[A-Za-z0-9_-]+/round[1-9][0-9]*",
    defence="[A-Za-z0-9_-]+",
    round="[1-9][0-9]*",
    shard="[0-9]+",
    dataset="[A-Za-z0-9_-]+",
    model="[A-Za-z0-9_-]+",
    part="matrix|samples",
    fraction="[0-9]+",


# Rounds of hardening follow one another: what they wait for goes before what can wait.
FIRST = 1


# A rule's settings --------------------------------------------------------------------

REQUIRED = object()


def setting(path, default=REQUIRED):
    """Give one entry of the configuration; where `{wildcards}` are in the path, a function.

    Snakemake's own `lookup` walks through the whole configuration at each call: milliseconds
    for each parameter of each of thousands of jobs.
    """
    keys = path.split("/")

    def value(wildcards):
        found = config
        for key in keys:
            name = key.format(**wildcards)
            if default is not REQUIRED and name not in (found or {}):
                return default
            found = found[name]
        return found

    return value if "{" in path else value({})


# The code of a rule -------------------------------------------------------------------


@cache
def code(script, *modules):
    """Give the digest of a script, the named library modules and all they import of it.

    `code("embed")` is that of `scripts/embed.py` and its imports; further arguments are
    dotted module names that a registry imports by name.
    """
    return code_digest.of_job(script, modules, SCRIPTS)


def code_with(script, *more, encoder=False, attack=False, truth=False):
    """Like `code`, as a function that adds the modules of the wildcards' kinds.

    `encoder=True` adds the module of `encoders/{encoder}/kind`, `attack=True` that of
    `attacks/{attack}/kind`, `truth=True` those of a task whose truth is known.
    """

    def named_code(wildcards):
        modules = [*more]
        if encoder:
            modules += workflow_code.kind_modules(
                config["encoders"], wildcards.encoder, "encoder"
            )
        if attack:
            modules += workflow_code.kind_modules(
                config["attacks"], wildcards.attack, "attack"
            )
        if truth and known_truth(wildcards):
            modules += workflow_code.TRUTH_MODULES
        return code(script, *modules)

    return named_code


# Tasks whose truth is known -----------------------------------------------------------

# The truth is slow to ask, and as a yardstick needs no more.
TRUTH_SAMPLES, TRUTH_QUERIES = 30, 400


def is_truth(encoder):
    """Tell whether an encoder is the truth of its task, which nothing is trained for."""
    return config["encoders"][encoder]["kind"] == "planted"


def known_truth(wildcards):
    """Give the source of a task of which the probability of every string is known, else None."""
    task = config["tasks"][wildcards.task]
    return task["source"] if configuration.is_planted(task) else None


def attack_options(wildcards):
    """Give an attack's options; an attack on the truth asks it no more than some questions."""
    entry = config["attacks"][wildcards.attack]
    if not is_truth(wildcards.encoder):
        return entry
    asked = [name for name in ("query_budget", "draws") if name in entry]
    return entry | {name: min(entry[name], TRUTH_QUERIES) for name in asked}


def named(paths):
    """Name a user's files for Snakemake: by a link where it would take a part of the name.

    Braces are wildcards to it and angle brackets its own variables, and there is no escape. Jobs
    open the file itself; the link tells when it has changed.
    """
    return [_linked(path) if re.search(r"[{}<>]", path) else path for path in paths]


def _linked(path):
    link = Path("resources/linked", hashlib.sha256(path.encode()).hexdigest()[:16])
    link.parent.mkdir(parents=True, exist_ok=True)
    # Jobs read this file side by side, and one of them may have made it.
    with suppress(FileExistsError):
        link.symlink_to(os.path.relpath(path, link.parent))
    return str(link)


# Inputs of many parts -----------------------------------------------------------------


def encoder_files(wildcards):
    """List the files an encoder is loaded from; none where `fine_tune` makes all its weights."""
    entry = config["encoders"][wildcards.encoder]
    if "source" in entry:
        return [f"resources/encoders/{wildcards.encoder}"]
    if "pretraining" not in entry:
        return []
    return expand(
        f"{SEQUENCE}/{{file}}",
        task=wildcards.task,
        encoder=wildcards.encoder,
        file=["encoder.safetensors", "encoder.json", "tokenizer.json"],
    )


def split_of(wildcards):
    """Name the split that a job is about; one of a rule without `{split}`, the test split."""
    return wildcards.get("split", "test")


def sample_size(wildcards):
    """Give how many sequences of `{split}` are attacked at most; those of train for hardening."""
    if split_of(wildcards) == "train":
        return config["hardening"]["train_attack_samples"]
    asked = config["sampling"]["attack_samples"]
    if is_truth(wildcards.encoder):
        return min(asked or TRUTH_SAMPLES, TRUTH_SAMPLES)
    return asked


def kept_apart(wildcards):
    """Name the split whose sequences are not drawn: what is trained on is not attacked later."""
    if wildcards.split == "train":
        return f"<results>/data/{wildcards.task}/test.parquet"
    return []


def sample_setting(wildcards):
    """Name the setting that says so, for an error."""
    if wildcards.split == "train":
        return "hardening.train_attack_samples"
    return "sampling.attack_samples"


def shards(wildcards):
    """Count the shards of `{split}`'s sample, from the configuration alone."""
    rows = config["tasks"][wildcards.task].get("rows") or {}
    split = split_of(wildcards)
    cap = "train_samples" if split == "train" else "eval_samples"
    return workflow_code.shard_count(
        [sample_size(wildcards), rows.get(split), config["sampling"][cap]],
        config["compute"]["shard_size"],
        config["compute"]["shards"],
    )


# Inputs of data.smk -------------------------------------------------------------------


def local_table(wildcards):
    """Name what of a local split exists, so that a changed one is read again.

    What is absent is left to the job, which says so in one line.
    """
    source = config["tasks"][wildcards.task]["source"]
    return named(download.local_inputs(source, wildcards.split))


def own_names(wildcards):
    """Map the splits of a local task to the user's own files, which errors name."""
    source = config["tasks"][wildcards.task]["source"]
    if source["kind"] != "path" or source["layout"] == "class_folders":
        return {}
    return {
        split: source["path"].replace("{split}", split)
        for split in ["train", "dev", "test"]
    }


def reading_options(wildcards):
    """Give how the files of a task are written."""
    names = ("ambiguous", "separator", "encoding", "labels", "rna")
    task = config["tasks"][wildcards.task]
    layout = task["source"].get("layout", "csv")
    return {name: task[name] for name in names} | {"layout": layout}


def fasta_encoding(wildcards):
    """Give how FASTA is written, of which a table is made as it is fetched; else None."""
    task = config["tasks"][wildcards.task]
    return task["encoding"] if task["source"].get("layout") == "fasta" else None


def local_encoder(wildcards):
    """List what a local folder has of an encoder's files; see `local_table`."""
    source = config["encoders"][wildcards.encoder]["source"]
    if source["kind"] != "path":
        return []
    paths = [os.path.join(source["path"], name) for name in download.ENCODER_FILES]
    return named([path for path in paths if os.path.isfile(path)])


def download_code(wildcards):
    """Name the code of a download; a change of another source's reader refetches nothing."""
    source = config["tasks"][wildcards.task]["source"]
    if source["kind"] == "simulate":
        return code("download_task", download.generator_module(source))
    if source.get("layout") == "class_folders":
        return code("download_task", download.CLASS_FOLDERS)
    if source.get("layout") == "fasta":
        return code("download_task", download.FASTA)
    return code("download_task")


# Inputs of classifier.smk -------------------------------------------------------------


def encoder_entry(wildcards):
    """Give what of an encoder's entry a model is read with: neither source nor training."""
    entry = config["encoders"][wildcards.encoder]
    apart = ("source", "training", "pretraining")
    truth = {"truth": known_truth(wildcards)} if is_truth(wildcards.encoder) else {}
    return {key: value for key, value in entry.items() if key not in apart} | truth


def scratch_entry(wildcards):
    """Give what an encoder is trained from scratch with."""
    entry = config["encoders"][wildcards.encoder]
    return {key: entry[key] for key in ("kind", "architecture", "pretraining")}


def caches_features(wildcards):
    """Tell whether a head of ours is trained on features that are made once."""
    entry = config["encoders"][wildcards.encoder]
    return entry.get("frozen", False) and entry.get("train") != "none"


def input_check(wildcards):
    """Name the report that the encoder can read the task; some read the bases themselves."""
    if config["encoders"][wildcards.encoder]["kind"] in ("cnn", "planted"):
        return []
    return f"{SEQUENCE}/input_check.json"


def baseline_data(wildcards):
    """Name the splits a baseline is trained on, with their features where those are cached."""
    if config["encoders"][wildcards.encoder].get("train") == "none":
        return {}
    data = {
        split: f"<results>/data/{wildcards.task}/{split}.parquet"
        for split in ("train", "dev")
    }
    if caches_features(wildcards):
        data |= {
            f"{split}_features": f"{SEQUENCE}/embeddings/{split}.safetensors".format(
                **wildcards
            )
            for split in ("train", "dev")
        }
    return data


def test_features(wildcards):
    """Name the cached features of the test split; none where the encoder is trained."""
    if not caches_features(wildcards):
        return {}
    return {
        "test_features": f"{SEQUENCE}/embeddings/test.safetensors".format(**wildcards)
    }


def gpus(wildcards):
    """Count the GPUs that work on a model is worth: none where its features are cached."""
    return 0 if caches_features(wildcards) else 1


# Inputs of attack.smk -----------------------------------------------------------------


def attack_shards(wildcards):
    """Name the shards of one attack on one split, in order; none where one job is enough."""
    n = shards(wildcards)
    if n == 1:
        return []
    place = (
        f"{SEQUENCE}/seed{{seed}}/{{stage}}/attacks/{{attack}}/{split_of(wildcards)}"
    )
    place = place.format(**wildcards)
    return [f"{place}/shard{shard}.parquet" for shard in range(n)]


def attack_seeds(wildcards):
    """Give the seeds of an attack on `{split}`; adversaries to train on take one."""
    seeds = config["sampling"]["attack_seeds"]
    return [min(seeds)] if split_of(wildcards) == "train" else seeds


# The files of further motifs; what is lost of them is counted in every mode.
MOTIFS = named(setting("constraints/motifs/jaspar"))


def variant_files(wildcards):
    """List the file of variants that an attack is restricted to."""
    entry = config["attacks"][wildcards.attack]
    return named([entry["path"]]) if entry["kind"] == "variants" else []


def tss_index(wildcards):
    """Give the position of a task's transcription start site, None where it has none."""
    return config["tasks"][wildcards.task].get("tss_index")


def oracle_options():
    """Give what the oracle of a search is made with."""
    names = ("precision", "batching", "batch_size")
    return {name: config["compute"][name] for name in names}


# Inputs of audit.smk ------------------------------------------------------------------


def exact_oracle_options():
    """Give what the oracle of a certificate is made with; its precision is always fp32."""
    names = ("batching", "batch_size")
    return {name: config["compute"][name] for name in names}


def transferred_attacks(wildcards):
    """Name the baseline attacks whose adversaries a model is asked about.

    Those on all encoders for its own task, itself included, and those on its own encoder
    for the other tasks of as many classes. The same rows divided otherwise are no other
    task: the model was trained on many of them. What flips the truth is no adversary.
    """
    own = config["tasks"][wildcards.task]
    pairs = [
        (wildcards.task, encoder) for encoder in configuration.trained_encoders(config)
    ]
    pairs += [
        (task, wildcards.encoder)
        for task in config["run"]["tasks"]
        if config["tasks"][task]["n_classes"] == own["n_classes"]
        and config["tasks"][task]["source"] != own["source"]
    ]
    attack = config["attacks"][wildcards.attack]["attack"]
    table = f"{SEQUENCE}/seed{wildcards.seed}/baseline/attacks/{attack}/test.parquet"
    return [table.format(task=task, encoder=encoder) for task, encoder in pairs]


def attacks_on_model(wildcards):
    """Name the tables of all attacks in DNA space on one model's test sequences."""
    return expand(
        f"{SEQUENCE}/seed{{seed}}/{{stage}}/attacks/{{attack}}/test.parquet",
        attack=attacks_of(*configuration.DNA_KINDS),
        **wildcards,
    )


def latent_tables(wildcards):
    """Name the tables of all attacks in embedding space on one model."""
    return expand(
        f"{SEQUENCE}/seed{{seed}}/{{stage}}/latent/{{attack}}.parquet",
        attack=attacks_of(*configuration.LATENT_KINDS),
        **wildcards,
    )
