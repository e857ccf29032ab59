"""The one base class of every schema."""

from pydantic import BaseModel, ConfigDict

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"


class FrozenModel(BaseModel):
    """A value that cannot change, has no unknown fields, and holds no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
