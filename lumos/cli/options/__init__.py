"""Options that several commands and drivers have, and how what is wrong is said under the name of the option given."""
