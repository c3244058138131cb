"""`emotion-trainer prepare`: a data set becomes a pack and an audit that says what is in it."""
