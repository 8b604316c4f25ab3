"""The contents of ConfigMaps and Secrets: kept before a deploy, compared and put back after it.

A template rollback restores references by name, not what they name. `taking` keeps copies,
`comparing` tells what differs from them now, `restoring` puts it back; `index` is the note on a
revision that says which copies are its own.
"""
