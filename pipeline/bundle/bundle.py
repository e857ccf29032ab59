"""A trained model with all that its answers need, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from pipeline.calibration import Reference
from pipeline.errors import UsageError
from pipeline.model.collate import collate, on_device
from pipeline.model.ensemble import mean_output
from pipeline.model.network import FusedNetwork
from pipeline.model.text_encoder import TextEncoder
from pipeline.preprocess import TableTransform
from pipeline.settle import settled
from pipeline.tensors import Batch, ModelInput, ModelOutput
from schemas.bundle import BundleIdentity
from schemas.calibration import AnyCalibrator
from schemas.maps import LEAST_CLAIM_OF_ALL, MapProofs
from schemas.metrics import AnyMetrics
from schemas.protocol import SITE_PARTS, Protocol


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Everything that assessment needs, loaded and checked.

    Parameters
    ----------
    networks
        The members of the ensemble; most often one.
    maps
        The proof of its maps; None of a bundle whose maps were never proved.
    """

    protocol: Protocol
    networks: tuple[FusedNetwork, ...]
    text_encoder: TextEncoder
    table_transform: TableTransform
    calibrators: tuple[AnyCalibrator, ...]
    reference: Reference
    metrics: tuple[AnyMetrics, ...]
    identity: BundleIdentity
    maps: MapProofs | None = None

    @torch.inference_mode()
    def predict(self, inputs: Sequence[ModelInput]) -> ModelOutput:
        """Score cases, on the device that holds the networks, without gradients.

        Cases that hold the same image cost little more than one: each network encodes it once, or
        not at all if :meth:`encoded` gave the case.

        Returns
        -------
        ModelOutput
            The members' mean, and in ``member_logits`` what each says; what image tokens add for
            and against an outcome is set against each other (``pipeline.settle``).
        """
        mean = mean_output(self._outputs(inputs, with_cells=True))
        return replace(mean, image=settled(mean.image))

    @torch.inference_mode()
    def unsettled(self, inputs: Sequence[ModelInput]) -> ModelOutput:
        """Score cases whose maps nobody asks for: not settled, and no finer than tokens.

        Raises
        ------
        ValueError
            If an image was encoded by more or fewer networks than these.
        """
        return mean_output(self._outputs(inputs, with_cells=False))

    def _outputs(self, inputs: Sequence[ModelInput], *, with_cells: bool) -> list[ModelOutput]:
        batch = self.batch(inputs)
        tokens = batch.get("tokens")
        if tokens is None:
            return [network(batch, with_cells=with_cells) for network in self.networks]
        if tokens.ndim != 4 or tokens.shape[1] != len(self.networks):
            msg = f"tokens {tuple(tokens.shape)} are not of {len(self.networks)} networks"
            raise ValueError(msg)
        return [
            network(Batch(**{**batch, "tokens": tokens[:, number]}), with_cells=with_cells)
            for number, network in enumerate(self.networks)
        ]

    @torch.inference_mode()
    def encoded(self, case: ModelInput) -> ModelInput:
        """Return a case with what each network's encoder makes of its image.

        Neither the case nor variants of it that hold the same image need be encoded again. For
        these networks alone.
        """
        if case.image is None or case.image.tokens is not None:
            return case
        batch = self.batch([case])
        tokens = torch.cat([network.see(batch)[0] for network in self.networks])
        return replace(case, image=replace(case.image, tokens=tokens.cpu()))

    def batch(self, inputs: Sequence[ModelInput]) -> Batch:
        """Return cases as the networks read them, on the device that holds the networks."""
        device = next(self.networks[0].parameters()).device
        batch = collate(
            inputs, self.protocol, text_width=self.text_encoder.width,
            table_width=self.table_transform.width,
        )  # fmt: skip
        return on_device(batch, device)


def least_claims_of(bundle: Bundle) -> tuple[float, ...]:
    """Return what each task's map must claim before it points at anything, log-odds.

    The least there is for a task of which no proof says more.
    """
    tasks, maps = bundle.protocol.tasks, bundle.maps
    proofs = [None if maps is None else maps.of(task.name) for task in tasks]
    return tuple(LEAST_CLAIM_OF_ALL if proof is None else proof.least_claim for proof in proofs)


def with_policy(bundle: Bundle, protocol: Protocol) -> Bundle:
    """Return the bundle under another policy, or with another site's records.

    Raises
    ------
    UsageError
        If the protocol differs in anything that training saw: it asks for another bundle.
    """
    if protocol.trained_sha256() != bundle.protocol.trained_sha256():
        msg = (
            f"the bundle was trained with another protocol than {protocol.name} as given: "
            f"only {', '.join(SITE_PARTS)} may differ; train a bundle with it"
        )
        raise UsageError(msg)
    identity = bundle.identity.model_copy(update={"protocol_sha256": protocol.sha256()})
    return replace(bundle, protocol=protocol, identity=identity)


def bundle_identity(
    protocol: Protocol, encoder: TextEncoder, n_train: int, sha256: str
) -> BundleIdentity:
    """Say which model this is."""
    return BundleIdentity(
        name=protocol.name,
        sha256=sha256,
        protocol_sha256=protocol.sha256(),
        image_encoder=f"MONAI {protocol.model.image_encoder}",
        text_encoder=encoder.name,
        text_sha256=encoder.sha256,
        n_train=n_train,
        is_simulated=protocol.is_simulated,
    )
