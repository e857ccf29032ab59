"""The science of Synopt: plain functions on frozen values; knows nothing of Prefect."""
