"""What the author of a plug-in reads: strategy, forecaster, dataset, series, protocol, and how plug-ins are found."""
