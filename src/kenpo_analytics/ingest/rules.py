"""Why did a record, or a value, not go in whole? Every rule of every reader, with its reason in Japanese.

A reason is one sentence and never holds what a cell said: it may be about a person.
"""

from __future__ import annotations

from functools import cache

from kenpo_analytics.ingest.values.text import suspected_units
from kenpo_analytics.tables import TABLES

REASONS = {
    # files
    "unreadable": "ファイルを読めません(壊れているか、途中で切れています)。",
    "encoding": "文字コードが分からないか、文字として読めないバイトがあります。",
    "too_large": "1件の文書が大きすぎます(20 MiB、タグと属性40万、深さ100まで)。",
    "dtd": "DTD(文書型宣言)のあるXMLは読みません。",
    "root": "特定健診の文書(urn:hl7-org:v3 の ClinicalDocument)ではありません。",
    "refused": "読み取れないファイルです。",
    "unknown_layout": "様式が分かりません。kenpo ingest --explain で、対応表(mapping.toml)の案を作れます。",
    "no_header": "見出しの行がないか、なくてはならない列がありません。",
    "no_sheet": "対応表に書かれたシートがありません。",
    "sheet_ignored": "対応表の見出しがないか、非表示のため、このシートは読みませんでした。",
    "column_not_read": "対応表にないため読まなかった列があります。",
    "column_missing": "対応表にあって、ファイルにない列があります。",
    # lines
    "ragged": "列の数が見出しと違います(区切りのずれ、または壊れた行です)。",
    "record_type": "行の種類が1・2・5・9のどれでもありません。",
    "no_institution_row": "健診機関と項目コードの行(2)がその前にありません。",
    "count_mismatch": "終わりの行(9)の件数が、健診の行(5)の数と合わないか、終わりの行がありません。",
    "record": "決められたレコードではない行です。",
    "trailer": "診療報酬請求書レコード(GO)が足りません。ファイルが途中で切れている恐れがあります。",
    "total": "診療報酬請求書レコード(GO)の総件数が、レセプトの件数と違います。",
    # claims
    "management": "レセプト管理レコード(MN)がありません。",
    "truncated": "ファイルがこのレセプトの途中で切れています。",
    "line_gap": "行番号が飛んでいるレセプトがあります(失われた行があるかもしれません)。",
    "correction": "補正(JY)のとおりに直せません。",
    "fields": "レコードの項目の数が記録条件仕様より多い行があります(引用符のない桁区切りのカンマなど)。",
    "common": "レセプト共通レコード(RE)がありません。",
    "kind_not_used": "訪問看護のレセプトは取り込みません。",
    "part": "総括レセプトに含まれるレセプトです(別表15 総括区分2・3)。点数が重なるため取り込みません。",
    "header": "医療機関または薬局のレコード(IR、YK)がないか、レセプト種別と合いません。",
    "insurer": "保険者レコード(HO)も公費レコード(KO)もありません。",
    "repeated_record": "1件のレセプトに、1つしかないはずのレコードが2つあります。",
    "claim_key": "検索番号が17～30桁の数字ではありません。",
    "no_day": "加算の算定日がありません。",
    "count": "回数が、算定日ごとの回数の合計と違います。",
    # what a record or value says
    "missing": "必要な項目がないか、空です。",
    "range": "入力範囲の外の値です。",
    "unit_suspected": "別の単位の値の疑いがあります。",
    "censored": "測定できる範囲の外(H、L、未満、以上など)で、数値がありません。",
    "not_measurable": "測定不能です。",
    "not_a_number": "数値として読めません。",
    "not_a_date": "日付・年月として読めないか、ありえない日付・年月です。",
    "not_a_year": "年度として読めません。",
    "not_a_month": "年月として読めないか、ありえない年月です。",
    "order": "日付の前後が逆です。",
    "unknown_code": "決められた符号ではありません。",
    "unknown_word": "この欄の語が分かりません。",
    "code_system": "項目コードのコード体系が健診項目コードではありません。",
    "done_and_not_done": "未実施(negationInd)とされた項目に値があります。",
    "conflict": "同じ項目の複数の欄に、異なる値があります。",
    "jds": "HbA1cのNGSP値とJDS値の別が、分からないか、健診日と合いません。",
    "kind": "報告区分とプログラム種別から健診の種類が決まりません。",
    "institution": "機関の番号が10桁の数字ではありません。",
    "insurer_number": "保険者番号の検証番号が合いません。",
    "insurer_repaired": "保険者番号の失われた先頭の0を、検証番号で確かめて補いました(最初の1件だけを挙げます)。",
    "mangled_number": "表計算ソフトで桁の失われた番号です(指数表示など)。",
    "branch_number": "枝番が2桁の数字ではありません(番号と枝番の列が入れ替わっていないか確かめてください)。",
    "check_digit": "市区町村コードの検査数字が合いません。",
    "unknown_municipality": "市町村が分かりません。",
    # people and links
    "no_identity": "だれの記録か分かりません(記号・番号、生年月日・性別、カナ氏名の不足)。",
    "not_enrolled": "加入者台帳に該当する人がいません(台帳が届けば、次の取り込みで入ります)。",
    "identity_conflict": "記号・番号・枝番が合う人と、生年月日・性別(または枝番)が合いません。",
    "twin_ambiguous": "同じ記号・番号、生年月日・性別の人が複数いて、枝番もカナ氏名も決め手になりません。",
    "same_name_and_birth_ambiguous": "同じカナ氏名、生年月日・性別の人が複数いて、記号・番号では決まりません。",
    "no_birth": "生年月日・性別がなく、記号・番号だけでは1人に決まりません。",
    "no_days": "資格取得日から資格喪失日までに1日もありません。",
    "nothing_to_delete": "取消依頼に該当する健診記録がありません。",
    "claim_not_found": "一覧にあるレセプトが取り込まれていません。",
    "checkup_not_found": "通知のもとになった健診の記録がありません。",
    "twin_unresolved": "枝番のない双生児の可能性があります(カナ氏名で分けています)。",
    "same_name_and_birth": "同じカナ氏名、生年月日・性別で加入期間が重なる人がいます(別人としています)。",
    "number_shared": "同じ記号・番号・枝番で、生年月日・性別が違う人がいます(別人としています)。",
    "replaced": "後から届いた、同じ人・健診日・健診機関の、内容の違う記録に差し替えられました。",
    "overlap": "次の加入期間と重なるため、次の期間の初日で切りました。",
}

NOTES = frozenset(
    (
        *("insurer_repaired", "sheet_ignored", "count_mismatch", "record", "trailer", "total", "line_gap", "conflict"),
        *("column_not_read", "column_missing"),
        *("twin_unresolved", "same_name_and_birth", "number_shared", "overlap", "replaced"),
    )
)
"""Rules that, unless they refuse a record, empty nothing: something to know (level "note")."""

IDENTITY_LABELS = {
    "insurer": "保険者番号",
    "symbol": "記号",
    "number": "番号",
    "symbol_number": "記号・番号",
    "branch_number": "枝番",
    "birth": "生年月日",
    "sex": "性別",
    "kana": "カナ氏名",
    "name": "氏名",
}
"""How the identity columns are called, and what a list may hold in their place."""


def level(rule: str) -> str:
    """Is a value emptied under this rule ("value"), or is it only something to know ("note")?"""
    return "note" if rule in NOTES else "value"


def reason(rule: str, item: str | None = None, label: str | None = None) -> str:
    """Why, in Japanese? The item's name (or `label`; "" for none), then the rule's sentence, with suspected units."""
    said = REASONS[rule]
    units = suspected_units(item or "") if rule == "unit_suspected" else ()
    if units:
        said = f"{said.removesuffix('。')}({'、'.join(units)})。"
    name = labels().get(item or "") if label is None else label
    return f"{name}: {said}" if name and name not in said else said


@cache
def labels() -> dict[str, str]:
    """How are the items called that a rejection can name? Those of checkups and members first."""
    first = ("checkups", "members")
    order = [*(TABLES[name] for name in first), *(table for name, table in TABLES.items() if name not in first)]
    named = {column.name: column.label for table in reversed(order) for column in table.columns}
    return named | IDENTITY_LABELS | {"filed": "作成日", "report": "報告区分"}
