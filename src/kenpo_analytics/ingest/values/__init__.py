"""What does a text say? Numbers, days, words and ids as files write them, one way for every reader."""
