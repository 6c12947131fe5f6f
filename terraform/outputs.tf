output "job_definition_id" {
  description = "What the work pool `scaleway` wants as job_definition_id."
  value       = scaleway_job_definition.etl.id
}

output "worker_application_id" {
  description = "Whose API key the worker has as SCW_SECRET_KEY: scw iam api-key create application-id=…"
  value       = scaleway_iam_application.worker.id
}
