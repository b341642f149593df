"""Configuration: the kill switch (standard library), the control page (standard library), settings and their reader."""
