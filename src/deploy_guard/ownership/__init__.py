"""Who else writes a workload: Argo CD, Flux, Helm, operators, people.

`marks` finds them by what they leave on the object, `details` asks the cluster for more, `rules`
says what they mean for a rollback, `suspending` pauses them and `resuming` names what ends that;
`masters` knows who writes the tools' own objects, `gitops` where these are.
"""
