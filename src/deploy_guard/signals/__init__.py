"""Signals: what is read, each by its provider. One file a provider, named as in a policy."""
