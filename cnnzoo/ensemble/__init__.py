"""Ensembles: several networks whose probabilities are combined."""

from cnnzoo.ensemble.ensemble import Ensemble
from cnnzoo.ensemble.evaluation import EnsembleEvaluation

__all__ = ["Ensemble", "EnsembleEvaluation"]
