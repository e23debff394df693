# Without an account: every answer of AWS is made up.  Run by `make infra`.
mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_db_instance" {
    defaults = { master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x" }] }
  }
  override_during = plan
}

variables {
  account     = "123456789012"
  environment = "staging"
  protected   = false
}

run "staging_can_be_thrown_away" {
  command = plan
  assert {
    condition     = module.registry.kept == false && module.database.kept == false
    error_message = "staging: what it holds would survive"
  }
  assert {
    condition     = module.service.tasks_at_most == 0 && module.service.internal
    error_message = "without an image and a certificate: no tasks, and nothing on the internet"
  }
  assert {
    condition     = length(module.deployer) == 0
    error_message = "without a repository nobody's CI may deploy"
  }
}

run "production_survives" {
  command = plan
  variables {
    environment     = "production"
    protected       = true
    image           = "registry.example.com/a@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/x"
    repository      = "organisation/name"
  }
  assert {
    condition     = module.registry.kept && module.database.kept
    error_message = "production: what it holds can be deleted"
  }
  assert {
    condition     = module.service.tasks_at_most == 6 && !module.service.internal && module.service.port == 443
    error_message = "with image and certificate: six tasks at most, by HTTPS only"
  }
  assert {
    condition     = module.deployer[0].subject == { github = "repo:organisation/name:environment:production", gitlab = "project_path:organisation/name:ref_type:branch:ref:main" }[var.forge]
    error_message = "another subject than the production of organisation/name may deploy"
  }
}

run "production_is_protected" {
  command = plan
  variables {
    environment = "production"
    protected   = false
  }
  expect_failures = [var.protected]
}

run "an_image_has_a_digest" {
  command = plan
  variables {
    image = "registry.example.com/a:latest"
  }
  expect_failures = [var.image]
}

run "an_account_is_named" {
  command = plan
  variables {
    account = ""
  }
  expect_failures = [var.account]
}

run "a_repository_has_no_wildcard" {
  command = plan
  variables {
    repository = "organisation/*"
  }
  expect_failures = [var.repository]
}
