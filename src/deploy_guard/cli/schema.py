"""`guard schema`: the JSON Schema of a policy, or of its tests."""

from __future__ import annotations

import click

from deploy_guard.cli.options import option


@click.command()
@option(
    "--of",
    "document",
    type=click.Choice(["policy", "test"]),
    default="policy",
    show_default=True,
    help="Of a policy, or of a file of tests (NAME.test.yaml).",
)
def schema(*, document: str) -> None:
    """Print the JSON Schema of a policy, for completion in editors.

    \b
    Examples:
      guard schema > policy.schema.json
      guard schema --of test > policy-test.schema.json
    """
    if document == "test":
        from deploy_guard.policy_tests.schema import text as text_of_tests

        click.echo(text_of_tests(), nl=False)
        return
    from deploy_guard.policy.schema import text

    click.echo(text(), nl=False)
