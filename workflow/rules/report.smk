"""From results to what people read: tables and figures, few jobs that make many."""


def of_baselines(path):
    """Name one file of every baseline model of the run."""
    return expand(
        f"{SEQUENCE}/seed{{seed}}/baseline/{path}",
        task=config["run"]["tasks"],
        encoder=config["run"]["encoders"],
        seed=config["run"]["seeds"],
        attack=config["run"]["attacks"],
    )


def tss_indices():
    """Map each task of the run to the position of its transcription start site, or None."""
    return {
        task: config["tasks"][task].get("tss_index") for task in config["run"]["tasks"]
    }


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


def figure(name, result, caption=None):
    """Mark a figure of the attacks."""
    return shown(f"figures/{name}.svg", "Attacks", result, "figure", caption or name)


rule tables:
    input:
        cards=expand("<results>/data/{task}/card.json", task=config["run"]["tasks"]),
        metrics=of_baselines("metrics.json"),
        attacks=of_baselines("attacks/{attack}/test.parquet"),
        code=code("tables"),
    output:
        data=csv_file("data", "Data", "What the data hold"),
        data_page=page("data", "Data", "What the data hold"),
        baseline=csv_file("baseline", "Baseline", "Each model"),
        baseline_page=page("baseline", "Baseline", "Each model"),
        seeds=csv_file("seeds", "Baseline", "Over seeds"),
        seeds_page=page("seeds", "Baseline", "Over seeds"),
        attacks=csv_file("attacks", "Attacks", "Each model and attack"),
        attacks_page=page("attacks", "Attacks", "Each model and attack"),
        robust_accuracy=csv_file("robust_accuracy", "Attacks", "Robust accuracy"),
        robust_accuracy_page=page("robust_accuracy", "Attacks", "Robust accuracy"),
    log:
        "<logs>/tables.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    script:
        "../scripts/tables.py"


rule figures:
    input:
        attacks=of_baselines("attacks/{attack}/test.parquet"),
        robust_accuracy="<results>/tables/robust_accuracy.csv",
        code=code("figures"),
    output:
        robust_accuracy=figure(
            "robust_accuracy", "Robust accuracy", "robust_accuracy_curve"
        ),
        edits_per_success=figure("edits_per_success", "Edits per success"),
        confidence=figure("confidence", "Confidence before and after"),
        edit_positions=figure("edit_positions", "Where the edits fall"),
    log:
        "<logs>/figures.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        tss_index=tss_indices(),
    script:
        "../scripts/figures.py"
