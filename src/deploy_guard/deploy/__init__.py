"""`guard deploy`: run the command that deploys, and stand behind it until there is a verdict."""
