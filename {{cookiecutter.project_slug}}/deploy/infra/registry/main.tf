# Where models and images are kept: a bucket for MLflow's artifacts, a repository for images.
resource "aws_s3_bucket" "artifacts" {
  bucket_prefix = "${var.name}-"
  force_destroy = !var.protected
}

resource "aws_s3_bucket_public_access_block" "artifacts" {
  bucket                  = aws_s3_bucket.artifacts.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# What is overwritten or deleted can be brought back for 90 days.
resource "aws_s3_bucket_versioning" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id
  rule {
    id     = "old"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 90
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
  depends_on = [aws_s3_bucket_versioning.artifacts]
}

resource "aws_s3_bucket_server_side_encryption_configuration" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.key
    }
  }
}

resource "aws_s3_bucket_policy" "artifacts" {
  bucket     = aws_s3_bucket.artifacts.id
  policy     = data.aws_iam_policy_document.artifacts.json
  depends_on = [aws_s3_bucket_public_access_block.artifacts]
}

data "aws_iam_policy_document" "artifacts" {
  statement {
    sid       = "OnlyEncryptedConnections"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.artifacts.arn, "${aws_s3_bucket.artifacts.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_ecr_repository" "images" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.protected
  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key
  }
}

resource "aws_ecr_lifecycle_policy" "images" {
  repository = aws_ecr_repository.images.name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    description  = "The newest 50 stay: to go back is to name one of them"
    selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 50 }
    action       = { type = "expire" }
  }] })
}

variable "name" {
  description = "First part of the names."
  type        = string
}

variable "key" {
  description = "ARN of the key that encrypts what is kept."
  type        = string
}

variable "protected" {
  description = "true: what holds something is not deleted."
  type        = bool
}

output "artifacts" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.artifacts.id
}

output "artifacts_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.artifacts.arn
}

output "images" {
  description = "Address of the repository."
  value       = aws_ecr_repository.images.repository_url
}

output "images_arn" {
  description = "ARN of the repository."
  value       = aws_ecr_repository.images.arn
}

output "kept" {
  description = "Do artifacts and images survive a destroy?"
  value       = !aws_s3_bucket.artifacts.force_destroy && !aws_ecr_repository.images.force_delete
}
