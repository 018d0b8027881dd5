"""What all rules share: the checked configuration, wildcards, code, targets."""

import hashlib
import os
import re
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

# Not `workflow.basedir`, which is another's where this workflow is its module.
WORKFLOW = Path(str(workflow.current_basedir)).parent
SCRIPTS = WORKFLOW / "scripts"

if not SCRIPTS.is_dir():
    sys.exit(
        f"Error: {WORKFLOW}: the workflow's library is not beside its rules, as where single files are "
        "fetched from a repository; clone the whole repository and name the Snakefile in the clone."
    )
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

if Path(calls.__file__).resolve().parent.parent != SCRIPTS.resolve():
    sys.exit(
        f"Error: {calls.__file__}: this library was imported before that of {SCRIPTS}; take the "
        "modules of one call from one checkout."
    )
workflow_code.prefer_in_jobs(SCRIPTS)


def placed(path):
    """Give a path as it lies in the working directory: a module may have a prefix."""
    return str(workflow.modifier.path_modifier.modify(path))


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
        schema.validate(config, WORKFLOW / "schemas/config.schema.yaml")
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


RUN, RESOURCES = placed(f"results/{config['run']['name']}"), placed("resources")


def is_output(path):
    """Tell whether a rule makes a file or folder."""
    return any(output.match(path) for rule in workflow.rules for output in rule.output)


def remake_unrecorded():
    """Have files made again of which Snakemake does not know what they were made with."""
    told = {"--touch", "-t", "--forceall", "-F", "--unlock", "--lint"}
    if not workflow.is_main_process or told.intersection(sys.argv):
        return
    try:
        unknown = records.without([RUN, RESOURCES], is_output)
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
    records.begin([RUN, RESOURCES])
    # The whole configuration, so that a report can be made of the run as it was asked for.
    files.write_json(config, f"{RUN}/config.json")
    if "slurm" in type(workflow.executor_settings).__module__:
        slurm_jobs.cancel_left_over(Path.cwd())


def begin_in_module():
    """Have `begin_call` done where this is a module, of which Snakemake calls no `onstart`."""
    register, others = workflow.onstart, workflow._onstart

    def before(function):
        def both(log):
            begin_call()
            function(log)

        return both

    workflow._onstart = before(others)
    # Whoever includes this may have one of its own, also further down.
    workflow.onstart = lambda function: register(before(function))


if not workflow.modifier.is_main_snakefile():
    begin_in_module()


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
    # Where the user named them, also where this workflow is a module with a prefix.
    return [
        local(_linked(path) if re.search(r"[{}<>]", path) else path) for path in paths
    ]


def _linked(path):
    link = Path("resources/linked", hashlib.sha256(path.encode()).hexdigest()[:16])
    link.parent.mkdir(parents=True, exist_ok=True)
    # Jobs read this file side by side, and one of them may have made it.
    with suppress(FileExistsError):
        link.symlink_to(os.path.relpath(path, link.parent))
    return str(link)
