# The Serverless Job that runs the flow on Scaleway, and the identity that may start it. docs/scaleway.md has the steps.
terraform {
  required_version = ">= 1.5"
  required_providers {
    scaleway = {
      source  = "scaleway/scaleway"
      version = "~> 2.74"
    }
  }
}

# Credentials come from the environment: SCW_ACCESS_KEY, SCW_SECRET_KEY.
provider "scaleway" {
  region     = var.region
  project_id = var.project_id
}

# The worker starts this job once per flow run, with a command and PREFECT__FLOW_RUN_ID of its own.
resource "scaleway_job_definition" "etl" {
  name                   = var.name
  description            = "A flow run of etl. Started by the Prefect worker of the work pool scaleway."
  image_uri              = "${var.image}:${var.image_tag}"
  cpu_limit              = var.cpu_limit
  memory_limit           = var.memory_limit
  local_storage_capacity = var.local_storage_capacity
  timeout                = var.timeout

  # No cron: Prefect has the schedules (prefect.yaml). No retry_policy, which means no retry: the flow itself repeats what is
  # worth repeating, and a job that Scaleway starts again would run a flow run that has ended.

  env = merge({ PREFECT_API_URL = var.prefect_api_url }, var.env)

  # Values stay in Secret Manager, out of this state: only their names are here.
  dynamic "secret_reference" {
    for_each = var.secrets
    content {
      environment = secret_reference.key
      secret_id   = data.scaleway_secret.all[secret_reference.key].id
    }
  }
}

data "scaleway_secret" "all" {
  for_each = var.secrets
  name     = each.value
}

# The worker's identity at Scaleway: it starts, watches and stops jobs of this project, and can do nothing else.
resource "scaleway_iam_application" "worker" {
  name        = "${var.name}-worker"
  description = "The Prefect worker that starts the Serverless Job ${var.name}."
}

resource "scaleway_iam_policy" "worker" {
  name           = "${var.name}-worker"
  application_id = scaleway_iam_application.worker.id

  rule {
    project_ids          = [var.project_id]
    permission_set_names = ["ServerlessJobsFullAccess"]
  }
}
