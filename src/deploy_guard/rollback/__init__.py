"""Rolling a workload back: which revision, what stands in the way, the writes, the wait.

`revisions` chooses, `planning` plans, `patch` writes the patch, `preflight` asks the cluster,
`preparing` puts all that together; `carrying_out` does the writes in order, `execution` sends the
patch and follows, `stuck` and `fast` help it along; `holding` pauses and `finishing` ends what a
guard has left. `differences` says what changes, `verdicts` and `trail` remember; `by_hand`,
`teller` and `telling` are `guard rollback`.
"""
