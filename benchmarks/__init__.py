"""Benchmarks of cnnzoo's speed and memory beside other libraries: `make bench`.

`rows.py` lists the benchmarks, `alternate.py` runs them with one process per contender
(`contender.py` and the modules that it loads), `results.py` and `ratios.py` hold and
compare the results, and `page.py` writes `docs/speed.md`.
"""
