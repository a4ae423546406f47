"""Plans: those of each case, changes by the caller, invalid ones."""

import json
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from transferring import TRAIN, VALIDATION, ZOOM

import cnnzoo
from cnnzoo import transfer
from cnnzoo.transfer import Phase, Plan, fit, plan
from cnnzoo.transfer.assessment import NAMES


@pytest.mark.parametrize(
    ("case", "phases"), [(1, ["head"]), (2, ["head", "whole"]), (4, ["head", "whole"])]
)
def test_the_plan_of_a_case(case: int, phases: list[str]):
    found = plan(case)
    assert json.dumps(found.to_dict()) == json.dumps(
        plan(cast(int, np.int64(case))).to_dict()
    )
    assert [phase.name for phase in found.phases] == phases
    assert found.phases[0].cached
    assert found.phases[0].ridge_init
    text = str(found)
    assert text.startswith(f"case {case}, {NAMES[case]}: ")
    assert len(text.splitlines()) == 1 + len(phases)
    whole = found.phases[-1]
    if case == 2:
        assert (whole.norm, whole.layer_decay, whole.rates[0]) == ("affine", 0.9, 1e-4)
        assert "mixup 0.1" in text
    if case == 4:
        assert (whole.norm, whole.layer_decay, whole.rates[0]) == ("train", None, 3e-4)


def test_a_plan_can_be_changed():
    found = plan(3, cut="stage1_pool", refine="images", norm="affine")
    found.phases[-1].learning_rate = 2e-5
    assert "frozen up to images, adam at 2e-05" in str(found)
    assert "batch normalization affine" in str(found)
    assert "kept if better by a standard error" in str(found)
    assert plan(4, init="random").phases[0].until is None
    assert [p.name for p in plan(4, init="random").phases] == ["whole"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "pass one of the two"),
        ({"case": 1, "freeze": "all"}, "pass one of the two"),
        ({"case": 5}, "cannot plan case 5: expected 1 to 4"),
        ({"case": True}, "cannot plan case True: expected"),
        ({"case": 1, "views": 0}, "views=0: expected a whole number"),
        ({"case": 3}, "pass cut=, or an assessment"),
        ({"case": 3, "refine": True}, "pass cut=, or an assessment"),
        ({"case": 1, "init": "random", "refine": True}, "random ones are not"),
        ({"case": 1, "refine": True}, "pass refine=NAME"),
        ({"case": 1, "init": "random"}, "random ones are not"),
        ({"case": "all-cuts", "cut": "x"}, "leave cut, refine, init, norm out"),
        ({"case": "all-cuts", "refine": True}, "leave cut, refine, init, norm out"),
    ],
)
def test_invalid_plans(arguments: dict, message: str):
    with pytest.raises(cnnzoo.UsageError, match=message):
        plan(**arguments)


def test_an_assessment_with_another_case(source):
    found = transfer.assess(source, TRAIN)
    *earlier, last = found.cuts
    assert found.taken_as(found.case) == found
    assert plan(found.taken_as(1)).cut == last.name
    best = max(earlier, key=lambda row: row.accuracy)
    other = replace(found, case=1, measured=None).taken_as(3)
    assert (plan(other).case, plan(other).cut) == (3, best.name)
    assert plan(other).pooling == best.pooling
    assert "case 3, small and different, by choice; measured: case 1" in other.explain()
    assert found.taken_as(2).small is False
    assert found.picture().startswith(b"\x89PNG")


def test_views_need_cached_features():
    frozen, whole = plan(1, views=4, augment=ZOOM), plan(2, views=4)
    assert [(p.views, p.augment) for p in frozen.phases] == [(4, ZOOM)]
    assert [p.views for p in whole.phases] == [4, 1]
    assert [p.augment for p in plan(1, augment=ZOOM).phases] == [None]


def test_requested_options_are_used(source):
    found = replace(transfer.assess(source, TRAIN), case=1, few_shots=True)
    few = found.taken_as(3)
    assert [p.name for p in plan(few, refine=True).phases] == ["head"]
    assert [p.name for p in plan(few, refine="images").phases] == ["head", "refine"]
    several = tuple(row.name for row in found.cuts)
    assert [p.name for p in plan(1, cut=several).phases] == ["head"]
    with pytest.raises(cnnzoo.UsageError, match="cannot refine from 'images' a class"):
        plan(1, cut=several, refine="images")
    assert plan(2, init="random").phases[0].layer_decay is None


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (Phase(name="x", cached=True), "nothing is frozen; set until="),
        (
            Phase(name="x", cached=True, until="features", augment=ZOOM),
            "views=1 and augment",
        ),
        (
            Phase(name="x", cached=True, until="features", views=3),
            "views=3 and",
        ),
        (Phase(name="x", ridge_init=True), "ridge_init takes the cached inputs"),
        (Phase(name="x", until=99), "the first 99 layers"),
        (Phase(name="x", until=True), "until=True: expected the name"),
        (Phase(name="x", until="predictions"), "nothing is trained"),
        (Phase(name="x", views=0), "views=0: expected a whole number"),
        (Phase(name="x", views=3), "set cached=True, or views=1"),
        (Phase(name=cast(Any, 3)), "expected a name that a folder can have"),
        (Phase(name="x", optimizer="adamm"), "optimizer='adamm': expected a name"),
        (Phase(name="x", optimizer=cast(Any, None)), "optimizer=None: expected a name"),
        (Phase(name="x", momentum=0.9), "is for the optimizer sgd"),
        (Phase(name="x", augment=cast(Any, "flip")), "expected an Augment"),
        (Phase(name="a/../../b"), "expected a name that a folder can have"),
        (Phase(name=""), "expected a name that a folder can have"),
        (Phase(name="x", norm=cast(Any, "bogus")), "norm='bogus': expected one of"),
        (Phase(name="x", learning_rate=(1e-3, -1.0)), "learning_rate=-1.0"),
        (Phase(name="x", learning_rate=(1e-3, np.nan)), "learning_rate=nan"),
        (
            Phase(name="x", cached=True, until="features", frozen_norm="affine"),
            "would change cached features",
        ),
        (
            Phase(name="x", cached=True, until="features", mixup=0.1),
            "mixup=0.1 blends",
        ),
        (Phase(name="x", mixup=0.1, class_weights="balanced"), "images of two"),
        (Phase(name="x", adapt_batch_norm=True), "adapt_batch_norm serves cached"),
        (Phase(name="x", learning_rate=()), "or several numbers to choose from"),
        (Phase(name="x", until="stage9"), "unknown layer 'stage9'"),
    ],
)
def test_invalid_phases(phase: Phase, message: str, source):
    with pytest.raises(cnnzoo.UsageError, match=message):
        fit(source, TRAIN, VALIDATION, Plan(phases=[phase]))


def test_unknown_initialisations(source):
    """Any other name would reinitialise all weights."""
    begin: Any = "pretraned"
    with pytest.raises(cnnzoo.UsageError, match="did you mean 'pretrained'"):
        plan(2, init=begin)
    made = plan(1)
    made.init = begin
    with pytest.raises(cnnzoo.UsageError, match="did you mean 'pretrained'"):
        fit(source, TRAIN, VALIDATION, made)
