output "job_definition_id" {
  description = "The job_definition_id of the work pool `scaleway`."
  value       = scaleway_job_definition.etl.id
}

output "worker_application_id" {
  description = "The worker's identity; its API key is the worker's SCW_SECRET_KEY: scw iam api-key create application-id=…"
  value       = scaleway_iam_application.worker.id
}
