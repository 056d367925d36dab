"""Which tables do all deliveries make? Sealed records of every delivery, people, links, canonical tables."""
