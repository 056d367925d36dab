"""Where is the branch's health? Risk holders, guidance levels, their rates by group, and the health card (健康度カルテ)."""

from kenpo_analytics.risks.holders import RISKS, risk_holders
from kenpo_analytics.risks.levels import LEVELS, guidance_levels

__all__ = ["LEVELS", "RISKS", "guidance_levels", "risk_holders"]
