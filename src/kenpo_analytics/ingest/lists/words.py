"""Which words of a list mean what? Spaces and capitals do not matter; an unknown word is refused, never guessed."""

from __future__ import annotations

_KIN = "妻 夫 配偶者 子 長男 長女 次男 次女 二男 二女 三男 三女 父 母 義父 義母 祖父 祖母 孫 兄 姉 弟 妹 養子"
RELATIONSHIP = {
    **dict.fromkeys(("本人", "被保険者", "被保険者本人", "1", "insured"), "insured"),
    **dict.fromkeys(("家族", "被扶養者", "2", "dependent", *_KIN.split()), "dependent"),
}
INSURED_KIND = {
    **dict.fromkeys(("一般", "一般被保険者", "強制", "強制被保険者"), "一般"),
    **dict.fromkeys(("任継", "任意継続", "任意継続被保険者", "任継被保険者"), "任継"),
}
KIND = {
    **dict.fromkeys(("生活習慣病予防健診", "生活習慣病健診", "生活習慣病予防"), "生活習慣病予防健診"),
    **dict.fromkeys(("特定健診", "特定健康診査"), "特定健診"),
    **dict.fromkeys(("事業者健診", "事業主健診", "定期健康診断"), "事業者健診"),
}
ACTION = {
    **dict.fromkeys(("put", "登録", "新規", "訂正"), "put"),
    **dict.fromkeys(("delete", "取消", "削除"), "delete"),
}
MAILED = {
    **dict.fromkeys(("sent", "送付", "送付済", "送付済み", "発送", "発送済", "発送済み"), "sent"),
    **dict.fromkeys(("undelivered", "宛先不明", "返戻", "返送", "不達", "未達", "宛先不明・返戻"), "undelivered"),
    **dict.fromkeys(("not_mailed", "不送付", "未送付", "送付せず", "対象外"), "not_mailed"),
}
RULE = {
    **dict.fromkeys(("and", "及び", "および", "かつ"), "and"),
    **dict.fromkeys(("or", "または", "又は", "もしくは"), "or"),
}
LEVEL = {
    **dict.fromkeys(("動機付け支援", "動機づけ支援", "動機付け", "動機付け支援相当"), "動機付け支援"),
    **dict.fromkeys(("積極的支援", "積極的"), "積極的支援"),
}
CLAIM_STATE = {
    **dict.fromkeys(("returned", "返戻"), "returned"),
    **dict.fromkeys(("reclaimed", "再請求"), "reclaimed"),
}
STATE = {**dict.fromkeys(("provisional", "速報"), "provisional"), **dict.fromkeys(("final", "確定", "確報"), "final")}
TRUE_FALSE = {
    **dict.fromkeys(("1", "true", "yes", "y", "○", "〇", "有", "有り", "あり", "はい", "該当", "済"), True),
    **dict.fromkeys(("0", "2", "false", "no", "n", "×", "無", "無し", "なし", "いいえ", "非該当", "未"), False),
}
