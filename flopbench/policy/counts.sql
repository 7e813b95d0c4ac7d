-- Rows of decisions -> the rows of a counts file (policy/counts_file.py), by the exact rule.
-- DuckDB and Spark run this text as it stands; policy/by_sql.py makes the two views for each:
--   log_rows     one row for each row of decisions, or one for a record without any:
--     video, view, labels (JSON), stream, position (from 0; NULL: no decisions), action (as the log
--     has it), span (its own, else NULL), steps (where record or header say them, else NULL),
--     source (the file), defect (what is wrong with the record).
--     The header of a file: no video, no stream, and the file as its view.
--   log_actions  stream, action (as the log has it), name, span, covered (steps under one row),
--     rows_each (rows of one decision)
WITH known AS (
    SELECT
        r.video,
        r.view,
        r.labels,
        r.stream,
        coalesce(r.position, 0) AS place,
        r.position IS NOT NULL AS decides,
        a.name AS action,
        a.rows_each,
        CASE WHEN r.position IS NULL THEN 0 ELSE coalesce(r.span, a.covered, 1) END AS covered,
        r.steps,
        coalesce(r.span - a.span, 0) AS longer,
        CASE
            WHEN r.defect IS NOT NULL
                THEN concat(r.source, ': id ', coalesce(r.video, 'missing'), ': ', r.defect)
            WHEN r.position IS NOT NULL AND a.name IS NULL
                THEN concat(
                    r.source, ': id ', r.video, ': actions[', CAST(r.position AS STRING), '] is ',
                    coalesce(r.action, 'null'), ', which is not an action of this log'
                )
            WHEN r.span < 1
                THEN concat(
                    r.source, ': id ', r.video, ': spans[', CAST(r.position AS STRING), '] is ',
                    CAST(r.span AS STRING), ' where 1 or more was expected'
                )
        END AS defect
    FROM log_rows AS r
    LEFT JOIN log_actions AS a ON r.stream = a.stream AND r.action = a.action
),

placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY video, view, stream ORDER BY place) AS number,
        lag(action) OVER (PARTITION BY video, view, stream ORDER BY place) AS before,
        lead(action) OVER (PARTITION BY video, view, stream ORDER BY place) AS after,
        sum(covered) OVER (
            PARTITION BY video, view, stream ORDER BY place
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS so_far
    FROM known
),

in_runs AS (
    SELECT
        *,
        place - max(CASE WHEN before = action THEN 0 ELSE place END) OVER (
            PARTITION BY video, view, stream ORDER BY place
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS in_run,
        coalesce(steps, so_far) AS ends,
        CASE WHEN decides AND after IS NULL THEN so_far - coalesce(steps, so_far) ELSE 0 END AS cut
    FROM placed
),

counted AS (
    SELECT
        video,
        view,
        labels,
        action,
        max(CASE WHEN after IS NULL THEN ends END) AS steps,
        sum(covered - cut) AS frames,
        sum(CASE WHEN decides AND in_run % rows_each = 0 THEN 1 ELSE 0 END) AS decisions,
        max(CASE WHEN longer = 0 OR (longer < 0 AND after IS NULL) THEN 0 ELSE 1 END) AS own_spans,
        sum(CASE WHEN after <> action AND (in_run + 1) % rows_each > 0 THEN 1 ELSE 0 END) AS odd_runs,
        min(
            CASE
                WHEN after <> action AND (in_run + 1) % rows_each > 0
                    THEN concat(
                        'id ', video, ': actions[', CAST(place - in_run AS STRING), ']: a run of ',
                        CAST(in_run + 1 AS STRING), ' × ', chr(39), action, chr(39), ', which covers ',
                        CAST(rows_each AS STRING), ' steps'
                    )
            END
        ) AS odd_run,
        min(
            CASE
                WHEN defect IS NOT NULL THEN defect
                WHEN number <> place + 1 AND video IS NULL
                    THEN concat(view, ': there is a second header')
                WHEN number <> place + 1
                    THEN concat(
                        'id ', video, CASE WHEN view IS NULL THEN '' ELSE concat(', view ', view) END,
                        ' is there twice'
                    )
                WHEN cut < 0 OR (decides AND cut >= covered)
                    THEN concat(
                        'id ', video, ': its actions cover ', CAST(so_far AS STRING),
                        ' steps, and it has ', CAST(ends AS STRING)
                    )
            END
        ) AS defect
    FROM in_runs
    GROUP BY video, view, labels, action
)

SELECT
    video,
    view,
    CAST(NULL AS STRING) AS cluster,
    labels,
    CAST(NULL AS STRING) AS exit,
    CAST(NULL AS STRING) AS counts,
    CAST(max(steps) OVER (PARTITION BY video, view) AS BIGINT) AS steps,
    action,
    CAST(frames AS BIGINT) AS frames,
    CAST(decisions AS BIGINT) AS decisions,
    own_spans,
    CAST(odd_runs AS BIGINT) AS odd_runs,
    odd_run,
    defect
FROM counted
