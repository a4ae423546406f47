"""Several networks as one."""

from cnnzoo.ensemble.ensemble import Ensemble, EnsembleEvaluation

__all__ = ["Ensemble", "EnsembleEvaluation"]
