"""Maps and images divided into what recurs and what is noise."""
