"""`guard backtest`: what a policy would have done, over past deploys and ordinary days."""
