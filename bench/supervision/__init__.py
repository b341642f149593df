"""Small programs that die in about forty ways, and four supervisors that are asked why. `python -m bench supervisors` puts them together."""
