"""The loops: a prior learnt from data, a policy tuned towards rewards, from the first update to the last table."""
