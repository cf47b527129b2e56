"""Rate limits: whether a user's windows have room for a request, and for the tokens of one.

Owns the sliding windows, in this process (`local`) or in the database for several proxies (`shared`),
and budgets and what groups share on top of them (`quotas`). Leaves users' limits to `identity`, and the
records that windows are rebuilt from to `records`.

Front door: `admission.Admitter`, implemented by `quotas.Quotas` on top of `local.LocalAdmission` or
`shared.SharedAdmission`.
"""
