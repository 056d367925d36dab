"""How is it shown? Tables, figures and texts, made from checked results only and stamped for the run.

Japanese first; rounding happens here and nowhere else.
"""

from kenpo_analytics.report._format import Col
from kenpo_analytics.report.areas import area_names, branch_names, municipality_names
from kenpo_analytics.report.flowchart import flow_figure
from kenpo_analytics.report.maps import municipality_map, prefecture_map
from kenpo_analytics.report.ranking import bar_rank, before_after, interval_plot
from kenpo_analytics.report.record import definitions_table, reproduction, strobe_record
from kenpo_analytics.report.series import lines, stacked_contributions
from kenpo_analytics.report.style import setup
from kenpo_analytics.report.tables import show, table_html, value, value_interval
from kenpo_analytics.report.texts import conclusion, heading, paragraph

__all__ = [
    "Col",
    "area_names",
    "bar_rank",
    "before_after",
    "branch_names",
    "conclusion",
    "definitions_table",
    "flow_figure",
    "heading",
    "interval_plot",
    "lines",
    "municipality_map",
    "municipality_names",
    "paragraph",
    "prefecture_map",
    "reproduction",
    "setup",
    "show",
    "stacked_contributions",
    "strobe_record",
    "table_html",
    "value",
    "value_interval",
]
