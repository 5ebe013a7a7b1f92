"""Sparse retrieval: texts to hashed n-grams, weights, inverted index, ranking. Free of any paper."""
