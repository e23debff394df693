# Starts the tasks: pulls the image, writes logs, reads the two secrets.  The service itself has no role.
resource "aws_iam_role" "starter" {
  name               = "${var.name}-starter"
  assume_role_policy = data.aws_iam_policy_document.by.json
}

data "aws_iam_policy_document" "by" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "starter" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"] # it knows no resource
    resources = ["*"]
  }
  statement {
    sid       = "PullImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.repository]
  }
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.service.arn}:*"]
  }
  statement {
    sid       = "ReadSecrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = values(aws_secretsmanager_secret.filled)[*].arn
  }
  statement {
    sid       = "UseKey"
    actions   = ["kms:Decrypt"]
    resources = [var.key]
  }
}

resource "aws_iam_role_policy" "starter" {
  name   = "start"
  role   = aws_iam_role.starter.id
  policy = data.aws_iam_policy_document.starter.json
}
