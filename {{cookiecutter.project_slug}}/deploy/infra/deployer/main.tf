# The role that CI takes on by OIDC, without a key that could be stolen.  It may push images and read artifacts.
locals {
  # The subject is given in full: a wildcard would let in other branches, or other people's repositories.
  forges = {
    github = {
      host     = "token.actions.githubusercontent.com"
      audience = "sts.amazonaws.com"
      subject  = "repo:${var.repository}:environment:${var.branch}"
    }
    gitlab = {
      host     = "gitlab.com"
      audience = "https://gitlab.com"
      subject  = "project_path:${var.repository}:ref_type:branch:ref:${var.branch == "production" ? "main" : var.branch}"
    }
  }
  forge = local.forges[var.forge]
}

# An account has one for each forge: where it is there already, `terraform import` it (docs/cloud.md).
resource "aws_iam_openid_connect_provider" "forge" {
  url            = "https://${local.forge.host}"
  client_id_list = [local.forge.audience]
}

resource "aws_iam_role" "deployer" {
  name                 = "${var.name}-deployer"
  assume_role_policy   = data.aws_iam_policy_document.by.json
  max_session_duration = 3600
}

data "aws_iam_policy_document" "by" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.forge.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.forge.host}:aud"
      values   = [local.forge.audience]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.forge.host}:sub"
      values   = [local.forge.subject]
    }
  }
}

data "aws_iam_policy_document" "may" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"] # it knows no resource
    resources = ["*"]
  }
  statement {
    sid = "PushImages"
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = [var.images]
  }
  statement {
    sid       = "ReadArtifacts"
    actions   = ["s3:GetObject", "s3:ListBucket"]
    resources = [var.artifacts, "${var.artifacts}/*"]
  }
  statement {
    sid       = "UseKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.key]
  }
}

resource "aws_iam_role_policy" "may" {
  name   = "push"
  role   = aws_iam_role.deployer.id
  policy = data.aws_iam_policy_document.may.json
}

variable "name" {
  description = "First part of the names."
  type        = string
}

variable "forge" {
  description = "github or gitlab."
  type        = string
}

variable "repository" {
  description = "organisation/name."
  type        = string
}

variable "branch" {
  description = "The environment of GitHub whose jobs may take on the role; on GitLab the branch, main for production."
  type        = string
}

variable "key" {
  description = "ARN of the key that encrypts images and artifacts."
  type        = string
}

variable "images" {
  description = "ARN of the repository of images."
  type        = string
}

variable "artifacts" {
  description = "ARN of the bucket of artifacts."
  type        = string
}

output "arn" {
  description = "The role."
  value       = aws_iam_role.deployer.arn
}

output "subject" {
  description = "Whose token takes on the role."
  value       = local.forge.subject
}
