"""Rolling a workload back: which revision, what stands in the way, the patch, the wait.

`revisions` chooses, `planning` plans, `preflight` asks the cluster, `execution` sends and follows,
`differences` says what changes, `verdicts` remembers, `by_hand` is `guard rollback`.
"""
