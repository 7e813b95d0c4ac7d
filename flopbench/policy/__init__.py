"""Policy logs: what an adaptive model decided, from any file form to exact counts.

Lives here: the log's records, its readers and writers, and the kernel that counts. Does not live
here: prices (``prices``), the estimator (``estimate``), anything that prints.
"""
