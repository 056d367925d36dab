"""Which KPIs are registered? The text of docs/kpi.md."""

from __future__ import annotations

from kenpo_analytics.definitions.kpi.demands import targets
from kenpo_analytics.definitions.kpi.registry import KINDS, Kpi, kpi, kpis, printed, timings, versions
from kenpo_analytics.definitions.markdown import NOTE, grid, page
from kenpo_analytics.months import fiscal_year_ja, format_month

ACCUMULATES = {"base": "分子だけ年度累計", "both": "分子・分母とも年度累計", "level": "その月の値", "every": "毎月の値"}
DIRECTIONS = {"up": "高いほどよい", "down": "低いほどよい"}
TIMINGS = {
    "same": "分子と分母が同時に決まる",
    "later": "分子が遅れて増える",
    "window": "期間の過ぎた人だけ",
}
RULES = {"ge": "以上", "le": "以下", "ge_prev": "前年度以上", "le_prev": "前年度以下", "done": "実施"}

_EXAMPLE = """\
ノートブック07と同じ計算です(見本データでそのまま動きます)。支部はJIS 2桁の文字列で、名前(三重)は断ります。

```python
import kenpo_analytics as ka
from kenpo_analytics import disclosure, kpi

tables = ka.load(month="2025-10")
totals = kpi.monthly_totals(tables, branch="24")  # 届いた月別の実績と、支部の表から数えたもの
asked = {"month": tables.month, "branch": "24", "nation": kpi.published(tables.folder)}

now = kpi.status(totals, **asked)  # 目標・前年・全国に対する位置と判定(1指標1行)
ahead = kpi.landing(totals, **asked).rows  # 年度末の見込みと80%予測区間
moved = kpi.compare(totals, "checkup_rate_insured", month="2025-03", earlier="2024-03", branch="24")  # 2つの月の差
shown = disclosure.check_kpi(now)  # 秘匿処理。表や図にできるのは、これを通したものだけ
```"""


def kpi_page() -> str:
    """The registry as a page: KPIs, definition versions, targets, printed history, and the file a branch may add."""
    parts = [
        "# KPIの一覧",
        NOTE,
        "分子・分母・単位・向き・定義の版・目標・公表値は、`src/kenpo_analytics/definitions/kpi/` のCSVにあります。"
        "区分「仮定」は出典で確かめられていないものです。定義の版が違う値どうしは比較しません。",
        "月別の実績(`kpi_monthly`、[tables.md](tables.md))の指標IDと定義の版は、ここにある語で書きます。分母のない指標は分母を空けます。"
        "「年度累計」の指標は4月からの累計を毎月入れます。その年度の版でない実績は、判定不能(定義の版が違う)になります。"
        "登録されていない指標や版、分母を超える分子、負の値は、`kenpo check` が誤りとして指標・月・行番号で告げ、"
        "`kenpo run` は始まりません。年度の累計が前の月より減った指標は、注意として告げます。",
        "## ノートブックで使う",
        _EXAMPLE,
    ]
    for kind, name in KINDS.items():
        rows = [_kpi(item) for item in kpis() if item.kind == kind]
        head = ("id", "指標", "グループ", "単位", "分子", "分母", "累計", "向き", "区間", "対象年度", "区分", "出典")
        parts += [f"## {name}", grid(head, rows)]
    parts += ["## 定義の版", "版が2つ以上ある指標です。ほかの指標の版は「令和6年度」の1つだけです。", _versions()]
    parts += ["## 年度途中の割合", _timings()]
    parts += ["## 支部で数えられる指標", _counted()]
    parts += ["## 目標(三重支部)", _targets(), "## 公表値", _printed(), *_own()]
    return page(parts)


def _kpi(item: Kpi) -> tuple[str, ...]:
    last = fiscal_year_ja(item.last_year) if item.last_year else ""
    first = fiscal_year_ja(item.first_year) if item.first_year > 2008 else ""
    return (
        f"`{item.id}`",
        item.label + ("(インセンティブ)" if item.incentive else ""),
        item.group,
        item.unit,
        item.numerator,
        item.denominator or "なし",
        ACCUMULATES[item.accumulates],
        DIRECTIONS[item.direction],
        "Wilson" if item.interval == "wilson" else "なし",
        f"{first}～{last}" if first or last else "全期間",
        item.status,
        item.source,
    )


def _versions() -> str:
    rows = [
        (
            f"`{v.kpi_id}`",
            v.version,
            f"{format_month(v.valid_from) if v.valid_from else ''}～"
            + (f"{format_month(v.valid_to)}(未満)" if v.valid_to else ""),
            v.what,
            v.break_reason or "―",
            v.source,
        )
        for item in kpis()
        for v in versions(item.id)
        if len(versions(item.id)) > 1
    ]
    return grid(("id", "版", "有効期間", "数え方", "版が変わった理由", "出典"), rows)


def _timings() -> str:
    rows = [
        (
            f"`{row['kpi_id']}`",
            kpi(row["kpi_id"]).short,
            TIMINGS[row["timing"]],
            row["why"],
            row["status"],
            row["source"],
        )
        for row in timings()
    ]
    told = (
        "分子と分母がともに年度累計の指標で、年度途中(4月～2月)の割合をどう読むかです。「分子が遅れて増える」指標の年度途中の割合は、"
        "年度末の目標と比べません(確定した前年同月があれば、その差を示します)。「同時に決まる」指標は今の水準を理由に書き、"
        "目標が95%区間の中にあれば「目標と区別できない水準」とします。「期間の過ぎた人だけ」の指標は、3月に全員がそろって確定するまで"
        "達成・未達としません。"
    )
    return told + "\n\n" + grid(("id", "指標", "年度途中の割合", "理由", "区分", "出典"), rows)


def _counted() -> str:
    by: dict[str, list[str]] = {}
    for item in kpis():
        if item.computed_by:
            by.setdefault(item.computed_by, []).append(f"`{item.id}`")
    found = "、".join(f"{'、'.join(ids)}({name})" for name, ids in by.items())
    return (
        f"実績の届いていない月には、支部の表から数えた値を用います: {found}。"
        "ほかの月の実績が届いている指標では、数えた値は速報として扱います(同じ数え方とは限らないため)。\n\n"
        "健康宣言・健康保険委員は事業所一覧(`workplaces`)から数え、速報として扱います。健康宣言事業所数は、宣言日があるため基準月を過去にしても"
        "数えられます(宣言の終わりはデータにないため、宣言した事業所はすべて続けるとみなします。仮定)。標準化対応済の数と健康保険委員の2指標は、"
        "標準化と委嘱の日がデータにないため、データの最後の月だけです。被保険者数は一覧の値で、任意継続の人は分母にも入りません(仮定)。\n\n"
        "未治療者の10か月以内受診は、どの月も基準月のデータで数え直します。前年度の健診のうち、その月までに10か月の期間が過ぎ、その間のレセプトが"
        "すべて届いた人を数えるため、4月から増えて1月に全員になり、3月は全員の値です。レセプトがまだそろわない月は、そろった最後の月と同じ人を"
        "数えた速報です。健診の前の月のレセプトがない年度は数えません。"
    )


def _targets() -> str:
    rows = [
        (
            f"`{t.kpi_id}`",
            fiscal_year_ja(t.fiscal_year),
            ("" if t.target is None or t.rule == "done" else f"{t.target:g} ") + RULES[t.rule],
            t.version,
            t.status,
            t.source,
            t.note or "―",
        )
        for t in targets()
    ]
    return grid(("id", "年度", "目標", "定義の版", "区分", "出典", "注"), rows)


def _printed() -> str:
    rows = [
        (
            f"`{row['kpi_id']}`",
            "三重" if row["area"] == "24" else row["area"],
            format_month(row["month"]) + ("(年度途中)" if row["part_year"] else ""),
            f"{row['value']:g}",
            row["version"],
            row["source"],
        )
        for row in printed()
    ]
    return grid(("id", "地域", "時点", "値", "定義の版", "出典"), rows)


def _own() -> list[str]:
    """The file a branch fills with the 47-branch tables it receives (read by `kpi.provider`)."""
    columns = (
        ("`kpi_id`", "○", "この一覧の指標のid"),
        ("`version`", "○", "定義の版。この一覧の語(版の表にない指標は「令和6年度」)"),
        ("`month`", "○", "いつの値か。2025-03(年度末)、令和7年3月、R7.3。ExcelのMar-25も読みます"),
        ("`area`", "○", "支部のJIS番号(01～47。1、2…も可)、三重、三重支部、または全国"),
        ("`value`", "△", "印刷された値(58.4%なら58.4)。分子・分母があれば空でもよい"),
        ("`numerator`, `denominator`", "△", "分子と分母。順位の区間、インセンティブの件数の伸びに要ります"),
        ("`source`", "○", "資料の名前"),
        ("`unit`", "", "単位。書いたときは、この一覧の単位と違えば断ります"),
        ("`as_of`", "", "資料の日付か月。基準月より後に分かった値は使わない"),
        ("`rank`", "", "資料に印刷された順位。「公表順位」としてだけ示します"),
    )
    return [
        "## 本部から届く47支部の値を加える",
        "データのフォルダに `kpi_published.csv` を置くと、公表値に加わります(同じ指標・版・月・地域の行は置き換え)。"
        "Excelで作り、「CSV UTF-8」か「CSV」(CP932)で保存します。1行は1つの指標・月・地域です。",
        grid(("列", "必須", "内容"), columns),
        "△は、値か、分子と分母のどちらかが要ります(もう一方は、空でも、列がなくてもよい)。両方あるときは、印刷の桁まで合わなければ断ります。"
        "登録されていない指標・版・地域・単位、あり得ない月、範囲の外の値(割合は0～100)、分母を超える分子、同じ支部の重なりは、"
        "行番号を示して断ります。全国の行がなければ「全国値なし」と示し、ほかの値から作りません。",
        "割合は印刷された値で書きます(59.2%なら59.2)。Excelの割合(0.592)のままで、47支部の値がすべて1%以下になった表は断ります"
        "(査定率のように、公表値が1%以下の指標と、分子・分母のある表を除く)。",
        "順位は、47支部がすべてそろい、人・件の割合で、全支部に分子と分母があるときだけ、区間とともに示します"
        "(46支部なら順位は出ません)。`kenpo check フォルダ` で、そろっていない表が分かります。",
        "```csv\nkpi_id,version,month,area,value,numerator,denominator,source\n"
        "checkup_rate_insured,令和6年度,2025-03,01,58.4,,,令和6年度 本部送付の支部別一覧\n"
        "checkup_rate_insured,令和6年度,2025-03,24,,12010,16950,令和6年度 本部送付の支部別一覧\n```",
    ]
