"""What is told of a deploy, kept: on the timeline, and in the record as soon as there is one.

Decides whose record it is: that of the watch under way, or one of the deploy's own where nothing
was watched. Events that come before are written when it begins, so each has its own time.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy_guard.deploy.talk import Talk
from deploy_guard.model import Event, Outcome
from deploy_guard.outputs.base import Item
from deploy_guard.outputs.report import finish_record
from deploy_guard.record import Header, Recorder
from deploy_guard.watch.session import Watch


class Story:
    """The output of the watches of one deploy, and of all else that is told of it."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self._watch: Watch | None = None
        self._recorder: Recorder | None = None
        self._waiting: list[Event] = []  # for a record
        self._lock = threading.RLock()  # a record that cannot be written is told, too

    def tell(self, kind: str, words: str, **data: Any) -> None:
        """Tell something of the deploy; from any thread."""
        event = self.talk.tell(kind, words, **data)
        with self._lock:
            self._waiting.append(event)
            self._write()

    def show(self, item: Item) -> None:
        """Hand on what the watch tells, which writes its own record."""
        self.talk.show(item)
        with self._lock:
            self._write()

    def begin(self, watch: Watch) -> None:
        """From now on keep what is told in this watch's record, once it has one."""
        with self._lock:
            self.close()
            self._watch = watch

    def end(self) -> None:
        """The watch has ended; its record stays open for what is still to be told."""
        with self._lock:
            self._write()
            self._watch = None

    def finish(self, outcome: Outcome, *, directory: Path | None, header: Header) -> Outcome:
        """Complete the outcome with all that was told, show it, and finish the record."""
        with self._lock:
            if self._recorder is None and directory is not None:
                self._recorder = Recorder(directory, header, warn=self._warn)
                self._write()
            outcome = replace(outcome, timeline=tuple(self.talk.timeline))
            if self._recorder is not None:
                finish_record(self._recorder, outcome)
        self.talk.show(outcome)
        return outcome

    def close(self) -> None:
        """End the record."""
        with self._lock:
            if self._recorder is not None:
                self._recorder.close()
                self._recorder = None

    def _warn(self, words: str) -> None:
        self.tell("warning", words)

    def _write(self) -> None:
        """Write what waits, if there is a record by now."""
        if self._watch is not None:
            self._recorder = self._watch.scene.recorder
        if self._recorder is not None:
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                self._recorder.write(event)
