"""A small Kubernetes control plane in process: real HTTP, real controllers, a toy service.

For the demo and the tests. `store` holds the objects, `server` and `api` speak HTTP,
`controllers` move Deployments, ReplicaSets and pods the way Kubernetes 1.36 does.
"""
