"""What figures read: logs, points, profiles, replays, timings."""
