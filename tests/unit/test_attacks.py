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


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_a_kind_is_loaded_with_its_options(kind):
    attack = attacks.load({"kind": kind, "population": 7})
    assert attack.search.__module__ == f"genosiege.sequence.attacks.{kind}"
    assert attack.options.population == 7
    assert attack.options.query_budget == 10_000


@pytest.mark.parametrize("entry", [{}, {"kind": "greedy"}, {"kind": "sparse"}, {"kind": "../x"}])
def test_an_unknown_kind_lists_what_exists(entry):
    with pytest.raises(InputError, match="genetic, published"):
        attacks.load(entry)


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_an_unknown_option_lists_what_exists(kind):
    with pytest.raises(InputError, match=r'"temperature".*population.*query_budget'):
        attacks.load({"kind": kind, "temperature": 1})


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_the_schema_offers_the_librarys_options_and_no_other(schema, kind):
    known = {field.name for field in fields(attacks.load({"kind": kind}).options)}
    offered = set(schema[kind]["properties"]) - {"kind"}
    # Whether the search stops at success is for experiments in Python.
    assert known - {"stop_at_success"} == offered


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_the_schemas_defaults_are_the_librarys(schema, kind):
    options = attacks.load({"kind": kind}).options
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
    for entry in catalogue.values():
        assert attacks.load(entry).options
