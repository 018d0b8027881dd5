"""From results to what people read: tables and figures, few jobs that make many."""


rule make_tables:
    input:
        cards=expand("<results>/data/{task}/card.json", task=config["run"]["tasks"]),
        metrics=of_baselines("metrics.json"),
        attacks=attack_tables(),
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
    params:
        kinds=attack_kinds(),
        code=code("make_tables"),
    script:
        "../scripts/make_tables.py"


rule make_audit_tables:
    input:
        attacks=attack_tables(),
        certificates=certificates(),
        latent=latent_attacks(),
        transfer=transfers(),
        metrics=of_baselines("metrics.json"),
        predictions=of_baselines("predictions.parquet"),
        tests=expand("<results>/data/{task}/test.parquet", task=config["run"]["tasks"]),
    output:
        worst_case=csv_file("worst_case", "Attacks", "Worst case of all attacks"),
        worst_case_page=page("worst_case", "Attacks", "Worst case of all attacks"),
        warnings=csv_file("warnings", "Attacks", "Warning signs"),
        warnings_page=page("warnings", "Attacks", "Warning signs"),
        vulnerable=csv_file("vulnerable", "Attacks", "Vulnerable sequences"),
        vulnerable_page=page("vulnerable", "Attacks", "Vulnerable sequences"),
        certify=csv_file("certify", "Attacks", "Certified robustness"),
        certify_page=page("certify", "Attacks", "Certified robustness"),
        transfer=csv_file("transfer", "Attacks", "Transfer between models"),
        transfer_page=page("transfer", "Attacks", "Transfer between models"),
        latent=csv_file("latent", "Attacks", "Outside DNA space"),
        latent_page=page("latent", "Attacks", "Outside DNA space"),
        by_class=csv_file("by_class", "Attacks", "By class"),
        by_class_page=page("by_class", "Attacks", "By class"),
        known_truth=csv_file("known_truth", "Attacks", "Model and truth"),
        known_truth_page=page("known_truth", "Attacks", "Model and truth"),
    log:
        "<logs>/make_audit_tables.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        kinds=attack_kinds(),
        truths=[name for name in config["run"]["encoders"] if is_truth(name)],
        code=code("make_audit_tables"),
    script:
        "../scripts/make_audit_tables.py"


rule interpret:
    input:
        attacks=attack_tables(),
        certificates=certificates(),
        motifs=MOTIFS,
    output:
        interpretability=csv_file(
            "interpretability", "Attacks", "What the edits change"
        ),
        interpretability_page=page(
            "interpretability", "Attacks", "What the edits change"
        ),
    log:
        "<logs>/interpret.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        tss_index=tss_indices(),
        constraints=setting("constraints"),
        kinds=attack_kinds(),
        code=code("interpret"),
    script:
        "../scripts/interpret.py"


rule draw_figures:
    input:
        attacks=attack_tables(),
        robust_accuracy="<results>/tables/robust_accuracy.csv",
        worst_case="<results>/tables/worst_case.csv",
        certify="<results>/tables/certify.csv",
        transfer="<results>/tables/transfer.csv",
        latent="<results>/tables/latent.csv",
        interpretability="<results>/tables/interpretability.csv",
    output:
        overview=figure("overview", "All attacks on all models"),
        robust_accuracy=figure("robust_accuracy", "Robust accuracy", "worst_case_curve"),
        queries=figure("queries", "Robust accuracy over queries"),
        edits_per_success=figure("edits_per_success", "Edits per success"),
        confidence=figure("confidence", "Confidence before and after"),
        edit_positions=figure("edit_positions", "Where the edits fall"),
        interpretability=figure(
            "interpretability", "What the edits change", "interpretability_figure"
        ),
        transfer=figure("transfer", "Transfer between models", "transfer_matrix"),
        latent=figure("latent", "Outside DNA space", "latent_curve"),
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
        code=code("draw_figures"),
    script:
        "../scripts/draw_figures.py"


rule draw_adversaries:
    input:
        examples=of_drawn_models("examples.parquet"),
        scans=of_drawn_models("mutagenesis.parquet"),
        motifs=MOTIFS,
    output:
        figures=[adversaries_figure(*model) for model in drawn_models()],
    log:
        "<logs>/draw_adversaries.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        tasks=[task for task, _ in drawn_models()],
        attacks=list(attack_kinds()),
        constraints=setting("constraints"),
        tss_index=tss_indices(),
        code=code("draw_adversaries"),
    script:
        "../scripts/draw_adversaries.py"


rule draw_interactive:
    input:
        attacks=attack_tables(),
        robust_accuracy="<results>/tables/robust_accuracy.csv",
        worst_case="<results>/tables/worst_case.csv",
    output:
        edit_explorer=interactive("edit_explorer", "Attacks", "Edit explorer"),
        robust_accuracy=interactive("robust_accuracy", "Attacks", "Robust accuracy"),
    log:
        "<logs>/draw_interactive.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        attacks=list(attack_kinds()),
        code=code("draw_interactive"),
    script:
        "../scripts/draw_interactive.py"


rule make_hardening_tables:
    input:
        rounds=of_defences("rounds.parquet"),
        outcomes=of_defences("outcomes.parquet"),
    output:
        hardening=csv_file("hardening", "Hardening", "Adversarial training"),
        hardening_page=page("hardening", "Hardening", "Adversarial training"),
        hardening_seeds=csv_file("hardening_seeds", "Hardening", "Over model seeds"),
        hardening_seeds_page=page("hardening_seeds", "Hardening", "Over model seeds"),
        verdict=csv_file("verdict", "Hardening", "Verdict"),
        verdict_page=page("verdict", "Hardening", "Verdict"),
        defence_attacks=csv_file("defence_attacks", "Hardening", "Under each attack"),
        defence_attacks_page=page("defence_attacks", "Hardening", "Under each attack"),
        published_claim=csv_file("published_claim", "Hardening", "The published claim"),
        published_claim_page=page("published_claim", "Hardening", "The published claim"),
        # Beside the benchmarks: tables hold no times, so that equal runs give equal tables.
        times=shown(
            "benchmarks/rounds.csv",
            "Speed",
            "Rounds of hardening",
            "CSV file",
            "round_times",
        ),
        times_page=shown(
            "benchmarks/rounds.html",
            "Speed",
            "Rounds of hardening",
            "table",
            "round_times",
        ),
    log:
        "<logs>/make_hardening_tables.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        names=config["run"]["defences"],
        verdict=defences.terms(config) if config["run"]["defences"] else {},
        # No input: who deletes old times wants no attack to be run again.
        benchmarks=folder_of("times"),
        code=code("make_hardening_tables"),
    script:
        "../scripts/make_hardening_tables.py"


rule draw_hardening:
    input:
        hardening="<results>/tables/hardening.csv",
        verdict="<results>/tables/verdict.csv",
    output:
        rounds=interactive("hardening_rounds", "Hardening", "Rounds"),
        summary=figure("hardening_summary", "Summary", None, "Hardening"),
        training_progress=figure("training_progress", "Training", None, "Hardening"),
        attack_effectiveness=figure(
            "attack_effectiveness", "Success rates", None, "Hardening"
        ),
        attack_difficulty=figure(
            "attack_difficulty", "Queries and edits", None, "Hardening"
        ),
        biological_plausibility=figure(
            "biological_plausibility", "Plausibility", None, "Hardening"
        ),
        perturbation_efficiency=figure(
            "perturbation_efficiency", "Drop per edit", None, "Hardening"
        ),
        model_robustness=figure(
            "model_robustness", "Robust accuracy", None, "Hardening"
        ),
    log:
        "<logs>/draw_hardening.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code("draw_hardening"),
    script:
        "../scripts/draw_hardening.py"


rule tell_findings:
    input:
        tables=told_tables(),
        metrics=of_baselines("metrics.json") + of_models("metrics.json"),
        attacks=attack_tables(),
    output:
        findings="<results>/tables/findings.csv",
        front_page="<results>/front_page.html",
    log:
        "<logs>/tell_findings.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # The report knows its files by the paths they have here.
        folder=folder_of("front_page"),
        seeds=seeds_by_purpose(),
        kinds=attack_kinds(),
        code=code("tell_findings"),
    script:
        "../scripts/tell_findings.py"


rule sum_up_times:
    input:
        # What is made of all that lasts, so that it is over.
        tables=told_tables(),
    output:
        jobs=shown("benchmarks/jobs.csv", "Speed", "All jobs", "CSV file", "jobs"),
        jobs_page=shown("benchmarks/jobs.html", "Speed", "All jobs", "table", "jobs"),
        # Beside the times: of what lies elsewhere, equal runs make equal files.
        figure=shown("benchmarks/jobs.svg", "Speed", "All jobs", "figure", "job_times"),
    log:
        "<logs>/sum_up_times.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # No input: who deletes old times wants no job to be run again.
        benchmarks=folder_of("jobs"),
        code=code("sum_up_times"),
    script:
        "../scripts/sum_up_times.py"
