"""Pages to look closer at hold the tables' numbers, all they need, and never vary."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from test_figures import attack_result

from genosiege.interactive import curves, edit_explorer, page
from genosiege.sequence import summaries, worst_case
from genosiege.sequence.results import AttackResult


@pytest.fixture
def results() -> list[AttackResult]:
    found = [attack_result(name, encoder) for encoder in ("cnn", "hf") for name in ("a", "genetic")]
    return [
        result._replace(rows=result.rows.assign(adversarial=result.rows["original"]))
        for result in found
    ]


def data_of(chart) -> pd.DataFrame:
    """Take the rows out of a chart, wherever altair has put them."""
    content = chart.to_dict()
    sets = list(content.get("datasets", {}).values())
    inline = re.findall(r'"values": (\[\{.*?\}\])', json.dumps(content))
    return pd.DataFrame(max(sets + [json.loads(found) for found in inline], key=len))


def test_the_explorer_has_every_attacked_run(results):
    rows = data_of(edit_explorer.chart(results, ["a", "genetic"]))

    assert len(rows) == sum(len(result.attacked) for result in results)
    assert set(rows["outcome"]) == {"flipped", "not flipped"}
    first = results[0].attacked.sort_values("id").iloc[0]
    assert rows.iloc[0]["p_true_after"] == pytest.approx(first["p_true_after"], abs=1e-4)


def test_of_many_runs_the_explorer_keeps_the_first(results):
    one = results[0]
    many = pd.concat(
        [one.rows.assign(id=[f"{n:03d}:{i}" for i in one.rows["id"]]) for n in range(10)]
    )

    rows = edit_explorer.points([one._replace(rows=many)])

    assert len(rows) == edit_explorer.MOST_RUNS
    assert rows["id"].max() < many["id"].max()


def test_the_explorer_takes_the_first_seed_alone(results):
    rows = edit_explorer.points([results[0], results[0]._replace(seed=3)])

    assert len(rows) == len(results[0].attacked)


def test_without_an_attack_the_pages_say_so():
    assert "no sequence was attacked" in json.dumps(edit_explorer.chart([], []).to_dict())
    empty = summaries.robust_accuracy_table([])
    drawn = curves.robustness(empty, worst_case.worst_case_table([]))
    assert "no attack was run" in json.dumps(drawn.to_dict())
    assert "no defence was run" in json.dumps(curves.rounds(pd.DataFrame()).to_dict())


def test_the_curve_has_the_tables_numbers_and_the_worst_case(results):
    table, worst = summaries.robust_accuracy_table(results), worst_case.worst_case_table(results)

    rows = data_of(curves.robustness(table, worst))

    assert set(rows["attack"]) == {"a", "genetic", curves.WORST}
    of_a = table[(table["attack"] == "a") & (table["encoder"] == "cnn")]
    shown = rows[(rows["attack"] == "a") & rows["model"].str.contains("cnn")]
    assert list(shown["value"]) == pytest.approx(list(of_a["robust_accuracy"]))


def test_twelve_attacks_and_the_worst_case_differ_in_each_property():
    found = [attack_result(f"attack{number:02d}") for number in range(12)]
    worst = worst_case.worst_case_table(found, [])

    chart = curves.robustness(summaries.robust_accuracy_table(found), worst).to_dict()

    layers = chart["layer"] if "layer" in chart else chart["vconcat"][0]["layer"]
    _, line, point = (layer["encoding"] for layer in layers)
    for encoding in (line["color"], line["strokeDash"], point["shape"]):
        scale = encoding["scale"]
        assert len(scale["domain"]) == 13
        assert len({json.dumps(way) for way in scale["range"]}) == 13
    # Fewer attacks are drawn as Vega-Lite draws them.
    assert point["shape"]["scale"]["range"][:3] == ["circle", "square", "cross"]


def test_rounds_have_their_own_denominators():
    place = {"task": "t", "encoder": "cnn", "seed": 0, "defence": "mixed", "round": 1}
    values = {f"{name}{end}": 0.5 for name in curves.MEASURES for end in ("", "_low", "_high")} | {
        "replay_flip_rate": np.nan
    }
    table = pd.DataFrame([place | values | {"n_test": 5920, "n_sequences": 500}])

    rows = data_of(curves.rounds(table))

    n = dict(zip(rows["measure"], rows["n_sequences"], strict=True))
    assert n["clean accuracy"] == 5920
    assert n["robust accuracy, fresh attack"] == 500
    # What was not measured is no point.
    assert len(rows) == len(curves.MEASURES) - 1


def test_a_page_asks_nothing_of_the_network_and_is_the_same_each_time(tmp_path, results):
    one, other = tmp_path / "one.html", tmp_path / "other.html"
    for path in (one, other):
        chart = edit_explorer.chart(results, ["a", "genetic"])
        page.write(chart, "Edits </script>", "Click & hover.", path)
    text = one.read_text()

    assert one.read_bytes() == other.read_bytes()
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=", markup)
    assert "<title>Edits &lt;/script&gt;</title>" in text
    assert text.count("</script>") == 2
