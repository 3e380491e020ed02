"""The border to a plugin: what its class must state, what is checked on the way, what it does by default."""
