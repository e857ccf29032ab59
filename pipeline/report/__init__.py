"""A RiskReport and its pictures, as files that a reader opens."""
