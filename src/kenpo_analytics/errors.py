"""What went wrong? Typed errors in the reader's words: what was expected, what was found, and a hint."""

from __future__ import annotations


class KenpoError(Exception):
    """Base of every error a user may meet. The message is Japanese; `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nヒント: {self.hint}"


class DateError(KenpoError, ValueError):
    """A date, month, era or fiscal year that cannot be."""


class DefinitionError(KenpoError, ValueError):
    """A definition (定義) that is unknown, not in force, or wrongly overridden."""


class TableError(KenpoError, ValueError):
    """A table lacks a column, has a wrong type or a broken key."""


class IngestError(KenpoError, ValueError):
    """A raw file, archive, mapping or key that cannot be used; rows that cannot are quarantined instead."""


class FrameKindError(KenpoError, TypeError):
    """A frame of a kind that is not supported, or kinds that cannot be mixed."""


class StrataError(KenpoError, ValueError):
    """Strata (層) that do not match one to one between numerator, denominator and standard."""


class EstimateError(KenpoError, ValueError):
    """A number that cannot be computed from what was given; never replaced by 0 or an empty frame."""


class DisclosureError(KenpoError):
    """An attempt to show, or publish, something that has not passed the disclosure check (秘匿処理)."""


class ParameterError(KenpoError, ValueError):
    """A run parameter that is unknown or of the wrong type; refused before anything starts."""


class RunError(KenpoError):
    """A monthly run that did not finish. `exit_code` is documented in docs/runs.md."""

    def __init__(self, message: str, *, exit_code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
