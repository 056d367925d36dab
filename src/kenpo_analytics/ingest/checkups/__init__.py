"""Which checkups are in this file? 特定健診 XML and the known CSV layouts become staged checkups."""
