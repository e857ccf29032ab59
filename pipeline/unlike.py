"""In what a case is unlike those that a bundle was trained on, by the protocol's policy."""

from pipeline.bundle import Bundle
from pipeline.calibration import (
    Summary,
    history_of,
    outside_reference,
    unseen_body_parts,
    unseen_scanner,
)
from pipeline.case import Case
from pipeline.cohort import stated_body_parts
from pipeline.inputs import main_volume, quantities
from pipeline.tensors import ModelInput, ModelOutput
from schemas.issue import Issue, Severity
from schemas.series import Study


def unlike_training(
    bundle: Bundle, output: ModelOutput, inputs: ModelInput, case: Case
) -> list[Issue]:
    """Say in what a case is unlike the training cases; by the policy an error or a warning.

    Parameters
    ----------
    output
        What the bundle says of this case alone.
    """
    policy = bundle.protocol.assessment.out_of_distribution
    measured = quantities(main_volume(case, bundle.protocol), inputs.image, case.history)
    return outside_reference(
        bundle.reference, summary_of(output, inputs), measured, severity=_severity(policy)
    )


def summary_of(output: ModelOutput, inputs: ModelInput) -> Summary:
    """Return the pooled features of the one case that was read."""
    image = output.summary[0].double().cpu().numpy()
    history = output.history_summary[0].double().cpu().numpy()
    return Summary(
        image=None if inputs.image is None else image,
        history=history if inputs.has_history else None,
        history_of=history_of(inputs.present),
    )


def header_issues(bundle: Bundle, study: Study, case: Case) -> list[Issue]:
    """Say if training saw no case of a scanner or a body part; by the policy error or warning."""
    policy, reference = bundle.protocol.assessment, bundle.reference
    found = unseen_scanner(reference, study.scanner, severity=_severity(policy.unseen_scanner))
    if case.volumes:
        found += unseen_body_parts(
            reference,
            stated_body_parts(study, case),
            severity=_severity(policy.unseen_body_part),
        )
    return found


def _severity(policy: str) -> Severity:
    return Severity.ERROR if policy == "withhold" else Severity.WARNING
