"""What a request used and what it costs: readers, prices and records, without I/O or a clock."""
