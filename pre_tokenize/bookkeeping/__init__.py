"""Which rows are whose, which are done, and what is written of them: shares, the ledger, records."""
