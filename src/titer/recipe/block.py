"""What every block of a recipe is, and the values that its fields take."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]
AverageShare = Annotated[float, Field(ge=0.0, lt=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy takes
# YAML has lists, Python tuples
Names = Annotated[tuple[str, ...], Strict(False)]
Axis = Literal["in_domain", "out_of_domain", "general", "safety"]


def is_folder_name(name: str) -> bool:
    """Whether it names something in a folder, and leads nowhere else."""
    return bool(name) and not name.startswith(".") and name.isprintable() and not set(name) & set("/\\")


def _folder_name(name: str) -> str:
    if not is_folder_name(name):
        raise PydanticCustomError("name", "not a folder's name: no / or \\, and no dot in front")
    return name


FolderName = Annotated[str, AfterValidator(_folder_name)]


class Block(BaseModel):
    """A part of the recipe: frozen, no unknown keys, no value of another type, field docstrings as descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True, allow_inf_nan=False
    )
    harmless: ClassVar[frozenset[str]] = frozenset()
    """Settings that change speed, memory or reporting, never what comes out."""

    def decisive(self) -> dict[str, Any]:
        """All other settings, as JSON has them: what a finished result depends on, and one in the works."""
        blocks = {name: value for name, value in self if isinstance(value, Block) and name not in self.harmless}
        plain = self.model_dump(mode="json", exclude={*self.harmless, *blocks})
        return {**plain, **{name: block.decisive() for name, block in blocks.items()}}


class Lora(Block):
    """Low-rank adapters instead of full fine-tuning."""

    rank: Annotated[int, Field(gt=0)] = 16
    """Rank of the adapters."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """Scale; the update is alpha/rank times the product."""
    dropout: Share = 0.0
    """Dropout on the adapters' input."""
    targets: str | Names = "all-linear"
    """Modules to adapt, as peft names them."""
