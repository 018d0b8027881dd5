"""From results to what people read: tables and figures, few jobs that make many."""


rule make_tables:
    input:
        cards=expand("<results>/data/{task}/card.json", task=config["run"]["tasks"]),
        metrics=of_baselines("metrics.json"),
        attacks=of_baselines("attacks/{attack}/test.parquet"),
        code=code("make_tables"),
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
        "<logs>/make_tables.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    script:
        "../scripts/make_tables.py"


rule draw_figures:
    input:
        attacks=of_baselines("attacks/{attack}/test.parquet"),
        robust_accuracy="<results>/tables/robust_accuracy.csv",
        code=code("draw_figures"),
    output:
        robust_accuracy=figure(
            "robust_accuracy", "Robust accuracy", "robust_accuracy_curve"
        ),
        edits_per_success=figure("edits_per_success", "Edits per success"),
        confidence=figure("confidence", "Confidence before and after"),
        edit_positions=figure("edit_positions", "Where the edits fall"),
    log:
        "<logs>/draw_figures.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        tss_index=tss_indices(),
    script:
        "../scripts/draw_figures.py"
