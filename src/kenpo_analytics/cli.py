"""The door for schedulers and people: `kenpo ingest`, `run`, `check`, `randomise`, `sample`.

Every error is a Japanese message on stderr and an exit code (docs/runs.md), never a traceback; `KENPO_DEBUG=1` shows
the traceback too. Imports are inside the commands: `kenpo --help` must answer at once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from kenpo_analytics.errors import DateError, DefinitionError, DisclosureError, KenpoError, ParameterError, RunError

USAGE, DATA_INVALID, REFUSED, BUG, CANNOT_WRITE = 64, 65, 69, 70, 74


def exit_code(error: KenpoError) -> int:
    """Which exit code does this error end with?"""
    if isinstance(error, RunError):
        return error.exit_code
    if isinstance(error, ParameterError | DateError | DefinitionError):
        return USAGE
    return REFUSED if isinstance(error, DisclosureError) else DATA_INVALID


_Usage: Any = typer.BadParameter.__mro__[2]
"""Every misuse of an option: `ClickException` of the click inside typer, which has no public name."""


_MISUSES = (
    (r"Missing (?:argument|option|parameter) '([^']+)'.*", r"{} の指定がありません。"),
    (r"No such option:? '?([^\s']+?)'?\.?(?:\s.*)?", r"{} という指定はありません。"),
    (r"No such command '([^']+)'.*", r"{} というコマンドはありません。"),
    (r"Got unexpected extra arguments? ?(?:\(s\) )?\((.*)\)", r"余分な指定があります: {}"),
    (r"Option '([^']+)' requires (?:an|\d+) arguments?\.", r"{} には値が要ります。"),
    (r"Option '([^']+)' does not take a value\.", r"{} は値を取りません。"),
)
_WRONG_VALUES = (
    (r"integer|int_parsing", "整数ではありません"),
    (r"number|float", "数値ではありません"),
    (r"is not in the range ([^.]*)", "範囲の外です({})"),
    (r"greater than or equal to (\S+)", "{} 以上ではありません"),
    (r"less than or equal to (\S+)", "{} 以下ではありません"),
)


def _translated(text: str, patterns: Iterable[tuple[str, str]], match: Callable[..., Any]) -> str | None:
    for pattern, words in patterns:
        if found := match(pattern, text, re.S):
            return words.format(*found.groups())
    return None


def usage_text(error: Any) -> str:
    """A misuse of the command line in Japanese: the parser below us speaks English. No command at all: the help."""
    message = str(error.format_message())
    if message.startswith("Usage:"):
        return message
    if wrong := re.fullmatch(r"Invalid value for '?([^':]+)'?: (.*)", message, re.S):
        why = _translated(wrong[2], _WRONG_VALUES, re.search)
        told: str | None = f"{wrong[1]} の値が正しくありません: {why or wrong[2]}"
    else:
        told = _translated(message, _MISUSES, re.fullmatch)
    return f"エラー: {told or f'指定に誤りがあります({message})'}\nヒント: kenpo --help で使い方を見られます。"


class Door(typer.Typer):
    """A typer application that ends with the documented exit codes."""

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        """Run the command and end the process."""
        command = typer.main.get_command(self)
        try:
            sys.exit(command.main(standalone_mode=False) or 0)
        except typer.Exit as leave:
            sys.exit(leave.exit_code)
        except (typer.Abort, KeyboardInterrupt):
            _say("中止しました。")
            sys.exit(130)
        except KenpoError as error:
            _debug()
            _say(f"エラー: {error}")
            sys.exit(exit_code(error))
        except _Usage as error:
            _say(usage_text(error))
            sys.exit(USAGE)
        except OSError as error:
            _debug()
            _say(f"エラー: ファイルを読み書きできません({error.strerror or error}: {error.filename or ''})。")
            sys.exit(CANNOT_WRITE)
        except Exception as error:
            _debug()
            _say(f"エラー: 想定していない誤りです({type(error).__name__}: {error})。")
            _say("ヒント: 環境変数 KENPO_DEBUG=1 を付けて実行した結果を添えて、開発者に知らせてください。")
            sys.exit(BUG)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _debug() -> None:
    if os.environ.get("KENPO_DEBUG"):
        import traceback

        traceback.print_exc()


app = Door(
    name="kenpo",
    help="協会けんぽ支部の医療・健診データ分析。月次の報告を作り、公開します。",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _settings(pairs: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise ParameterError(f"--set {pair} は 名前=値 の形ではありません。", hint="例: --set fiscal_year=2024")
        if name in found:
            raise ParameterError(f"--set {name} が二度指定されています。")
        found[name] = value
    return found


@app.command()
def run(
    month: Annotated[str | None, typer.Option(help="対象月(2025-10、令和7年10月)。省くとデータの最後の受領月")] = None,
    branch: Annotated[
        str | None, typer.Option(help="支部(JIS 2桁)。例: 三重 24。省くと kenpo.toml の [run] branch")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="試し実行する報告(名前か番号)。公開しない")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="同時に実行するノートブックの数")] = 2,
    data: Annotated[Path | None, typer.Option(help="データのフォルダ")] = None,
    reports: Annotated[Path | None, typer.Option(help="報告を置くフォルダ")] = None,
    notebooks: Annotated[Path | None, typer.Option(help="ノートブックのフォルダ")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="パラメータ 名前=値 か 03.名前=値(何度でも)")
    ] = None,
    deadline: Annotated[float, typer.Option(min=1, help="ノートブック 1 件の制限時間(分)")] = 15,
) -> None:
    """月次の報告を実行し、検証して、まとめて公開します。"""
    options: dict[str, Any] = {
        "month": month,
        "branch": branch,
        "only": tuple(only or ()),
        "jobs": jobs,
        "data": data,
        "reports": reports,
        "notebooks": notebooks,
        "settings": _settings(settings or []),
        "deadline": deadline * 60,
    }
    from kenpo_analytics.runs.monthly import Options
    from kenpo_analytics.runs.monthly import run as run_month

    published = run_month(Options(**options))
    print(published.folder / "index.html")


@app.command()
def ingest(
    raw: Annotated[
        Path | None, typer.Argument(metavar="RAW_DIR", help="受領したファイルのフォルダ(または1つのファイル)")
    ] = None,
    into: Annotated[Path | None, typer.Option(metavar="DATA_DIR", help="表を置くデータのフォルダ")] = None,
    key: Annotated[
        Path | None, typer.Option(help="個人IDを作る鍵ファイル。省くと環境変数 KENPO_KEY、~/.kenpo/person.key")
    ] = None,
    received: Annotated[
        str | None,
        typer.Option(help="受領月(2025-10)。書かれていないファイルに使う(ファイル名の日付より優先)"),
    ] = None,
    insurer: Annotated[
        str | None, typer.Option(help="保険者番号。記録に書かれていないときに使う(省くとファイル名の先頭の8桁)")
    ] = None,
    mapping: Annotated[list[Path] | None, typer.Option(help="対応表(mapping.toml)。何度でも")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="同時に読むファイルの数")] = 2,
    rejected: Annotated[
        Path | None, typer.Option(metavar="OUT.csv", help="取り込まなかった行と値の一覧を書き出す")
    ] = None,
    explain: Annotated[
        Path | None, typer.Option(metavar="FILE", help="1つのファイルの様式を調べ、対応表の案を示す(取り込まない)")
    ] = None,
) -> None:
    """健診XML・CSV、レセプト、Excelを取り込み、表にします。取り込まなかったものは理由とともに残します。"""
    if explain is not None:
        from kenpo_analytics.ingest.explain import explain as explained
        from kenpo_analytics.ingest.lists.mapping_toml import load_mapping

        print(explained(explain, [load_mapping(path) for path in mapping or []]))
        return
    if raw is None or into is None:
        raise ParameterError(
            "RAW_DIR と --into DATA_DIR を指定してください。", hint="例: kenpo ingest raw --into data/2025"
        )
    from kenpo_analytics.ingest.told import deliver_and_tell

    if not deliver_and_tell(
        raw, into, key=key, received=received, insurer=insurer, mappings=mapping or [], jobs=jobs, out=rejected
    ):
        raise typer.Exit(DATA_INVALID)


@app.command()
def check(
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA_DIR", help="データのフォルダ。省くと kenpo run と同じデータ")
    ] = None,
) -> None:
    """入力データを点検し、誤りの件数と行番号を表示します(個人の値は表示しません)。"""
    from kenpo_analytics.checks import check_folder, describe

    if data is None:
        from kenpo_analytics.store import find_data

        data = find_data()
        print(f"点検するデータ: {data}")
    rows = check_folder(data).to_dicts()
    for row in rows:
        print(describe(row))
    errors = sum(row["level"] == "error" for row in rows)
    warnings = len(rows) - errors
    from kenpo_analytics.runs.beside import look

    told, wrong = look(data, sound=not errors)
    for line in (*told, *(f"誤り {each}" for each in wrong)):
        print(line)
    errors += len(wrong)
    warnings += sum(line.startswith("注意") for line in told)
    print(f"誤り {errors} 種類、注意 {warnings} 種類" if errors + warnings else "問題は見つかりませんでした。")
    if errors:
        raise typer.Exit(DATA_INVALID)


@app.command()
def randomise(
    people: Annotated[Path, typer.Option(metavar="FILE", help="対象者の表(Parquet か CSV、person_id の列)")],
    kind: Annotated[str, typer.Option(help="delay(先に送る・後で送る)か leaflets(版A・版B)")],
    seed: Annotated[int, typer.Option(help="乱数の種。同じ対象者・同じ種なら同じ割付")],
    programme: Annotated[str, typer.Option(metavar="NAME", help="事業の名前")],
    ethics: Annotated[str, typer.Option(metavar="ID", help="倫理審査の番号。まだなければ「未取得」")],
    registration: Annotated[str, typer.Option(metavar="ID", help="試験登録の番号。まだなければ「未取得」")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="割付を置く新しいフォルダ(本人だけが読める)")],
    strata: Annotated[str, typer.Option(metavar="a,b", help="層にする列(カンマ区切り)")] = "",
    unit: Annotated[str | None, typer.Option(help="まとまりごとに割り付ける列(workplace_id)")] = None,
    sd: Annotated[float | None, typer.Option(help="次回健診の値の標準偏差。検出できる最小の差を示す")] = None,
    correlation: Annotated[float, typer.Option(help="次回健診の値と前年値の相関(--sd とともに)")] = 0.0,
    seen: Annotated[float, typer.Option(help="次回健診を受けると見込む割合(--sd とともに)")] = 1.0,
) -> None:
    """通知の対象者を無作為に割り付け、割付と記録を保存します(上書きしません)。"""
    from kenpo_analytics.evaluation.draw import describe, draw

    layers = [name.strip() for name in strata.split(",") if name.strip()]
    told = draw(
        people, out, kind=kind, seed=seed, programme=programme, ethics=ethics, registration=registration,
        strata=layers, unit=unit, sd=sd, correlation=correlation, seen=seen,
    )  # fmt: skip
    print(describe(told, out))


@app.command()
def sample(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="書き出すフォルダ")],
    persons: Annotated[int | None, typer.Option(min=1, help="人数")] = None,
    seed: Annotated[int | None, typer.Option(help="乱数の種")] = None,
    variant: Annotated[str | None, typer.Option(help="full / no_letter_effect / no_pre_era")] = None,
) -> None:
    """真の値が分かっている合成データを作ります。"""
    from kenpo_analytics.sample import build

    given = {"persons": persons, "seed": seed, "variant": variant}
    try:
        build(out, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValueError as error:
        raise ParameterError(str(error)) from error
    print(out)


if __name__ == "__main__":
    app()
