"""Analysis of networks: multiply-adds, summaries, comparisons, benchmarks, Grad-CAM."""
