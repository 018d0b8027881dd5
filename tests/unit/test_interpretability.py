"""What attacks change against chance: planted effects are found, chance is called chance."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from genosiege.errors import InputError
from genosiege.sequence import interpretability, motifs, shuffles, site_changes
from genosiege.sequence.constraints import Constraints, is_transition
from genosiege.sequence.draws import Draws
from genosiege.sequence.interpretability import interpretability_table
from genosiege.sequence.results import AttackResult, ModelResult

LENGTH = 120
TSS = 80
SOFT = {"transitions": {"mode": "soft", "weight": 0.7}}


def random_sequence(generator: np.random.Generator, length: int = LENGTH) -> str:
    return "".join(generator.choice(list("ACGT"), length))


def edit_string(original: str, edits: dict[int, str]) -> str:
    return ";".join(f"{place}:{original[place]}>{edits[place]}" for place in sorted(edits))


def result(
    originals: list[str], edits: list[dict[int, str]], attack: str = "genetic", seed: int = 0
) -> AttackResult:
    """Make an attack table in which every edited sequence is a success."""
    rows = pd.DataFrame(
        {
            "attack_seed": 0,
            "id": [f"test:{number}" for number in range(len(originals))],
            "original": originals,
            "edits": [edit_string(*pair) for pair in zip(originals, edits, strict=True)],
            "n_edits": [len(found) for found in edits],
            "correct_before": True,
            "success_flip": [bool(found) for found in edits],
        }
    )
    return AttackResult("prom", "cnn", seed, "baseline", attack, "test", rows, 0)


def random_edits(
    original: str, k: int, generator: np.random.Generator, transition_share: float
) -> dict[int, str]:
    rules = Constraints(transitions="soft", transition_weight=transition_share).bind(original)
    places = generator.choice(len(original), k, replace=False)
    draws = Draws(generator)
    return {int(p): rules.propose_base(int(p), draws) for p in places}


def chance_result(seed: int, share: float = 0.7, **names: Any) -> AttackResult:
    generator = np.random.default_rng(seed)
    originals = [random_sequence(generator) for _ in range(80)]
    edits = [
        random_edits(text, 1 + number % 4, generator, share)
        for number, text in enumerate(originals)
    ]
    return result(originals, edits, **names)


def table_of(*results: AttackResult, **options: Any) -> pd.DataFrame:
    settings: dict[str, Any] = {
        "certificates": [], "tss_index": {"prom": TSS}, "constraints": SOFT,
        "kinds": {"genetic": "genetic", "greedy": "greedy"},
    }  # fmt: skip
    return interpretability_table(results, **settings | options)


def certificate(
    importance: dict[str, np.ndarray],
    task: str = "prom",
    encoder: str = "cnn",
    seed: int = 0,
    stage: str = "baseline",
) -> ModelResult:
    """Make a certificate, with rows of two edits, which hold no importance."""
    single = pd.DataFrame({"id": list(importance), "k": 1, "importance": importance.values()})
    double = single.assign(k=2, importance=[[]] * len(single))
    return ModelResult(task, encoder, seed, stage, "", pd.concat([single, double]))


def level(table: pd.DataFrame, feature: str, name: str) -> pd.Series:
    (row,) = [
        row for _, row in table.iterrows() if (row["feature"], row["level"]) == (feature, name)
    ]
    return row


@pytest.fixture(autouse=True)
def few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpretability, "N_SHUFFLES", 300)


def planted_result() -> AttackResult:
    """Make edits at G of the ten bases from the TSS on: transversions G>C, three of four."""
    generator = np.random.default_rng(3)
    originals, edits = [], []
    for number in range(80):
        # The planted windows are all G, the rest has a quarter of each base.
        text = random_sequence(generator, TSS) + "G" * 10 + random_sequence(generator, 30)
        inside = number % 4 != 0
        place = TSS + int(generator.integers(10)) if inside else text.index("A")
        originals.append(text)
        edits.append({place: "C" if inside else "G"})
    return result(originals, edits)


def test_planted_enrichment_of_places_and_bases_is_found_with_its_fold() -> None:
    table = table_of(planted_result())

    place = level(table, "position", "0..9")
    base = level(table, "substitution", "G>C")
    transition = level(table, "transition", "share")
    # 60 of 80 edits in one twelfth of the positions, where chance puts 80 / 12.
    assert place["observed"] == 60 and place["fold"] == pytest.approx(60 / (80 / 12))
    assert place["low"] > place["null_high"] > 1
    # Chance hits a G at a share of 10/120 + 110/120/4, then makes a C at (1 - .7) / 2.
    expected = 80 * (10 / 120 + 110 / 480) * 0.15
    assert base["observed"] == 60
    assert base["expected"] == pytest.approx(expected, rel=0.08)
    assert base["low"] > 5 and base["null_high"] < 3
    assert transition["observed"] == pytest.approx(20 / 80)
    assert transition["expected"] == pytest.approx(0.7, abs=0.02)
    assert transition["fold"] == pytest.approx(0.25 / 0.7, rel=0.03)
    assert transition["high"] < transition["null_low"]


def test_of_random_edits_one_level_in_twenty_is_called_unusual() -> None:
    outside, uncovered = [], []
    for seed in range(12):
        table = table_of(chance_result(seed))
        # Counts of a few events are too coarse for five percent.
        table = table[table["expected"].gt(5) | table["feature"].eq("transition")]
        outside.append((table["fold"] < table["null_low"]) | (table["fold"] > table["null_high"]))
        uncovered.append((table["low"] > 1) | (table["high"] < 1))

    assert 0.015 < np.concatenate(outside).mean() < 0.085
    assert np.concatenate(uncovered).mean() < 0.12


def test_models_that_find_the_same_edits_do_not_narrow_the_band() -> None:
    once = chance_result(5)
    copies = [once._replace(seed=seed) for seed in range(4)]

    def width(table: pd.DataFrame) -> float:
        row = level(table, "transition", "share")
        return float(row["null_high"] - row["null_low"])

    assert width(table_of(*copies)) == pytest.approx(width(table_of(once)), rel=0.25)


@pytest.mark.parametrize(
    ("attack", "rules", "expected"),
    [
        ("genetic", SOFT, 0.7),
        ("genetic", {}, 1 / 3),
        ("greedy", SOFT, 1 / 3),
        ("greedy", {"transitions": {"mode": "hard"}}, 1.0),
        ("other", SOFT, 0.5),
    ],
)
def test_chance_proposes_transitions_as_the_attack_does(
    attack: str, rules: dict[str, Any], expected: float
) -> None:
    generator = np.random.default_rng(8)
    originals = [random_sequence(generator) for _ in range(100)]
    edits = [{5: "AG"[text[5] == "A"]} if text[5] in "AG" else {5: "A"} for text in originals]
    found = result(originals, edits, attack=attack)
    share = np.mean(
        [is_transition(text[5], edit[5]) for text, edit in zip(originals, edits, strict=True)]
    )

    row = level(table_of(found, constraints=rules), "transition", "share")

    assert row["expected"] == pytest.approx(share if attack == "other" else expected, abs=0.02)


def test_sites_lost_and_created_are_those_of_hand_made_sequences() -> None:
    originals = [
        "GGGG" + "CCAAT" + "GGGGG",  # CCAAT broken by two edits: one site
        "GGGG" + "CCTAT" + "GGGGG",  # and made
        "GGGG" + "ATTGG" + "GGGGG",  # on the other strand, broken
        "GGGG" + "CCAAT" + "GGGGG",  # edited beside the site
        "CCAATCCAAT" + "GGGG",  # both broken
        "GGGG" + "CCNAT" + "GGGGG",  # N is no base, so nothing is made
    ]
    edits = [{4: "A", 5: "A"}, {6: "A"}, {7: "A"}, {2: "A"}, {0: "T", 7: "T"}, {5: "A"}]

    found = table_of(result(originals, edits), tss_index={})

    assert level(found, "motif_lost", "ccaat_box")["observed"] == 4
    assert level(found, "motif_created", "ccaat_box")["observed"] == 1
    assert "initiator" not in set(found["level"])


def test_site_changes_equal_a_scan_of_original_and_adversary(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    matrix = tmp_path / "m.jaspar"
    matrix.write_text(">M1 wide\nA [8 0 0 2]\nC [0 9 1 2]\nG [1 0 9 2]\nT [1 1 0 4]\n")
    looked_for = [
        *motifs.known_motifs(tuple(motifs.KNOWN)),
        *motifs.jaspar_motifs(str(matrix), 0.8),
    ]
    originals = [random_sequence(generator) for _ in range(150)]
    edits = [random_edits(text, 12, generator, 0.5) for text in originals]
    found = shuffles.edited(result(originals, edits).rows, Constraints())
    changes = site_changes.SiteChanges(found.codes[found.sequence], looked_for, TSS)

    lost, created = changes.count(found.row, found.position, found.new)

    def scan(text: str) -> set[tuple[str, int, bytes]]:
        sites = motifs.find_sites(text, looked_for, TSS)
        return {(site.name, site.start, site.scores.tobytes()) for site in sites}

    for i, (text, changed) in enumerate(zip(originals, edits, strict=True)):
        after = scan("".join(changed.get(p, base) for p, base in enumerate(text)))
        for j, name in enumerate(changes.names):
            gone, made = scan(text) - after, after - scan(text)
            assert lost[i, j] == sum(site[0] == name for site in gone)
            assert created[i, j] == sum(site[0] == name for site in made)
    assert lost.sum() > 100 and created.sum() > 100


def test_agreement_is_the_auroc_and_the_share_among_the_top_positions() -> None:
    found = chance_result(6)
    generator = np.random.default_rng(1)
    # Rounded, so that there are ties.
    importance = {name: generator.random(LENGTH).round(1) for name in found.rows["id"]}
    edited = found.rows["edits"].map(lambda text: [int(e.split(":")[0]) for e in text.split(";")])
    aurocs = [
        roc_auc_score(np.isin(np.arange(LENGTH), places), importance[name])
        for name, places in zip(found.rows["id"], edited, strict=True)
    ]

    table = table_of(found, certificates=[certificate(importance)])

    row = level(table, "mutagenesis_agreement", "auroc")
    assert row["observed"] == pytest.approx(np.mean(aurocs))
    assert row["n"] == 80 and row["null_low"] < 0.5 < row["null_high"]
    assert row["expected"] == pytest.approx(0.5, abs=0.01)
    assert row["low"] < row["observed"] < row["high"]
    top = level(table, "mutagenesis_agreement", "top_decile")
    assert top["expected"] == pytest.approx(0.1, abs=0.01)
    assert top["n"] == sum(map(len, edited))


def test_edits_that_only_keep_a_hard_rule_agree_with_nothing() -> None:
    # Importance is 0 where the rule forbids all; chance must not be allowed there either.
    generator = np.random.default_rng(0)
    box = {"motifs": {"mode": "hard", "known": ["ccaat_box"]}}
    originals, edits, importance = [], [], {}
    for number in range(150):
        text = random_sequence(generator)
        text = text[:10] + "CCAAT" * 4 + text[30:]
        rules = Constraints.from_config(box).bind(text)
        moves = [{int(p): b} for p in rules.positions for b in "ACGT" if rules.allows({p: b})]
        allowed = sorted({place for move in moves for place in move})
        originals.append(text)
        edits.append(moves[generator.integers(len(moves))])
        importance[f"test:{number}"] = np.zeros(len(text))
        importance[f"test:{number}"][allowed] = generator.random(len(allowed))

    table = interpretability_table(
        [result(originals, edits, "random")], [certificate(importance)],
        tss_index={}, constraints=box, kinds={"random": "random"},
    )  # fmt: skip

    auroc = level(table, "mutagenesis_agreement", "auroc")
    assert auroc["low"] < 0.5 < auroc["high"]
    assert auroc["null_low"] < auroc["observed"] < auroc["null_high"]


def test_edits_at_the_important_positions_agree_perfectly() -> None:
    found = planted_result()
    importance = {
        name: np.isin(np.arange(LENGTH), [int(text.split(":")[0])]).astype(float)
        for name, text in zip(found.rows["id"], found.rows["edits"], strict=True)
    }

    table = table_of(found, certificates=[certificate(importance)])

    assert level(table, "mutagenesis_agreement", "auroc")["observed"] == 1
    top = level(table, "mutagenesis_agreement", "top_decile")
    assert top["observed"] == 1 and top["fold"] == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("model", [("prom", "cnn", 1, "baseline"), ("prom", "hf", 0, "baseline")])
def test_another_models_importance_is_not_compared(model: tuple[str, str, int, str]) -> None:
    found = chance_result(6)
    importance = {name: np.ones(LENGTH) for name in found.rows["id"]}

    table = table_of(found, certificates=[certificate(importance, *model)])

    assert "mutagenesis_agreement" not in set(table["feature"])


def test_what_never_happened_has_no_certain_interval() -> None:
    found = result(["ACGT" * 30] * 2, [{0: "G"}, {4: "G"}])

    row = level(table_of(found), "substitution", "C>T")

    assert row["observed"] == row["fold"] == row["low"] == 0
    assert row["high"] == pytest.approx(-np.log(0.025) / row["expected"], rel=1e-3)


def test_equal_input_gives_equal_tables_whatever_stands_beside_it() -> None:
    one, other = chance_result(1), chance_result(2, attack="greedy")

    alone, beside = table_of(one), table_of(other, one)

    beside = beside[beside["attack"] == "genetic"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, beside, check_exact=True)


def test_nothing_is_said_of_an_attack_without_success() -> None:
    table = table_of(result(["ACGT" * 30], [{}]))

    assert table.empty and list(table) == interpretability.COLUMNS


def test_shuffles_keep_the_numbers_the_mask_and_what_rows_share() -> None:
    generator = np.random.default_rng(2)
    text = random_sequence(generator)
    edits = [{10: "N"}, {10: "N", 12: "N"}, {15: "N", 19: "N", 11: "N"}]
    edits = [{p: "ACGT"["ACGT".index(text[p]) ^ 2] for p in places} for places in edits]
    rows = result([text] * 3, edits).rows.assign(id=["a", "a", "b"])
    rules = Constraints(edit_mask="hard", editable=((10, 20),))
    found = shuffles.edited(rows, rules)

    seen = set()
    for position, new in shuffles.shuffled(found, 0.5, 200, generator):
        assert ((position >= 10) & (position < 20)).all()
        assert (new != found.codes[0, position]).all()
        # The first two rows share their first edit; within a row all places differ.
        assert position[0] == position[1] != position[2] and new[0] == new[1]
        assert len(set(position[3:])) == 3
        seen |= set(position)
    assert seen == set(range(10, 20))


def test_samples_without_replacement_are_distinct_and_uniform() -> None:
    drawn = shuffles.distinct(np.array([4, 6]), 4, 6000, np.random.default_rng(0))

    for sample, size in ((drawn[:, 0], 4), (drawn[:, 1], 6)):
        assert all(len(set(row)) == 4 for row in sample[:500])
        for place in range(4):
            counts = np.bincount(sample[:, place], minlength=size)
            assert len(counts) == size
            assert np.abs(counts / 6000 * size - 1).max() < 0.12


def test_the_caption_defines_every_column_and_feature() -> None:
    caption = (Path(__file__).parents[2] / "workflow/report/interpretability.rst").read_text()
    found = chance_result(6)
    importance = {name: np.arange(LENGTH, dtype=float) for name in found.rows["id"]}

    table = table_of(found, certificates=[certificate(importance)])

    named = [*table, *table["feature"].unique(), "share", "top_decile", "auroc"]
    assert [name for name in named if f"``{name}``" not in caption] == []


def test_a_certificate_without_importance_is_refused() -> None:
    without = certificate({"test:0": np.ones(LENGTH)})
    without = without._replace(rows=without.rows.drop(columns="importance"))

    with pytest.raises(InputError, match="importance of its certificate is missing"):
        table_of(chance_result(1), certificates=[without])
