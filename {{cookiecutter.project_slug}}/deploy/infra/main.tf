# What the project needs in one account and region of AWS.  docs/cloud.md says what it costs.
locals {
  # Names of load balancers end at 32 characters, prefixes of buckets at 37.
  name = "${trim(substr(var.project, 0, 20), "-")}-${var.environment}"
  arn  = "arn:aws:logs:${var.region}:${var.account}:log-group:/${local.name}/*"
}

# One key for all that is kept.
resource "aws_kms_key" "kept" {
  description             = "What ${local.name} keeps: artifacts, images, database, secrets, logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

data "aws_iam_policy_document" "key" {
  # In the policy of a key, "*" is this key and nothing else.
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account}:root"]
    }
  }
  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = [local.arn]
    }
  }
}

module "network" {
  source = "./network"
  name   = local.name
  cidr   = var.cidr
  zones  = [for letter in var.zones : "${var.region}${letter}"]
  key    = aws_kms_key.kept.arn
}

module "registry" {
  source    = "./registry"
  name      = local.name
  key       = aws_kms_key.kept.arn
  protected = var.protected
}

module "database" {
  source    = "./database"
  name      = local.name
  key       = aws_kms_key.kept.arn
  class     = var.database_class
  protected = var.protected
  network   = module.network.id
  subnets   = module.network.private
  clients   = { service = module.service.tasks }
}

module "service" {
  source          = "./service"
  name            = local.name
  region          = var.region
  key             = aws_kms_key.kept.arn
  network         = module.network.id
  public          = module.network.public
  private         = module.network.private
  cidr            = var.cidr
  image           = var.image
  repository      = module.registry.images_arn
  command         = var.command
  settings        = upper(var.package)
  certificate_arn = var.certificate_arn
  replicas        = var.replicas
  protected       = var.protected
}

module "deployer" {
  source     = "./deployer"
  count      = var.repository == "" ? 0 : 1
  name       = local.name
  forge      = var.forge
  repository = var.repository
  branch     = var.environment
  key        = aws_kms_key.kept.arn
  images     = module.registry.images_arn
  artifacts  = module.registry.artifacts_arn
}
