# On the internet by HTTPS only, and only with a certificate; else in the network.
resource "aws_lb" "service" {
  name                       = var.name
  internal                   = !local.open
  load_balancer_type         = "application"
  security_groups            = [aws_security_group.balancer.id]
  subnets                    = local.open ? var.public : var.private
  drop_invalid_header_fields = true
  enable_deletion_protection = var.protected
}

resource "aws_lb_target_group" "service" {
  name                          = var.name
  vpc_id                        = var.network
  target_type                   = "ip"
  protocol                      = "HTTP"
  port                          = 8000
  deregistration_delay          = 30
  load_balancing_algorithm_type = "least_outstanding_requests"
  health_check {
    path                = "/ready"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "service" {
  load_balancer_arn = aws_lb.service.arn
  port              = local.open ? 443 : 80
  protocol          = local.open ? "HTTPS" : "HTTP"
  certificate_arn   = local.open ? var.certificate_arn : null
  ssl_policy        = local.open ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service.arn
  }
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "Whoever is let in to the load balancer"
  vpc_id      = var.network
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  description       = local.open ? "HTTPS from everywhere" : "HTTP from the network"
  security_group_id = aws_security_group.balancer.id
  cidr_ipv4         = local.open ? "0.0.0.0/0" : var.cidr
  ip_protocol       = "tcp"
  from_port         = local.open ? 443 : 80
  to_port           = local.open ? 443 : 80
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  description                  = "To the tasks"
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = aws_security_group.tasks.id
  ip_protocol                  = "tcp"
  from_port                    = 8000
  to_port                      = 8000
}

resource "aws_security_group" "tasks" {
  name        = "${var.name}-tasks"
  description = "The tasks of the service"
  vpc_id      = var.network
}

resource "aws_vpc_security_group_ingress_rule" "tasks" {
  description                  = "From the load balancer"
  security_group_id            = aws_security_group.tasks.id
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = 8000
  to_port                      = 8000
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  for_each          = { "the database, in the network" = [5432, var.cidr], "images, secrets, logs" = [443, "0.0.0.0/0"] }
  description       = "To ${each.key}"
  security_group_id = aws_security_group.tasks.id
  cidr_ipv4         = each.value[1]
  ip_protocol       = "tcp"
  from_port         = each.value[0]
  to_port           = each.value[0]
}
