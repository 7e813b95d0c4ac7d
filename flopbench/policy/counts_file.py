"""Counts files: what the samples of a log, or of some of its shards, add up to, one part each.

``flopbench log reduce`` writes them, ``flopbench estimate --counts`` merges any number of them, in
any order, into the counts of the whole log. Any engine can make them. A part is a Parquet file; its
rows are the records (views of videos) times the actions that occur in each, sorted by video, view
and action, and a record without actions is one row:

============= ============ =====================================================================
column        type         meaning
============= ============ =====================================================================
``video``     VARCHAR      the sample's ``id``
``view``      VARCHAR      its view, NULL where the log has none
``cluster``   VARCHAR      of ``--cluster COLUMN``: that value of ``extra`` as text; else NULL
``labels``    VARCHAR      JSON of the list, ``[3]`` or ``["dog","cat"]``; NULL without labels
``exit``      VARCHAR      name of the exit taken; NULL without
``counts``    VARCHAR      JSON of the additional runs, ``{"resnet18":5.12}``; NULL without
``steps``     BIGINT       sampled steps of the record, also those that no decision covers
``action``    VARCHAR      name of the action, ``stream: name`` with streams; NULL without actions
``frames``    BIGINT       steps under the action; 0 without an action
``decisions`` BIGINT       decisions for it by the exact rule; 0 without an action
============= ============ =====================================================================

The first seven are the record's, and so the same in all of its rows.

The file's metadata has the header as logs in Parquet have it, JSON under ``flopbench.policy-log``,
and under ``flopbench.counts`` the JSON of ``About``. Version history: 1, the first.
"""

from __future__ import annotations
