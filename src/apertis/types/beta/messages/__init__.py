"""The names of `anthropic.types.beta.messages`; see `apertis.compat.type_names`."""

from apertis.compat.type_modules import show

__getattr__, __dir__, __all__ = show(__name__)
