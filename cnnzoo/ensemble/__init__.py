"""Ensembles: several networks whose probabilities are combined."""

from cnnzoo.ensemble.ensemble import Ensemble, EnsembleEvaluation

__all__ = ["Ensemble", "EnsembleEvaluation"]
