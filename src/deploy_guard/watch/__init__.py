"""`guard watch`: stand behind a deploy until there is a verdict, and act on it."""
