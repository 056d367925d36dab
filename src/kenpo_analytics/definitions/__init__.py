"""What counts? Dated data: thresholds, parameters, fee codes, national figures (定義)."""

from kenpo_analytics.definitions.registry import Definition, Definitions, define, fingerprint

__all__ = ["Definition", "Definitions", "define", "fingerprint"]
