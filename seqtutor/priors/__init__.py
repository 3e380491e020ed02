"""The models: what they read and write, sampling from them, primers, their files."""
