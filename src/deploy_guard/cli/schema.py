"""`guard schema`: the JSON Schema of a policy."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of a policy, for completion in editors."""
    from deploy_guard.policy.schema import text

    click.echo(text(), nl=False)
