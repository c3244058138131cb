"""`emotion-trainer quantize`: the int8 forms of the two networks, and what they cost."""
