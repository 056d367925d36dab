"""Which claims are in this file? RECODEINFO and UKE (レセプト) become staged claims and fee lines."""
