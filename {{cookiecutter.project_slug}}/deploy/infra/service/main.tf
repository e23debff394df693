# The service on Fargate behind a load balancer.  Without an image there is a place for it, and no service.
locals {
  serves = var.image != ""
  open   = var.certificate_arn != ""
  # A task's file system is read-only but for these, which belong to root until `prepare` has given them away.
  folders = { temporary = "/tmp", predictions = "/app/predictions" }
  mounts  = [for name, path in local.folders : { sourceVolume = name, containerPath = path, readOnly = false }]
  logged = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.service.name
      awslogs-region        = var.region
      awslogs-stream-prefix = "service"
    }
  }
  prepare = {
    name             = "prepare"
    image            = var.image
    essential        = false
    user             = "0"
    command          = concat(["chown", "10001"], values(local.folders))
    mountPoints      = local.mounts
    logConfiguration = local.logged
  }
  service = {
    name      = "service"
    image     = var.image
    essential = true
    # The hashes of the keys come as a secret; the service reads a file.
    command                = ["sh", "-c", "printf %s \"$KEYS\" > /tmp/keys.json && unset KEYS && exec ${var.command} serve"]
    portMappings           = [{ containerPort = 8000, protocol = "tcp" }]
    dependsOn              = [{ containerName = "prepare", condition = "SUCCESS" }]
    readonlyRootFilesystem = true
    stopTimeout            = 40
    mountPoints            = local.mounts
    logConfiguration       = local.logged
    environment = [
      { name = "${var.settings}_ACCESS__KEY_FILE", value = "/tmp/keys.json" },
      { name = "${var.settings}_ACCESS__OPEN", value = "false" },
    ]
    secrets = [
      { name = "KEYS", valueFrom = aws_secretsmanager_secret.filled["keys"].arn },
      { name = "${var.settings}_SERVING__PREDICTION_LOG_URL", valueFrom = aws_secretsmanager_secret.filled["log"].arn },
    ]
  }
}

resource "aws_secretsmanager_secret" "filled" {
  for_each                = { keys = "Hashes of the API keys, as JSON", log = "Address of the log of predictions, with its password" }
  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = var.key
  recovery_window_in_days = var.protected ? 30 : 0
}

resource "aws_cloudwatch_log_group" "service" {
  name              = "/${var.name}/service"
  retention_in_days = 90
  kms_key_id        = var.key
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "service" {
  count                    = local.serves ? 1 : 0
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 1024
  execution_role_arn       = aws_iam_role.starter.arn
  container_definitions    = jsonencode([local.prepare, local.service])
  dynamic "volume" {
    for_each = local.folders
    content {
      name = volume.key
    }
  }
}

resource "aws_ecs_service" "service" {
  count                              = local.serves ? 1 : 0
  name                               = "service"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.service[0].arn
  launch_type                        = "FARGATE"
  desired_count                      = var.replicas.least
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  availability_zone_rebalancing      = "ENABLED"
  wait_for_steady_state              = false
  network_configuration {
    subnets         = var.private
    security_groups = [aws_security_group.tasks.id]
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.service.arn
    container_name   = "service"
    container_port   = 8000
  }
  deployment_circuit_breaker { # new tasks that do not become ready: the old ones go on
    enable   = true
    rollback = true
  }
  lifecycle {
    ignore_changes = [desired_count] # the autoscaler's
  }
  depends_on = [aws_lb_listener.service]
}
