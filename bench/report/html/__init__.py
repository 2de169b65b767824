"""A report as one HTML file that needs no network: a leaderboard to sort and filter, a stream to zoom into.

Python writes the numbers (`bench.report.html.payload`), the scripts in ``script/`` draw them, and
`bench.report.html.document` puts everything into one file.
"""
