"""The limits of what is read and planned, each checked before anything is made of the input."""

MOST_CELLS = 100_000
"""Cells of one plan."""
MOST_FILES = 1_000
"""Sweep files of one command, those that are included counted in."""
MOST_VALUES = 20_000
"""Values of one file, each alias and each merge counted as what it stands for."""
MOST_KEYS = 100
"""Keys of one mapping."""
DEEPEST = 20
"""Levels of lists and mappings in each other, and of files that include each other."""
LONGEST_KEY = 200
"""Characters of a key."""
LONGEST_NUMBER = 100
"""Characters of a number: Python takes long to read very long ones, and no parameter has one."""
LARGEST_NUMBER = 10**18
"""End of a range of numbers, on either side of zero."""
LARGEST_SIZE = 2**16
"""Pixels of a side, and frames."""
FEWEST_PROMPTS = 6
"""Fewest prompts of which a difference can be shown, and so the least `max_prompts`."""
MOST_VARIABLES = 20
"""Variables of a prompt: each is a column of its runs."""
LONGEST_VALUE = 500
"""Characters of a variable's value."""
