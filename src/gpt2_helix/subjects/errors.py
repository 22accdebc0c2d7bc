"""What can go wrong between a name and a model's tensors."""


class SubjectError(Exception):
    """The subject cannot be judged: one line saying what was expected and what was found."""


class HubUnreachableError(SubjectError):
    """The Hugging Face hub cannot be reached, and its cache does not hold what is needed."""


class MissingTensorError(Exception):
    """The subject is sound but does not hold what a measurement needs.

    Attributes
    ----------
    missing
        Names of the tensors (or of the heads) that are not there.
    """

    def __init__(self, missing: list[str], where: str) -> None:
        self.missing = missing
        super().__init__(f"{where} does not hold {', '.join(missing)}")
