"""The demonstration behind `make demo`: a real pipeline, and a presenter that kills it half way."""
