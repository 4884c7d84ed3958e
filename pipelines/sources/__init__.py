"""Where samples come from: road frames, and things to put into them."""
