"""The command line: what can be asked of guard.

Decides the commands, their options and which stream gets what. Does no work of its own: each
command is a module here that calls one function elsewhere, imported when the command runs. How a
command ends (errors, exit codes) is in `ending`.
"""

from __future__ import annotations

from difflib import get_close_matches

import click

from deploy_guard import __version__
from deploy_guard.cli.backtest import backtest
from deploy_guard.cli.check import check
from deploy_guard.cli.demo import demo
from deploy_guard.cli.deploy import deploy
from deploy_guard.cli.explain import explain
from deploy_guard.cli.history import history
from deploy_guard.cli.init import init
from deploy_guard.cli.resume import resume
from deploy_guard.cli.rollback import rollback
from deploy_guard.cli.schema import schema
from deploy_guard.cli.snapshot import snapshot
from deploy_guard.cli.test import test
from deploy_guard.cli.watch import watch
from deploy_guard.errors import EXIT_CODES, UsageError

_EPILOG = "\b\nExit codes:\n" + "\n".join(
    f"  {int(code):>3}  {meaning}" for code, meaning in EXIT_CODES.items()
)


class _Commands(click.Group):
    """A group that lists its commands in the order of use, and knows near misses."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self.commands or ctx.resilient_parsing or name.startswith("-"):
            return super().resolve_command(ctx, args)
        close = get_close_matches(name, self.commands, n=1)
        help = f"did you mean {ctx.command_path} {close[0]}?" if close else "guard -h lists them"
        raise UsageError(f"command {name!r} does not exist", help=help)


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="guard")
@click.pass_context
def guard(ctx: click.Context) -> None:
    """Stand behind a Kubernetes deploy and take it back when it hurts users.

    After a deploy, watch error rates, response times and API integrations against YAML policies;
    on a regression, roll the workload back to the revision that was good.
    """
    if ctx.invoked_subcommand is None:
        raise UsageError("command is missing", help=f"{ctx.command_path} -h lists them")


for _command in (
    deploy,
    watch,
    rollback,
    resume,
    history,
    snapshot,
    init,
    check,
    test,
    backtest,
    explain,
    schema,
    demo,
):
    guard.add_command(_command)
