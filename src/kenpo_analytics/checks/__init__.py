"""Is each row what its table says? Counts and row numbers of what breaks a rule, never values of people."""

from kenpo_analytics.checks.check import check_folder, check_table, describe

__all__ = ["check_folder", "check_table", "describe"]
