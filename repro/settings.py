"""What a configuration file may set."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Base of whatever is read from a configuration: no unknown keys, nothing changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
