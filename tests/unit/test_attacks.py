"""Attacks are found by their catalogue entry, with the defaults the schema documents."""

from dataclasses import fields

import pytest
import yaml

from genosiege.errors import InputError
from genosiege.sequence import attacks


@pytest.fixture
def schema(repository):
    text = (repository / "workflow/schemas/attack.schema.yaml").read_text()
    return yaml.safe_load(text)["$defs"]


def minimal(kind):
    """An entry with what its kind cannot do without."""
    return {"kind": kind} | ({"path": "variants.vcf"} if kind == "variants" else {})


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_a_kind_is_loaded_with_its_options(kind):
    attack = attacks.load(minimal(kind) | {"max_edits": 7})
    assert attack.search.__module__ == f"genosiege.sequence.attacks.{kind}"
    assert attack.options.max_edits == 7
    assert attack.options.query_budget == 10_000


@pytest.mark.parametrize("entry", [{}, {"kind": "sparse"}, {"kind": "../x"}, {"kind": "blind"}])
def test_an_unknown_kind_lists_what_exists(entry):
    with pytest.raises(InputError, match="genetic, gradient, greedy, natural, published, random"):
        attacks.load(entry)


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_an_unknown_option_lists_what_exists(kind):
    with pytest.raises(InputError, match=r'"temperature".*max_edits.*query_budget'):
        attacks.load(minimal(kind) | {"temperature": 1})


def test_a_missing_option_is_named():
    with pytest.raises(InputError, match=r'variants, option "path": it is missing'):
        attacks.load({"kind": "variants"})


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_a_size_below_one_is_refused_by_name(kind):
    options = attacks.load(minimal(kind)).options
    sizes = [f.name for f in fields(options) if type(getattr(options, f.name)) is int]
    assert {"max_edits", "query_budget"} <= set(sizes)
    for name in sizes:
        with pytest.raises(InputError, match=f"{kind}, {name} 0: give 1 or more"):
            attacks.load(minimal(kind) | {name: 0})


@pytest.mark.parametrize(
    ("kind", "name"),
    [("genetic", "crossover"), ("published", "mutation"), ("natural", "transition_share")],
)
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_a_probability_out_of_range_is_refused_by_name(kind, name, value):
    with pytest.raises(InputError, match=f"{kind}, {name} {value}: give a probability"):
        attacks.load({"kind": kind, name: value})


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_the_schema_offers_the_librarys_options_and_no_other(schema, kind):
    known = {field.name for field in fields(attacks.load(minimal(kind)).options)}
    offered = set(schema[kind]["properties"]) - {"kind"}
    # Whether the search stops at success is for experiments in Python.
    assert known - {"stop_at_success"} == offered


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_the_schemas_defaults_are_the_librarys(schema, kind):
    options = attacks.load(minimal(kind)).options
    documented = {
        name: entry["default"]
        for name, entry in schema[kind]["properties"].items()
        if "default" in entry and name != "weights"
    }
    assert documented
    assert documented == {name: getattr(options, name) for name in documented}


def test_the_schemas_default_weights_are_the_librarys(schema):
    weights = schema["genetic"]["properties"]["weights"]["properties"]
    defaults = {name: entry["default"] for name, entry in weights.items()}
    assert defaults == attacks.load({"kind": "genetic"}).options.weights


def test_entries_of_the_catalogue_load(repository):
    catalogue = yaml.safe_load((repository / "config/config.yaml").read_text())["attacks"]
    searches = [entry for entry in catalogue.values() if entry["kind"] in attacks.KINDS]
    assert searches
    for entry in searches:
        assert attacks.load(entry).options
