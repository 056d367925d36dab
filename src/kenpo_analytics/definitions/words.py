"""How are coded words written in Japanese? The rule of 予備群 and the levels of 勧奨, for every page and form."""

from __future__ import annotations

RULES = {"and": "及び", "or": "または"}
"""How fasting glucose and HbA1c are joined when people with prediabetes (予備群) are picked."""
LEVELS = {"first": "一次勧奨", "second": "二次勧奨"}
"""Which recommendation values (受診勧奨値) an untreated person reached."""
