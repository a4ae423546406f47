"""Transfer learning: where to cut a network, what to freeze, and how well that works."""

from cnnzoo.system.runtime import import_keras

import_keras()

from cnnzoo.transfer.assessment import Assessment
from cnnzoo.transfer.cases import plan, prepare
from cnnzoo.transfer.comparison import Comparison, compare
from cnnzoo.transfer.cut_points import Cut, cuts
from cnnzoo.transfer.evidence import Evidence
from cnnzoo.transfer.features.cache import FeatureCache
from cnnzoo.transfer.fitting import fit
from cnnzoo.transfer.freezing import FreezeReport, check_frozen, freeze, unfreeze
from cnnzoo.transfer.measurement import assess
from cnnzoo.transfer.plan_race import Race, race
from cnnzoo.transfer.plans import Phase, Plan
from cnnzoo.transfer.refitting import kfold
from cnnzoo.transfer.report import SavedResults, save_results
from cnnzoo.transfer.results import PhaseResult, Result

__all__ = [
    "Assessment",
    "Comparison",
    "Cut",
    "Evidence",
    "FeatureCache",
    "FreezeReport",
    "Phase",
    "PhaseResult",
    "Plan",
    "Race",
    "Result",
    "SavedResults",
    "assess",
    "check_frozen",
    "compare",
    "cuts",
    "fit",
    "freeze",
    "kfold",
    "plan",
    "prepare",
    "race",
    "save_results",
    "unfreeze",
]
