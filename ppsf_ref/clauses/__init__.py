"""One small pure function per clause of ``spec/clauses``; a file per area."""
