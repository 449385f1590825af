"""Injects faults for real into the command line, and counts what is left right: the table of docs/reliability.md.

python -m benchmarks.faults                      # every row; prints each as soon as it is known
python -m benchmarks.faults --only kills         # one row
python -m benchmarks.faults --write              # put the rows that were run into docs/reliability.md
"""
