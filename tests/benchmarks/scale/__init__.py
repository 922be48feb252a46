"""How many machines a site needs: measured costs, a plan, and a simulation that checks the plan.

`make scale` prints the tables of docs/scale.md and writes them there. All figures are in
figures.json, which says what is measured and what is assumed.
"""
