"""deploy-guard: stands behind a Kubernetes deploy and takes it back when it hurts users."""

__version__ = "0.1.0"
