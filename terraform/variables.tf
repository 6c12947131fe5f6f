variable "project_id" {
  description = "The Scaleway project of the job."
  type        = string
}

variable "region" {
  description = "Where the job runs: fr-par, nl-ams or pl-waw. Outside fr-par, set the same `region` in the job_variables of prefect.yaml."
  type        = string
  default     = "fr-par"

  validation {
    condition     = contains(["fr-par", "nl-ams", "pl-waw"], var.region)
    error_message = "Serverless Jobs run in fr-par, nl-ams and pl-waw."
  }
}

variable "name" {
  description = "The name of the job definition."
  type        = string
  default     = "multi-schema-postgres-etl"
}

variable "image" {
  description = "The image, without its tag."
  type        = string
  default     = "ghcr.io/betagouv/multi-schema-postgres-etl"
}

variable "image_tag" {
  description = "A branch, a tag, a commit or latest. A commit or a tag says what runs, and lets you roll back."
  type        = string
}

variable "cpu_limit" {
  description = "mvCPU, 6000 at most. The databases do most of the work."
  type        = number
  default     = 1000
}

variable "memory_limit" {
  description = "MiB, 16384 at most. It does not grow with the size of the database."
  type        = number
  default     = 1024
}

variable "local_storage_capacity" {
  description = "MiB, 10240 at most. Only mode dump needs a disk: about half of the origin's size."
  type        = number
  default     = 1024
}

variable "timeout" {
  description = "How long a run may take before Scaleway kills it, 24h at most."
  type        = string
  default     = "12h"
}

variable "prefect_api_url" {
  description = "The URL of the Prefect server, ending in /api. The job reaches it over the internet."
  type        = string
}

variable "env" {
  description = "Other variables of the job, in clear."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Variables of the job with their values in Secret Manager: the variable's name, and the secret's."
  type        = map(string)
  default     = { PREFECT_API_AUTH_STRING = "prefect-api-auth-string" }
}
