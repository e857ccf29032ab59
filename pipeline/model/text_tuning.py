"""A BERT that training changes: wholly, or by small added matrices (LoRA).

Shape suffixes: B cases, T sentences, W windows, L word pieces, D features.
"""

import copy
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from pipeline.model.text_encoder import TextEncoder
from pipeline.tensors import Batch
from schemas.settings import ModelSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RANK = 8
TARGETS = ["query", "value"]


class TunableText(nn.Module):
    """A copy of a text encoder's BERT whose features have gradients.

    Parameters
    ----------
    encoder
        Stays as it is.
    settings
        ``text_tuning`` is ``lora`` or ``full``.
    """

    def __init__(self, encoder: TextEncoder, settings: ModelSettings) -> None:
        super().__init__()
        bert = copy.deepcopy(encoder.bert)
        self.bert: PreTrainedModel | PeftModel = bert
        if settings.text_tuning == "lora":
            with warnings.catch_warnings():  # peft asks transformers by a name that it gave up
                warnings.simplefilter("ignore", FutureWarning)
                self.bert = get_peft_model(bert, LoraConfig(r=RANK, target_modules=TARGETS))
        else:
            bert.requires_grad_(requires_grad=True)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return mean hidden states of what counts of each sentence, and of its note's kind.

        Both of shape (B, T, D): the same as the cached ``batch["text"]`` and ``batch["kinds"]``,
        but with gradients.
        """
        n_cases, n_sentences = batch["is_token"].shape
        n_places = n_cases * n_sentences + int(batch["kind_of"].max()) + 1
        windows, is_piece, word = batch["windows"], batch["is_piece"], batch["counts"]
        hidden = self.bert(input_ids=windows, attention_mask=is_piece).last_hidden_state
        words = hidden * word[..., None]
        sums = hidden.new_zeros(n_places, hidden.shape[-1])
        counts = hidden.new_zeros(n_places, 1)
        sums = sums.index_add(0, batch["window_of"], words.sum(1))
        n_words = word.sum(1, keepdim=True).to(counts.dtype)
        counts = counts.index_add(0, batch["window_of"], n_words)
        means = sums / counts.clamp(min=1)
        of_sentences, of_kinds = means.split(
            [n_cases * n_sentences, n_places - n_cases * n_sentences]
        )
        is_token = batch["is_token"][..., None]
        return of_sentences.view(n_cases, n_sentences, -1), of_kinds[batch["kind_of"]] * is_token

    def tuned(self, encoder: TextEncoder) -> TextEncoder:
        """Return the text encoder as training left it, frozen again."""
        bert = self.bert.merge_and_unload() if isinstance(self.bert, PeftModel) else self.bert
        bert = copy.deepcopy(bert).cpu().eval().requires_grad_(requires_grad=False)
        return replace(encoder, bert=bert)
