"""What a run ends with, and how it stands in the report."""

# Of the sequence arm ------------------------------------------------------------------


def attacks_of(*kinds):
    """Name the run's attacks of these kinds."""
    return [
        name
        for name in config["run"]["attacks"]
        if config["attacks"][name]["kind"] in kinds
    ]


def attack_kinds():
    """Map each attack of the run in DNA space to its kind."""
    asked = attacks_of(*configuration.DNA_KINDS)
    return {name: config["attacks"][name]["kind"] for name in asked}


def of_baselines(file, **wildcards):
    """Name one file of every baseline model of the run, for all values of further wildcards.

    The truth of a task is one of them, where it is known.
    """
    return [
        path
        for task, encoder in configuration.models(config)
        for path in expand(
            f"{SEQUENCE}/seed{{seed}}/baseline/{file}",
            task=task,
            encoder=encoder,
            seed=config["run"]["seeds"],
            **wildcards,
        )
    ]


def of_trained(file):
    """Name one file of every baseline model but the truth, which has no features."""
    return expand(
        f"{SEQUENCE}/seed{{seed}}/baseline/{file}",
        task=config["run"]["tasks"],
        encoder=configuration.trained_encoders(config),
        seed=config["run"]["seeds"],
    )


def attack_tables():
    """Name the tables of all attacks in DNA space on the baseline models."""
    return of_baselines(
        "attacks/{attack}/test.parquet", attack=attacks_of(*configuration.DNA_KINDS)
    )


def certificates():
    """Name the certificates of the baseline models, where any are asked for."""
    return of_baselines("certify.parquet") if config["certify"]["max_edits"] else []


def drawn_models():
    """Pair each task with each encoder whose adversaries are drawn: none without an attack."""
    if not attacks_of(*configuration.DNA_KINDS):
        return []
    return configuration.models(config)


def of_drawn_models(file):
    """Name one file of each model whose adversaries are drawn, which is that of the first seed."""
    path = f"{SEQUENCE}/seed{min(config['run']['seeds'])}/baseline/{file}"
    return [path.format(task=task, encoder=encoder) for task, encoder in drawn_models()]


def latent_attacks():
    """Name the baseline models' tables of attacks in embedding space."""
    asked = attacks_of(*configuration.LATENT_KINDS)
    return of_trained("latent.parquet") if asked else []


def transfers():
    """Name the tables of transferred adversaries on the baseline models."""
    return of_baselines("transfer/{attack}.parquet", attack=attacks_of("transfer"))


def tss_indices():
    """Map each task of the run to the position of its transcription start site, or None."""
    return {
        task: config["tasks"][task].get("tss_index") for task in config["run"]["tasks"]
    }


def sequence_results(wildcards):
    """Name what the report says of attacks on sequences, where the run has any task."""
    if not config["run"]["tasks"]:
        return []
    return [
        *rules.make_tables.output,
        *rules.make_audit_tables.output,
        *rules.interpret.output,
        *rules.draw_figures.output,
        *rules.draw_adversaries.output,
        *rules.draw_interactive.output,
    ]


# Of the expression arm ----------------------------------------------------------------


def of_datasets(path):
    """Name one file of every dataset and seed of the run."""
    return expand(
        f"{DATASET}/{path}",
        dataset=config["run"]["datasets"],
        seed=config["run"]["seeds"],
    )


def of_models(path, models=None):
    """Name one file of every expression model of the run, or of some of them."""
    return expand(
        f"{EXPRESSION}/{path}",
        dataset=config["run"]["datasets"],
        model=config["run"]["models"] if models is None else models,
        seed=config["run"]["seeds"],
    )


def attacks_run():
    """Name the FIMBA attacks of every model, where any setting is asked for."""
    return of_models("fimba.parquet")


def vaes_run():
    """Name the descriptions of all VAEs of the run."""
    return expand(
        f"{VAE}/model.json",
        dataset=config["run"]["datasets"],
        seed=config["run"]["seeds"],
        fraction=config["vae"]["fractions"],
    )


def evasions_run():
    """Name what the VAEs' evasion of every model gave, where there is a VAE."""
    return of_models("evasion.parquet") if config["vae"]["fractions"] else []


def among_models(section):
    """Name the run's models that a section of the configuration is about; null is all."""
    asked = config[section]["models"]
    return config["run"]["models"] if asked is None else asked


def poisonings_run():
    """Name what poisoning did to every model, where any is asked for."""
    if not config["poisoning"]["rates"]:
        return []
    return of_models("poisoning.parquet", among_models("poisoning"))


def hardenings_run():
    """Name what adversarial training did to the models that it is asked for."""
    return of_models("hardening.parquet", among_models("expression_hardening"))


def comparisons_run():
    """Name the other attacks' results on the models that they are asked for."""
    if not config["comparison"]["attacks"]:
        return []
    return of_models("comparison.parquet", among_models("comparison"))


def expression_results(wildcards):
    """Name what the report says of the expression arm, where the run has any dataset."""
    if not config["run"]["datasets"]:
        return []
    return [
        *rules.make_expression_tables.output,
        *rules.draw_expression_figures.output,
    ]


# On the front page --------------------------------------------------------------------


def told_tables():
    """Name the tables that the front page tells of."""
    names = []
    if config["run"]["tasks"]:
        names += ["data", "baseline", "worst_case", "certify", "by_class", "warnings"]
        names.append("known_truth")
    if config["run"]["tasks"] and config["run"]["defences"]:
        names.append("verdict")
    if config["run"]["datasets"]:
        names += ["expression_data", "expression_models", "smallest_k"]
    if anything_detected():
        names += ["best_detector", "adaptive"]
    return [f"<results>/tables/{name}.csv" for name in names]


def folder_of(name):
    """Make a function that names the folder which the output `name` lies in."""

    def folder(wildcards, output):
        return os.path.dirname(output[name])

    return folder


def seeds_by_purpose():
    """Map what seeds are for to the seeds of this run."""
    seeds = {"training": config["run"]["seeds"]}
    if config["run"]["tasks"]:
        seeds["attacks"] = config["sampling"]["attack_seeds"]
    return seeds


# In the report ------------------------------------------------------------------------


def shown(path, category, result, form, caption):
    """Mark an output for the report; equal labels let all results stand in one list."""
    return report(
        f"<results>/{path}",
        caption=f"../report/{caption}.rst",
        category=category,
        labels={"result": result, "form": form},
    )


def csv_file(name, category, result):
    """Mark a table for download."""
    return shown(f"tables/{name}.csv", category, result, "CSV file", name)


def page(name, category, result):
    """Mark the sortable page of a table."""
    return shown(f"tables/{name}.html", category, result, "table", name)


def figure(name, result, caption=None, category="Attacks"):
    """Mark a figure."""
    return shown(f"figures/{name}.svg", category, result, "figure", caption or name)


def adversaries_figure(task, encoder):
    """Mark the figure of one model's adversaries."""
    return shown(
        f"figures/adversaries/{task}.{encoder}.svg",
        "Attacks",
        f"Adversaries of {encoder} on {task}",
        "figure",
        "adversaries",
    )


def interactive(name, category, result):
    """Mark a page to look closer at."""
    path = f"interactive/{name}.html"
    return shown(path, category, result, "interactive", f"{name}_page")


def expression_figure(name, result, caption):
    """Mark a figure of the expression arm."""
    return figure(name, result, caption, "Expression")


def detection_figure(name, result, caption):
    """Mark a figure of detection."""
    return figure(name, result, caption, "Detection")
