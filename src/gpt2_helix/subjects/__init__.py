"""Where a model comes from, what tensors it has, and their digests."""

from gpt2_helix.subjects.errors import HubUnreachableError, MissingTensorError, SubjectError
from gpt2_helix.subjects.source import open_subject
from gpt2_helix.subjects.subject import LiveSubject, RecordedSubject, Subject

__all__ = [
    "HubUnreachableError",
    "LiveSubject",
    "MissingTensorError",
    "RecordedSubject",
    "Subject",
    "SubjectError",
    "open_subject",
]
