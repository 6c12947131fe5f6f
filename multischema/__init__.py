"""The ETL in plain Python: decisions are values, doors do the work, nothing here imports Prefect."""
