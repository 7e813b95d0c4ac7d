"""A trained cascade on real frames: how much each frame costs is the frame's own decision."""
