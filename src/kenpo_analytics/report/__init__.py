"""How is it shown? Tables, figures and texts, made from checked results only and stamped for the run.

Japanese first; rounding happens here and nowhere else.
"""

from kenpo_analytics.report._format import Col
from kenpo_analytics.report.areas import area_names, branch_names, municipality_names
from kenpo_analytics.report.attachments import attach
from kenpo_analytics.report.benchmark import benchmark_summary, neighbours_text, published_note
from kenpo_analytics.report.dag import dag_figure
from kenpo_analytics.report.design_tables import SUBGROUP_VALUES, assumptions, design_table, diagnostic, diagnostics
from kenpo_analytics.report.designs import balance_plot, event_study, jump_figure, overlap_plot
from kenpo_analytics.report.designs_primary import (
    approval,
    bands_name,
    carried_by_lots,
    next_trial,
    one_year_text,
    primary_note,
    primary_text,
    purpose_text,
    subject_text,
)
from kenpo_analytics.report.designs_results import balance_text, contrary, power_basis, where_from
from kenpo_analytics.report.designs_text import applies_to, limits, methods, people_seen, protocol_text
from kenpo_analytics.report.evaluation_page import (
    baseline_tables,
    cohort_text,
    effect_headline,
    lab_summary,
    letter_names,
    lost_tables,
    missing_table,
    plan_name,
    windows_text,
)
from kenpo_analytics.report.events import event_table
from kenpo_analytics.report.excel import Sheet, Sheets, workbook
from kenpo_analytics.report.flowchart import flow_figure
from kenpo_analytics.report.funnels import funnel_outside, funnel_plot
from kenpo_analytics.report.incentive import incentive_bars, incentive_conclusion, missing_text
from kenpo_analytics.report.incentive_rules import incentive_columns, incentive_method
from kenpo_analytics.report.kpi_text import kpi_conclusion, needed_text, unknown_text
from kenpo_analytics.report.kpis import NUMBERS as KPI_NUMBERS
from kenpo_analytics.report.kpis import kpi_control, kpi_history, kpi_months
from kenpo_analytics.report.maps import municipality_map, prefecture_map
from kenpo_analytics.report.meeting import meeting_page
from kenpo_analytics.report.ranking import bar_rank, before_after, interval_plot
from kenpo_analytics.report.record import definitions_table, reproduction, strobe_record
from kenpo_analytics.report.regional import change_text, index_summary, sizes_text
from kenpo_analytics.report.risk_groups import decrease_tables, risk_card, risk_industries, risk_towns
from kenpo_analytics.report.risk_texts import (
    nation_text,
    no_levels_text,
    risk_headline,
    risk_summary,
    risk_years_text,
    standard_text,
    two_sources_text,
)
from kenpo_analytics.report.risks import card_figure, risk_ages, risk_gaps, risk_table, risk_years
from kenpo_analytics.report.series import lines, stacked_contributions
from kenpo_analytics.report.style import setup
from kenpo_analytics.report.tables import show, table_html, value, value_interval
from kenpo_analytics.report.texts import conclusion, heading, paragraph
from kenpo_analytics.report.two_years import (
    fall_text,
    looks_text,
    naive_headline,
    naive_looks,
    naive_summary,
    naive_table,
)
from kenpo_analytics.report.visits import level_name, visit_purpose, visit_summary

__all__ = [
    "KPI_NUMBERS",
    "SUBGROUP_VALUES",
    "Col",
    "Sheet",
    "Sheets",
    "applies_to",
    "approval",
    "area_names",
    "assumptions",
    "attach",
    "balance_plot",
    "balance_text",
    "bands_name",
    "bar_rank",
    "baseline_tables",
    "before_after",
    "benchmark_summary",
    "branch_names",
    "card_figure",
    "carried_by_lots",
    "change_text",
    "cohort_text",
    "conclusion",
    "contrary",
    "dag_figure",
    "decrease_tables",
    "definitions_table",
    "design_table",
    "diagnostic",
    "diagnostics",
    "effect_headline",
    "event_study",
    "event_table",
    "fall_text",
    "flow_figure",
    "funnel_outside",
    "funnel_plot",
    "heading",
    "incentive_bars",
    "incentive_columns",
    "incentive_conclusion",
    "incentive_method",
    "index_summary",
    "interval_plot",
    "jump_figure",
    "kpi_conclusion",
    "kpi_control",
    "kpi_history",
    "kpi_months",
    "lab_summary",
    "letter_names",
    "level_name",
    "limits",
    "lines",
    "looks_text",
    "lost_tables",
    "meeting_page",
    "methods",
    "missing_table",
    "missing_text",
    "municipality_map",
    "municipality_names",
    "naive_headline",
    "naive_looks",
    "naive_summary",
    "naive_table",
    "nation_text",
    "needed_text",
    "neighbours_text",
    "next_trial",
    "no_levels_text",
    "one_year_text",
    "overlap_plot",
    "paragraph",
    "people_seen",
    "plan_name",
    "power_basis",
    "prefecture_map",
    "primary_note",
    "primary_text",
    "protocol_text",
    "published_note",
    "purpose_text",
    "reproduction",
    "risk_ages",
    "risk_card",
    "risk_gaps",
    "risk_headline",
    "risk_industries",
    "risk_summary",
    "risk_table",
    "risk_towns",
    "risk_years",
    "risk_years_text",
    "setup",
    "show",
    "sizes_text",
    "stacked_contributions",
    "standard_text",
    "strobe_record",
    "subject_text",
    "table_html",
    "two_sources_text",
    "unknown_text",
    "value",
    "value_interval",
    "visit_purpose",
    "visit_summary",
    "where_from",
    "windows_text",
    "workbook",
]
