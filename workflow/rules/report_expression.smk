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
        code=code("make_expression_tables"),
    output:
        expression_data=csv_file("expression_data", "Expression", "What the data hold"),
        expression_data_page=page("expression_data", "Expression", "What the data hold"),
        expression_models=csv_file("expression_models", "Expression", "Each model"),
        expression_models_page=page("expression_models", "Expression", "Each model"),
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
    script:
        "../scripts/make_expression_tables.py"
