"""What cnnzoo's speed and memory are compared with, and how: `make bench`.

`rows.py` says what is measured, `alternate.py` measures it with one process a contender
(`contender.py` and what it loads), `results.py` and `ratios.py` hold and compare what
came out, and `page.py` writes `docs/speed.md`.
"""
