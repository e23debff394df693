# 1.10 is the first that locks a state in S3 without a table of its own (docs/cloud.md).
terraform {
  required_version = ">= 1.10, < 2"
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.80, < 6" }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account] # else what is meant for staging may land in production
  default_tags {
    tags = { project = var.project, environment = var.environment, managed-by = "terraform" }
  }
}
