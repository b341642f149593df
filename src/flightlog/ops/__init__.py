"""What one does to flightlog itself, on a fleet or one machine: measuring what it costs, rolling it out.

Owns: nothing here; one module per matter. Leaves words and pages to `cli`.
"""
