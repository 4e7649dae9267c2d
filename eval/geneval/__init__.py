"""GenEval: images of named objects, their number, colours and places; what it asks for, the check, the report."""
