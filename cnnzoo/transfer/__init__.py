"""Transfer learning: where to cut a network, what to freeze, and what that is worth."""

from cnnzoo.transfer.assess import assess
from cnnzoo.transfer.assessment import Assessment
from cnnzoo.transfer.cuts import Cut, cuts
from cnnzoo.transfer.evidence import Evidence
from cnnzoo.transfer.features import FeatureCache
from cnnzoo.transfer.fit import fit
from cnnzoo.transfer.freeze import FreezeReport, check_frozen, freeze, unfreeze
from cnnzoo.transfer.phase import Phase, Plan
from cnnzoo.transfer.plan import plan
from cnnzoo.transfer.race import Race, race
from cnnzoo.transfer.result import Done, Result

__all__ = [
    "Assessment",
    "Cut",
    "Done",
    "Evidence",
    "FeatureCache",
    "FreezeReport",
    "Phase",
    "Plan",
    "Race",
    "Result",
    "assess",
    "check_frozen",
    "cuts",
    "fit",
    "freeze",
    "plan",
    "race",
    "unfreeze",
]
