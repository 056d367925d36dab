"""What is in this file? Raw deliveries (健診XML・CSV, レセプト, Excel) become staged records, then canonical tables."""
