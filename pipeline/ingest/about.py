"""What a header says of an image in words: body part, kernel, contrast agent. It may be wrong."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from pipeline.ingest.elements import item_of, text_of
from pipeline.ingest.kept import kept

ABOUT_KEYWORDS = (
    *("BodyPartExamined", "ConvolutionKernel"),
    *("ContrastBolusAgent", "ContrastBolusAgentSequence"),
)
_NO_AGENT = {"", "NONE", "NO", "N", "0", "WITHOUT", "NO CONTRAST"}
_LENGTH = 64


@dataclass(frozen=True, slots=True)
class About:
    """Words of a header that help to choose a series."""

    body_part: str = ""
    """Body Part Examined (0018,0015), upper case."""
    kernel: str = ""
    """Convolution Kernel (0018,1210)."""
    contrast_agent: bool | None = None
    """Whether Contrast/Bolus Agent (0018,0010) names one; None if the element is not there."""


@kept(*ABOUT_KEYWORDS, "SharedFunctionalGroupsSequence")
def about_of(dataset: Dataset) -> About:
    """Read the words of a classic header, or of an enhanced one's first level."""
    return About(
        body_part=text_of(dataset, "BodyPartExamined").upper()[:_LENGTH],
        kernel=_kernel(dataset),
        contrast_agent=_contrast_agent(dataset),
    )


def _kernel(dataset: Dataset) -> str:
    shared = item_of(dataset, "SharedFunctionalGroupsSequence")
    reconstruction = item_of(shared, "CTReconstructionSequence")
    source = dataset if reconstruction is None else reconstruction
    return text_of(source, "ConvolutionKernel")[:_LENGTH]


def _contrast_agent(dataset: Dataset) -> bool | None:
    if item_of(dataset, "ContrastBolusAgentSequence") is not None:
        return True
    if "ContrastBolusAgent" not in dataset:
        return None
    return text_of(dataset, "ContrastBolusAgent").upper() not in _NO_AGENT
