"""What may tell images at one position apart."""

from pydicom.dataset import Dataset

from pipeline.ingest.elements import item_of, items_of, text_of, value_of, words_of
from pipeline.ingest.instance import Component

Traits = tuple[tuple[str, str], ...]

_CLASSIC = {
    "echo time": "EchoTime",
    "echo": "EchoNumbers",
    "inversion time": "InversionTime",
    "b-value": "DiffusionBValue",
    "gradient direction": "DiffusionGradientOrientation",
    "temporal position": "TemporalPositionIdentifier",
    "trigger time": "TriggerTime",
    "kernel": "ConvolutionKernel",
    "kV": "KVP",
    "flip angle": "FlipAngle",
    "acquisition": "AcquisitionNumber",
    "series number": "SeriesNumber",
}
# Where vendors kept the b-value before (0018,9087): creator, group, offset.
_PRIVATE_B_VALUES = (
    ("SIEMENS MR HEADER", 0x0019, 0x0C),
    ("GEMS_PARM_01", 0x0043, 0x39),
    ("Philips Imaging DD 001", 0x2001, 0x03),
)
TRAIT_KEYWORDS = (*_CLASSIC.values(), "ComplexImageComponent")
TRAIT_TAGS = tuple(
    tag
    for _, group, offset in _PRIVATE_B_VALUES
    for tag in (group << 16 | 0x0010, group << 16 | 0x1000 | offset)
)
_ENHANCED = (
    ("echo time", "MREchoSequence", "EffectiveEchoTime"),
    ("b-value", "MRDiffusionSequence", "DiffusionBValue"),
    ("stack", "FrameContentSequence", "StackID"),
    ("temporal position", "FrameContentSequence", "TemporalPositionIndex"),
    ("trigger delay", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("kernel", "CTReconstructionSequence", "ConvolutionKernel"),
    ("kV", "CTXRayDetailsSequence", "KVP"),
    ("flip angle", "MRTimingAndRelatedParametersSequence", "FlipAngle"),
    ("acquisition", "FrameContentSequence", "FrameAcquisitionNumber"),
)
# Where legacy converted images keep what a classic header said (PS3.3 C.7.6.16.2.25).
_CONVERTED = (
    "UnassignedPerFrameConvertedAttributesSequence",
    "UnassignedSharedConvertedAttributesSequence",
)
# In-Stack Position Number, Image Position (Patient), Slice Location, Stack ID.
_PLACE_POINTERS = {0x00209057, 0x00200032, 0x00201041, 0x00209056}
_GE_FLAG = 1e9
_COMPONENTS: dict[str, Component] = {
    **dict.fromkeys(("M", "MAGNITUDE"), "magnitude"),
    **dict.fromkeys(("P", "PHASE", "PHASE MAP"), "phase"),
    **dict.fromkeys(("R", "REAL"), "real"),
    **dict.fromkeys(("I", "IMAGINARY"), "imaginary"),
}


def classic_traits(dataset: Dataset) -> Traits:
    """Return the traits of a classic image, most telling first."""
    named = [("image type", "\\".join(words_of(dataset, "ImageType")[2:]))]
    return _present(named + _classic(dataset))


def enhanced_traits(
    groups: dict[str, Dataset | None], frame_type: tuple[str, ...], dimensions: tuple[str, ...]
) -> Traits:
    """Return the traits of one frame of an enhanced image, most telling first.

    ``dimensions`` are the names from ``dimension_names``; those that are empty are not used.
    """
    named = [("image type", "\\".join(frame_type[2:]))]
    for name, sequence, keyword in _ENHANCED:
        item = groups.get(sequence)
        named.append((name, "" if item is None else text_of(item, keyword)))
    diffusion = item_of(groups.get("MRDiffusionSequence"), "DiffusionGradientDirectionSequence")
    if diffusion is not None:
        direction = text_of(diffusion, "DiffusionGradientOrientation")
        named.insert(3, ("gradient direction", direction))
    for sequence in _CONVERTED:
        named += _classic(groups.get(sequence) or Dataset())
    content = groups.get("FrameContentSequence")
    indices = "" if content is None else text_of(content, "DimensionIndexValues")
    named += zip(dimensions, indices.split("\\"), strict=False)
    return _present([(name, value) for name, value in named if name])


def dimension_names(dataset: Dataset) -> tuple[str, ...]:
    """Name the dimensions of a multi-frame image; those that count positions have no name."""
    names = []
    for item in items_of(dataset, "DimensionIndexSequence"):
        pointer = value_of(item, "DimensionIndexPointer")
        is_place = not isinstance(pointer, int) or pointer in _PLACE_POINTERS
        names.append("" if is_place else f"dimension {int(pointer):08X}")
    return tuple(names)


ENHANCED_GROUPS = (*dict.fromkeys(sequence for _, sequence, _ in _ENHANCED), *_CONVERTED)


def _classic(dataset: Dataset) -> list[tuple[str, str]]:
    named = [(name, text_of(dataset, keyword)) for name, keyword in _CLASSIC.items()]
    return named + [("b-value", value) for value in _private_b_values(dataset)]


def component_of(component: str, image_type: tuple[str, ...]) -> Component:
    """Say which part of a complex image this is.

    Image Type's values 3 and on win over Complex Image Component (0008,9208). There, REAL is not
    believed: some scanners write it of images that are not complex.
    """
    named = [_COMPONENTS[word] for word in image_type[2:] if word in _COMPONENTS]
    if named:
        return next((part for part in named if part != "magnitude"), named[0])
    found = _COMPONENTS.get(component.upper(), "")
    return "" if found == "real" else found


def _private_b_values(dataset: Dataset) -> list[str]:
    found = []
    for creator, group, offset in _PRIVATE_B_VALUES:
        if group << 16 | 0x1000 | offset not in dataset:
            continue
        try:
            value = dataset.private_block(group, creator)[offset].value
        except KeyError:
            continue
        first = value if isinstance(value, str | bytes | int | float) else next(iter(value), "")
        found.append(_b_value(str(first)))
    return found


def _b_value(text: str) -> str:
    """Return a b-value without the flag of 1e9 that GE adds to it."""
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number % _GE_FLAG:g}" if number >= _GE_FLAG else text


def _present(named: list[tuple[str, str]]) -> Traits:
    return tuple((name, value[:64]) for name, value in named if value)
