"""The committed evaluation says what a slow count, person by person, says; and concludes what its interval holds."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections import defaultdict
from pathlib import Path

import nbformat
import polars as pl
import pytest

from kenpo_analytics.evaluation.protocol import read_protocol
from kenpo_analytics.runs.verify import verify
from tests.notebook_page import NOTEBOOKS, Page

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
BEFORE, AFTER = 2017, 2018
COLUMNS = ["person_id", "record_id", "checkup_date", "received_month", "kind", "fasting", "fpg", "hba1c"]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page("02_prediabetes_evaluation")


def month(day: dt.date) -> int:
    return day.year * 12 + day.month


def category(fpg: float | None, hba1c: float | None) -> int | None:
    """The worse of what is known: 0 normal, 1 prediabetes, 2 diabetes range."""
    known = [0 if fpg < 110 else 1 if fpg < 126 else 2] if fpg is not None else []
    known += [0 if hba1c < 6.0 else 1 if hba1c < 6.5 else 2] if hba1c is not None else []
    return max(known, default=None)


class World:
    """The sample as plain lists per person."""

    def __init__(self) -> None:
        frame = pl.read_parquet(SAMPLE / "checkups.parquet", columns=[*COLUMNS, "medication_glucose"])
        self.checkups: dict[int, list[dict]] = defaultdict(list)
        for row in frame.sort("checkup_date", "received_month", "record_id").to_dicts():
            if row["fasting"] not in (None, "fasting"):
                row["fpg"] = None
            self.checkups[row["person_id"]].append(row)
        self.members: dict[int, list[dict]] = defaultdict(list)
        for row in pl.read_parquet(SAMPLE / "members.parquet").to_dicts():
            self.members[row["person_id"]].append(row)

    def stretch(self, person: int, day: dt.date) -> dict | None:
        found = [m for m in self.members[person] if m["valid_from"] <= day]
        return next((m for m in found if m["valid_to"] is None or day < m["valid_to"]), None)

    def index(self, person: int, year: int) -> dict | None:
        """The last eligible checkup of the year."""
        found = None
        for row in self.checkups[person]:
            day = row["checkup_date"]
            if row["kind"] != "生活習慣病予防健診" or not dt.date(year, 4, 1) <= day <= dt.date(year + 1, 3, 31):
                continue
            member = self.stretch(person, day)
            if member and member["relationship"] == "insured" and member["branch"] == "24":
                found = row if 35 <= year - member["fy_age_base"] <= 74 else found
        return found

    def cohort(self, year: int, rule: str) -> list[dict]:
        people = []
        for person in self.checkups:
            row = self.index(person, year)
            if row is None or row["medication_glucose"] is not False:
                continue
            fpg, hba1c = row["fpg"], row["hba1c"]
            high = (fpg is not None and fpg >= 126) or (hba1c is not None and hba1c >= 6.5)
            by = [fpg is not None and 110 <= fpg < 126, hba1c is not None and 6.0 <= hba1c < 6.5]
            if not high and (all(by) if rule == "and" else any(by)):
                people.append(row)
        return people

    def next(self, row: dict) -> dict | None:
        """The first checkup six to eighteen months later; on one day the one received last."""
        start = month(row["checkup_date"])
        later = [r for r in self.checkups[row["person_id"]] if 6 <= month(r["checkup_date"]) - start <= 18]
        first = [r for r in later if r["checkup_date"] == later[0]["checkup_date"]]
        return first[-1] if first else None


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def counted(world: World) -> dict[int, dict[str, int | float]]:
    """States of both cohorts by the rule of their time (及び)."""
    found = {}
    for year in (BEFORE, AFTER):
        tally: dict[str, int | float] = defaultdict(int)
        changes = []
        for row in world.cohort(year, "and"):
            tally["all"] += 1
            after = world.next(row)
            if after is None:
                continue
            tally["seen"] += 1
            now, then = category(row["fpg"], row["hba1c"]), category(after["fpg"], after["hba1c"])
            if after["medication_glucose"] is not True and now is not None and then is not None:
                tally["改善"] += then < now
                tally["悪化"] += then > now
            if after["fpg"] is not None:
                change = after["fpg"] - row["fpg"]
                changes.append(change)
                tally["fpg 改善"] += change < -5
                tally["fpg 悪化"] += change > 5
        tally["change"] = sum(changes) / len(changes)
        found[year] = dict(tally)
    return found


def test_it_can_be_published(page: Page) -> None:
    page.must_be_publishable()


def test_cohorts_by_both_rules(page: Page, world: World, counted: dict) -> None:
    text = page.text("この報告で用いる基準")
    for year, word in ((BEFORE, "事業前"), (AFTER, "事業")):
        n = len(world.cohort(year, "or"))
        assert f"{year}年度({word}): 「または」で{n:,}人、「及び」で{counted[year]['all']:,}人" in text


def test_shares_and_points(page: Page, counted: dict) -> None:
    title = "単純前後比較: 改善・悪化の割合の差 ― 分母は期間内に次回健診を受けた人"
    rows = {(row["見方"], row["結果"]): row for row in page.table(title)}
    for outcome in ("改善", "悪化"):
        for look, prefix in (("区分", ""), ("空腹時血糖", "fpg ")):
            k = [counted[year][prefix + outcome] for year in (BEFORE, AFTER)]
            n = [counted[year]["seen"] for year in (BEFORE, AFTER)]
            row = rows[look, outcome]
            assert min(k) >= 10  # none of these is masked on the sample
            assert [row[f"{year}年度 人数"] for year in (BEFORE, AFTER)] == [str(value) for value in k]
            assert row[f"{AFTER}年度 割合"] == f"{100 * k[1] / n[1]:.1f}%"
            points = 100 * (k[1] / n[1] - k[0] / n[0])
            assert row["差(ポイント)"] == f"{points:+.1f}".replace("-", "−")
            assert row["95%信頼区間"] == newcombe(k[1], n[1], k[0], n[0])


def wilson(k: int, n: int) -> tuple[float, float]:
    z = 1.959963984540054
    centre, half = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    return (centre - half) / (n + z * z), (centre + half) / (n + z * z)


def newcombe(k1: int, n1: int, k0: int, n0: int) -> str:
    """Newcombe (1998), method 10, from the two Wilson intervals."""
    p1, p0 = k1 / n1, k0 / n0
    (l1, u1), (l0, u0) = wilson(k1, n1), wilson(k0, n0)
    low = p1 - p0 - math.hypot(p1 - l1, u0 - p0)
    high = p1 - p0 + math.hypot(u1 - p1, p0 - l0)
    return f"({100 * low:+.1f} ～ {100 * high:+.1f})".replace("-", "−")


def test_people_fall_without_a_letter(page: Page, counted: dict) -> None:
    rows = {(row["群"], row["検査値"]): row for row in page.table("次回健診までの値の変化(平均)")}
    for year, word in ((BEFORE, "事業前"), (AFTER, "事業")):
        written = rows[f"{year}年度({word})", "空腹時血糖(mg/dL)"]["平均変化"]
        assert written == f"{counted[year]['change']:+.2f}".replace("-", "−")
    assert counted[BEFORE]["change"] < 0  # nobody had a letter then


def test_letters_of_the_cohort(page: Page, world: World, counted: dict) -> None:
    sent = pl.read_parquet(SAMPLE / "mailings.parquet").filter(programme="prediabetes_leaflet", status="sent")
    days = dict(sent.sort("sent_date", descending=True).select("record_id", "sent_date").iter_rows())
    in_time = 0
    for row in world.cohort(AFTER, "and"):
        after, day = world.next(row), days.get(row["record_id"])
        in_time += bool(after and day and (after["checkup_date"] - day).days >= 90)
    rows = {row["通知"]: row["人数"] for row in page.table(f"{AFTER}年度(事業)の対象者への通知の状況")}
    assert rows["送付し、次回健診が90日以上あと"] == str(in_time)
    assert sum(int(n) for n in rows.values()) == counted[AFTER]["all"]


def test_the_summary_gives_numerator_denominator_and_interval(page: Page, counted: dict) -> None:
    summary, seen = page.text("要約"), counted[AFTER]["seen"]
    assert f"次回健診(通知の前後を問わない)を受けた{seen}人を分母とすると" in summary
    for outcome, word in (("改善", "改善した人は"), ("悪化", "悪化した人は")):
        k = int(counted[AFTER][outcome])
        low, high = wilson(k, int(seen))
        said = f"{word}{k}人、{100 * k / seen:.1f}%(95%信頼区間 {100 * low:.1f}% ～ {100 * high:.1f}%)"
        assert said in summary


def test_people_with_a_value_that_cannot_be_one_are_counted(page: Page, world: World) -> None:
    """Ranges of the table declaration: FPG 20-1000 mg/dL (mmol/L lies below), HbA1c 3-20 %."""
    for year, word in ((BEFORE, "事業前"), (AFTER, "事業")):
        values = [(row["fpg"], row["hba1c"]) for p in world.checkups if (row := world.index(p, year))]
        n = sum((fpg is not None and fpg < 20) or (hba1c is not None and hba1c > 20) for fpg, hba1c in values)
        assert f"{year}年度({word}) {n:,}人" in page.text("この報告で用いる基準")


def test_the_rule_of_its_time_and_every_missing_definition_are_listed(page: Page) -> None:
    rows = {row["定義"]: row["値"] for row in page.table("用いた定義")}
    assert rows["予備群の判定(or: いずれか、and: 及び)"] == "rule = or → この報告では and(「及び」)"
    assert {"同じ年度に複数回受診したときに採る健診(last/first)", "対象集団(被保険者) 健診の種類"} <= set(rows)


def test_the_text_names_each_sensitivity_interval_without_0(page: Page) -> None:
    apart = set()
    for row in page.table("単純前後比較の感度分析: 割合の差(ポイント)"):
        limits = row["95%信頼区間"]
        if limits != "秘匿" and excludes_zero(limits):
            apart.add(f"- {row['結果']} {row['見方']}: ")
    said = page.text("区間を示せた")
    assert {line[: line.index(": ") + 2] for line in said.splitlines() if line.startswith("- ")} == apart
    assert f"0を含まないのは{len(apart)}行です" in said


def excludes_zero(limits: str) -> bool:
    low, high = limits.strip("()").split(" ～ ")
    return low[0] == high[0] and low[0] in "+−"


def test_the_year_follows_the_plan_and_the_page_says_what_it_needs(page: Page) -> None:
    parameters = page.code[0].source
    assert "fiscal_year: int = 0" in parameters and 'needs: list[str] = ["mailings"]' in parameters
    assert "用いた年度: 2017年度、2018年度" in page.outputs[0]["data"]["text/plain"]


# --- the evaluation -------------------------------------------------------------------------------------

DESIGNS = "設計と推定の一覧"


def primary(page: Page) -> dict[str, str]:
    (row,) = [row for row in page.table(DESIGNS) if row["位置づけ"] == "主解析"]
    return row


def test_the_naive_row_is_a_slow_count(page: Page, world: World) -> None:
    """Mailed people of the plan's year: the first checkup 90 days after the letter and 18 months after the index."""
    sent = pl.read_parquet(SAMPLE / "mailings.parquet").filter(programme="prediabetes_leaflet", status="sent")
    days = dict(sent.sort("sent_date", descending=True).select("record_id", "sent_date").iter_rows())
    changes = []
    for row in world.cohort(AFTER, "and"):
        if (day := days.get(row["record_id"])) is None:
            continue
        later = [
            r
            for r in world.checkups[row["person_id"]]
            if (r["checkup_date"] - day).days >= 90 and month(r["checkup_date"]) - month(row["checkup_date"]) <= 18
        ]
        first = [r["fpg"] for r in later if r["checkup_date"] == later[0]["checkup_date"] and r["fpg"] is not None]
        changes += [min(first) - row["fpg"]] if first else []
    (naive,) = [row for row in page.table(DESIGNS) if row["設計"].startswith("単純前後比較")]
    assert naive["人数(延べ)"] in (str(len(changes)), "秘匿")
    assert naive["推定"] == f"{sum(changes) / len(changes):+.2f}".replace("-", "−")
    assert naive["位置づけ"] == "参考"


def test_the_conclusion_follows_the_primary_interval(page: Page) -> None:
    summary, row = page.text("要約"), primary(page)
    low, high = row["95%信頼区間"].strip("()").split(" ～ ")
    assert f"(差 {row['推定']}mg/dL、95%信頼区間 {low}～{high}" in summary
    shows = excludes_zero(row["95%信頼区間"])
    assert shows == ("なったと推定されます" in summary)
    assert shows or "を下げる効果は確認できませんでした" in summary.split("。")[0]
    assert summary.startswith(f"要約: {AFTER}年度の健診にもとづく通知")
    assert summary.index("(差 ") < summary.index("単純前後比較であり、効果ではありません")
    headline = next(o["metadata"]["kenpo"]["headline"] for o in page.outputs if "headline" in o["metadata"]["kenpo"])
    first = next(record for record in headline.values() if record["order"] == 0)
    assert f"{first['estimate']:+.2f}".replace("-", "−") == row["推定"] and "主解析" in first["label"]
    assert all("単純前後比較・効果ではない" in r["label"] for r in headline.values() if r["order"] > 0)


def test_the_plan_is_printed_with_its_fingerprint_and_its_years(page: Page) -> None:
    plan = read_protocol(SAMPLE / "protocol.toml")
    assert plan.digest in page.text("要約") and plan.digest in page.text("解析計画")
    assert "事後選択" not in page.text("要約")
    years = [row for row in page.table("再現情報") if row["項目"] == "protocol"]
    assert years[0]["値"] == plan.digest


def test_the_planted_effect_lies_in_the_primary_interval(page: Page) -> None:
    """Intention to treat: what was planted, times the share of the band that was sent a letter."""
    truth = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["prediabetes_letter"]["effect_on_fpg_mg_dl"]
    (band,) = [
        r
        for r in page.table("帯ごとの人数・通知・値(差の差のもと)")
        if (r["時期"], r["空腹時血糖の帯(mg/dL)"]) == ("事業", "110～125")
    ]
    share = int(band["送付した人"]) / int(band["人数"])
    low, high = (shown(text) for text in primary(page)["95%信頼区間"].strip("()").split(" ～ "))
    assert low <= truth * share <= high


def test_where_the_estimate_comes_from_is_told_from_the_four_groups(page: Page) -> None:
    rows = {(r["時期"], r["空腹時血糖の帯(mg/dL)"]): r for r in page.table("帯ごとの人数・通知・値(差の差のもと)")}
    assert set(rows) == {(era, band) for era in ("事業前", "事業") for band in ("100～109", "110～125")}
    said = page.text("110～125の帯の平均変化")
    for row in rows.values():
        assert row["平均変化"] in said
    ours, others = rows["事業", "110～125"], [row for key, row in rows.items() if key != ("事業", "110～125")]
    compared = sum(int(row["次回健診の値あり"]) for row in others)
    sent = f"{int(ours['送付した人']) / int(ours['人数']):.0%}"
    who = f"対象{ours['人数']}人(送付は{sent})のうち次回の値がある{ours['次回健診の値あり']}人と、"
    who += f"下の帯と事業前の3群の計{compared}人(延べ)"
    assert who in page.text("要約") and "平行な推移" in page.text("要約").split("\n")[0]
    (row,) = page.table("主解析の推定")
    assert (row["対象の人数(延べ)"], row["比べた人数(延べ)"]) == (ours["次回健診の値あり"], str(compared))
    row = primary(page)
    assert (row["人数(延べ)"], row["比べた人数(延べ)"]) == (ours["次回健診の値あり"], str(compared))
    assert f"実際に送付したのは{ours['送付した人']}人" in said


def test_every_design_has_its_row_and_the_refused_ones_their_reason(page: Page) -> None:
    rows = {row["設計"]: row for row in page.table(DESIGNS)}
    refused = {name for name, row in rows.items() if row["可否"] == "推定せず"}
    assert {"対象外の人との重み付け比較", "健診の月からの、通知の有無別の比較"} <= refused
    reasons = {row["設計"]: row["可否と理由"] for row in page.table("設計ごとの前提と、推定しない理由")}
    assert "重なりがない" in reasons["対象外の人との重み付け比較"]
    assert "immortal time" in reasons["健診の月からの、通知の有無別の比較"]
    assert {"差の差", "対象者内の逆確率重み付け(IPTW)", "差の不連続"} <= {
        re.split(r":|\(基準|\(20", name)[0] for name in rows
    }


def test_a_method_that_gave_nothing_is_not_described(page: Page) -> None:
    said = page.text("本評価は後ろ向き観察研究である")
    texts = "".join(o["data"].get("text/plain", "") for o in page.outputs)
    refused = "偽の基準値: " in texts and "通りとも推定していません" in texts  # one sentence instead of six refusals
    fake = [] if refused else [row for row in page.table("差の不連続: 偽の基準値") if row["推定"] != "―"]
    assert ("偽の基準値" in said) == bool(fake)
    assert ("1対1で組に" in said) == any(
        r["設計"].startswith("対象者内の1対1マッチング") and r["推定"] != "―" for r in page.table(DESIGNS)
    )


def test_nobody_is_counted_twice_and_small_states_do_not_come_back(page: Page) -> None:
    rows = page.table("対象者の次回健診の状態: どうなったか、なぜ数えないか")
    for group in {row["群"] for row in rows}:
        counts = [shown(row["人数(延べ)"]) for row in rows if row["群"] == group]
        assert counts.count(None) != 1  # one masked state alone would come back from the total
        assert all(n is None or n == 0 or n >= 10 for n in counts)


@pytest.mark.slow
def test_without_years_before_letters_the_page_says_that_it_cannot_tell(tmp_path: Path, monkeypatch) -> None:
    from nbclient import NotebookClient

    from kenpo_analytics.sample import build

    build(tmp_path / "data", seed=3, persons=9000, variant="no_pre_era", raw=False)
    monkeypatch.setenv("KENPO_DATA", str(tmp_path / "data"))
    notebook = nbformat.read(NOTEBOOKS / "02_prediabetes_evaluation.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    texts = [o["data"]["text/plain"] for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    (summary,) = [text for text in texts if text.startswith("要約")]
    assert "通知だけの効果は識別不能です" in summary and "事後選択" in summary
    assert "なったと推定されます" not in "".join(texts)
    (methods,) = [text for text in texts if text.startswith("本評価は後ろ向き観察研究である")]
    assert "2018年度の健診。事業前の年度はない。" in methods and "ただし、主解析は推定できなかった(" in methods
    assert "差の差を推定できないため、そのもとになる4つの群の平均変化はありません。" in texts
    assert not any(wrong in text for text in texts for wrong in ("2017年度と比べる", "年次図の事業前は1年度だけ"))
    nbformat.write(notebook, tmp_path / "02.ipynb")
    assert verify(tmp_path / "02.ipynb").outputs > 20


def shown(text: str) -> float | None:
    text = text.replace(",", "").replace("−", "-")
    return None if text in ("秘匿", "―") else float(text.rstrip("%")) / (100 if text.endswith("%") else 1)


def test_no_share_gives_the_few_without_an_answer_back(page: Page) -> None:
    """n and its share leave a few denominators; everybody less the denominator is who did not answer."""
    rows = page.table("表1 対象者の特性(人数と割合)")
    missing = {row["項目"]: row for row in page.table("対象となった健診の欠測")}
    for year, word in ((BEFORE, "事業前"), (AFTER, "事業")):
        everybody = next(shown(row[f"{year}年度 人数"]) for row in rows if row["項目"] == "対象者")
        hidden = [row["項目"] for row in missing.values() if shown(row[f"{year}年度({word}) 人数"]) is None]
        assert "喫煙" in hidden  # 3 of 220 and 5 of 240 on the sample
        for name in hidden:
            mine = [row for row in rows if row["項目"] == name]
            ns = [shown(row[f"{year}年度 人数"]) for row in mine]
            assert ns.count(None) >= 2
            assert all(shown(row[f"{year}年度 割合"]) is None and shown(row["標準化差"]) is None for row in mine)
            assert everybody - sum(n for n in ns if n is not None) >= 10
    for row in rows:  # where a share is shown, its denominator leaves nobody or enough
        for year in (BEFORE, AFTER):
            n, share = shown(row[f"{year}年度 人数"]), shown(row[f"{year}年度 割合"])
            if n and share and row["区分"] != "欠測":
                everybody = next(shown(r[f"{year}年度 人数"]) for r in rows if r["項目"] == "対象者")
                assert not any(abs(n / (everybody - few) - share) <= 0.0005 for few in range(1, 10)) or (
                    abs(n / everybody - share) <= 0.0005
                )


def test_interval_and_sd_together_do_not_give_a_masked_number_of_people_back(page: Page) -> None:
    rows = page.table("両方の健診に値のある人")
    assert any(row["うち両方の値のある人"] == "秘匿" for row in rows)
    for row in rows:
        assert (row["うち両方の値のある人"] == "秘匿") == (row["変化の標準偏差"] == "秘匿")
        if row["うち両方の値のある人"] != "秘匿":
            assert not 1 <= shown(row["期間内に受診した人"]) - shown(row["うち両方の値のある人"]) < 10
    assert not any("標準偏差" in name for name in page.table("次回健診までの値の変化(平均)")[0])
