"""Small models for tests: one group, and the rules that matter."""

from typing import Any

from scorers import crossing
from scorers.compiled import CompiledModel, compile_model
from scorers.compiled_rules import CompiledRule
from scorers.model import Model

CLICK = {"event": "Offer Clicked"}

COMPILED = not str(crossing.__file__).endswith(".py")
"""Whether the core runs as `make native` compiles it: then nothing can be patched."""


def text_of(*rules: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Return a model's data with these rules in one group; `given` overrides."""
    group = {"cap": given.pop("cap", 100.0), "rules": list(rules)}
    for key in ("floor", "decay"):
        if key in given:
            group[key] = given.pop(key)
    return {"model": "small", "version": "1", "groups": {"web": group}, **given}


def model_of(*rules: dict[str, Any], **given: Any) -> CompiledModel:
    """Return such a model, ready to run."""
    return compile_model(Model.model_validate(text_of(*rules, **given)))


def rule_of(**given: Any) -> CompiledRule:
    """Return one rule on clicks that gives a point, unless told otherwise."""
    rule = {"name": "rule", "points": 1.0, **given}
    if not {"absence", "silence", "where"} & set(given):
        rule.setdefault("when", CLICK)
    return model_of(rule).rules[0]
