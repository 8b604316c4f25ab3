"""Can I roll back? Everything that the cluster can say about it before it is needed.

`check` asks it all at once (`asking`): may the account do it (`access`, by the rights of each
feature in `features`), is what the template refers to there (`existence`), is there room for its
pods (`room`, `pod_needs`), would a pod be admitted (`pod_rehearsal`).
"""
