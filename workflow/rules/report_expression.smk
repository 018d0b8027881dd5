"""What people read of the expression arm."""


rule make_expression_tables:
    input:
        cards=of_datasets("card.json"),
        metrics=of_models("metrics.json"),
        descriptions=of_models("model.json"),
        importance=of_models("importance.parquet"),
        fimba=of_models("fimba.parquet"),
        smallest_k=of_models("smallest_k.parquet"),
        vaes=vaes_run(),
        evasion=evasions_run(),
        poisoning=poisonings_run(),
        hardening=hardenings_run(),
        comparison=comparisons_run(),
    output:
        expression_data=csv_file("expression_data", "Expression", "What the data hold"),
        expression_data_page=page("expression_data", "Expression", "What the data hold"),
        expression_models=csv_file("expression_models", "Expression", "Each model"),
        expression_models_page=page("expression_models", "Expression", "Each model"),
        expression_seeds=csv_file("expression_seeds", "Expression", "Over seeds"),
        expression_seeds_page=page("expression_seeds", "Expression", "Over seeds"),
        importance=csv_file("importance", "Expression", "What models look at"),
        importance_page=page("importance", "Expression", "What models look at"),
        fimba=csv_file("fimba", "Expression", "FIMBA"),
        fimba_page=page("fimba", "Expression", "FIMBA"),
        smallest_k=csv_file("smallest_k", "Expression", "Fewest genes to flip"),
        smallest_k_page=page("smallest_k", "Expression", "Fewest genes to flip"),
        vae=csv_file("vae", "Expression", "Autoencoders"),
        vae_page=page("vae", "Expression", "Autoencoders"),
        ablation=csv_file("ablation", "Expression", "Ablation"),
        ablation_page=page("ablation", "Expression", "Ablation"),
        poisoning=csv_file("poisoning", "Expression", "Poisoning"),
        poisoning_page=page("poisoning", "Expression", "Poisoning"),
        expression_hardening=csv_file(
            "expression_hardening", "Expression", "Adversarial training"
        ),
        expression_hardening_page=page(
            "expression_hardening", "Expression", "Adversarial training"
        ),
        comparison=csv_file("comparison", "Expression", "Beside other attacks"),
        comparison_page=page("comparison", "Expression", "Beside other attacks"),
    log:
        "<logs>/make_expression_tables.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        code=code("make_expression_tables"),
    script:
        "../scripts/make_expression_tables.py"


rule draw_expression_figures:
    input:
        cards=of_datasets("card.json"),
        smallest_k=of_models("smallest_k.parquet"),
        importance="<results>/tables/importance.csv",
        fimba="<results>/tables/fimba.csv",
        ablation="<results>/tables/ablation.csv",
        poisoning="<results>/tables/poisoning.csv",
        hardening="<results>/tables/expression_hardening.csv",
        comparison="<results>/tables/comparison.csv",
    output:
        fimba=expression_figure("fimba", "FIMBA", "fimba_curve"),
        smallest_k=expression_figure(
            "smallest_k", "Fewest genes to flip", "smallest_k_curve"
        ),
        ablation=expression_figure("ablation", "Ablation", "ablation_figure"),
        poisoning=expression_figure("poisoning", "Poisoning", "poisoning_figure"),
        hardening=expression_figure(
            "expression_hardening",
            "Adversarial training",
            "expression_hardening_figure",
        ),
        comparison=expression_figure(
            "comparison", "Beside other attacks", "comparison_figure"
        ),
        importance=expression_figure(
            "importance", "What models look at", "importance_overlap"
        ),
    log:
        "<logs>/draw_expression_figures.log",
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        code=code("draw_expression_figures"),
    script:
        "../scripts/draw_expression_figures.py"
