"""Unit tests of policies: `NAME.test.yaml` beside `NAME.yaml`, run in virtual time.

A case says what the signals would read and what happens to the pods; the same pure core that
watches deploys says what the verdict would be, and when. No cluster, no socket, no clock.
"""
