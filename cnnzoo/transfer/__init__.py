"""Transfer learning: where to cut a network, what to freeze, and what that is worth."""

from cnnzoo.transfer.assess import assess
from cnnzoo.transfer.cuts import Cut, cuts
from cnnzoo.transfer.evidence import Assessment, Evidence
from cnnzoo.transfer.freeze import FreezeReport, check_frozen, freeze, unfreeze

__all__ = [
    "Assessment",
    "Cut",
    "Evidence",
    "FreezeReport",
    "assess",
    "check_frozen",
    "cuts",
    "freeze",
    "unfreeze",
]
