"""Several networks as one."""

from cnnzoo.ensemble.ensemble import Ensemble, Judgement

__all__ = ["Ensemble", "Judgement"]
