"""The command line: one file per command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import ttc
from ttc.cli.compare import compare_command
from ttc.cli.doctor import doctor
from ttc.cli.duplicates import duplicates
from ttc.cli.eval import eval_command
from ttc.cli.export import export_command
from ttc.cli.grade import grade
from ttc.cli.learn import learn
from ttc.cli.list import list_command
from ttc.cli.plan import plan_command
from ttc.cli.policy import policy_app
from ttc.cli.pool import pool_app
from ttc.cli.power import power_command
from ttc.cli.printable import printable
from ttc.cli.publish import publish_command
from ttc.cli.record import record_command
from ttc.cli.report import report
from ttc.cli.reproduce import reproduce_command
from ttc.cli.runs import runs_command
from ttc.cli.solve import solve_command
from ttc.cli.tune import tune_command
from ttc.cli.up import up
from ttc.cli.verify import verify
from ttc.errors import TTCError

__all__ = ["app", "main"]

app = typer.Typer(
    name="ttc",
    help="Spend inference compute where it buys accuracy: test-time compute for models served by vLLM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ttc {ttc.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


app.command("up")(up)
app.command("doctor")(doctor)
app.command("solve")(solve_command)
app.command("eval")(eval_command)
app.command("record")(record_command)
app.add_typer(pool_app)
app.command("report")(report)
app.command("reproduce")(reproduce_command)
app.command("compare")(compare_command)
app.command("publish")(publish_command)
app.command("runs")(runs_command)
app.command("export")(export_command)
app.command("learn")(learn)
app.command("tune")(tune_command)
app.command("plan")(plan_command)
app.command("power")(power_command)
app.add_typer(policy_app, name="policy")
app.command("list")(list_command)
app.command("duplicates")(duplicates)
app.command("verify")(verify)
app.command("grade")(grade)


def main() -> None:
    """Run the command line. A user's mistake is one line on stderr and exit code 2, never a traceback."""
    try:
        app()
    except TTCError as error:
        print(f"ttc: {printable(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("ttc: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
