"""Settings of labelling."""

from pydantic import Field

from mlops_ladder.strict_model import StrictModel


class Labels(StrictModel):
    """Which logged rows people label, and when their labels are learned from.

    `rows` wait in the queue, of the last `hours`.  A share `uncertain` are those that the model was
    least sure of, the others are random.  Each is labelled by so many `annotators`.  Their labels
    count if the agreement beyond chance reaches `agreement` (Landis and Koch, 1977, call 0.61 and
    more substantial).  Two numbers agree if they are at most `tolerance` standard deviations of the
    target apart.
    """

    hours: float = Field(default=168, gt=0)
    rows: int = Field(default=50, ge=1)
    uncertain: float = Field(default=0.5, ge=0, le=1)
    annotators: int = Field(default=2, ge=1)
    agreement: float = Field(default=0.61, ge=0, le=1)
    tolerance: float = Field(default=0.05, ge=0)
