"""Models: specifications, published set-ups (presets), and building them."""
