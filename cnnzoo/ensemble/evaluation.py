"""Results of an ensemble on labelled images."""

from dataclasses import dataclass

from cnnzoo.evaluation import Evaluation


@dataclass(frozen=True)
class EnsembleEvaluation:
    """Results of an ensemble and its members on labelled images.

    Attributes:
        whole: Evaluation of the ensemble.
        members: Evaluation of each member alone.
        without: Accuracy of the ensemble without each member, 0 to 1; None if all others
            have the weight 0, and for a single member or "stack".
        names: Names of the members.
    """

    whole: Evaluation
    members: tuple[Evaluation, ...]
    without: tuple[float | None, ...]
    names: tuple[str, ...]

    def to_dict(self) -> dict:
        """The metrics, for JSON."""
        rows = zip(self.names, self.members, self.without, strict=True)
        members = [
            {
                "name": name,
                "errors": member.errors,
                "accuracy": member.accuracy,
                "accuracy_without": without,
            }
            for name, member, without in rows
        ]
        return {**self.whole.to_dict(), "members": members}
