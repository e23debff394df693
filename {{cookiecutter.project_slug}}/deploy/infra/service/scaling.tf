# More tasks under load, fewer without.
locals {
  scaled = local.serves ? "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.service[0].name}" : ""
  followed = {
    cpu      = { metric = "ECSServiceAverageCPUUtilization", target = 60, label = null }
    requests = { metric = "ALBRequestCountPerTarget", target = 6000, label = "${aws_lb.service.arn_suffix}/${aws_lb_target_group.service.arn_suffix}" }
  }
}

resource "aws_appautoscaling_target" "service" {
  count              = local.serves ? 1 : 0
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = local.scaled
  min_capacity       = var.replicas.least
  max_capacity       = var.replicas.most
}

resource "aws_appautoscaling_policy" "service" {
  for_each           = local.serves ? local.followed : {}
  name               = each.key
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.service[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.service[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.service[0].resource_id
  target_tracking_scaling_policy_configuration {
    target_value       = each.value.target
    scale_in_cooldown  = 300
    scale_out_cooldown = 60
    predefined_metric_specification {
      predefined_metric_type = each.value.metric
      resource_label         = each.value.label
    }
  }
}
