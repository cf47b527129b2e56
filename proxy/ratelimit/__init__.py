"""Rate limits: whether a user's windows have room for a request, and for the tokens of one.

Owns the sliding windows, in this process (`local`) or in the database for several proxies (`shared`).
Leaves users' limits to `identity`, and the records that windows are rebuilt from to `records`.

Front door: `admission.Admitter`, implemented by `local.LocalAdmission` and `shared.SharedAdmission`.
"""
