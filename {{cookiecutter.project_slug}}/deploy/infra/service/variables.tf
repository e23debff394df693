variable "name" {
  description = "First part of the names."
  type        = string
}

variable "region" {
  description = "Region of AWS."
  type        = string
}

variable "key" {
  description = "ARN of the key that encrypts what is kept."
  type        = string
}

variable "network" {
  description = "The network that it is in."
  type        = string
}

variable "public" {
  description = "Public subnets, in two zones at least."
  type        = list(string)
}

variable "private" {
  description = "Private subnets, in two zones at least."
  type        = list(string)
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
}

variable "image" {
  description = "Image by its digest; empty: no service."
  type        = string
}

variable "repository" {
  description = "ARN of the repository that the image is pulled from."
  type        = string
}

variable "command" {
  description = "The program of the image that serves."
  type        = string
}

variable "settings" {
  description = "What the names of its settings begin with."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate of ACM; empty: not on the internet."
  type        = string
}

variable "replicas" {
  description = "How many tasks at least and at most."
  type        = object({ least = number, most = number })
}

variable "protected" {
  description = "true: the load balancer is not deleted, and secrets can be brought back."
  type        = bool
}

output "address" {
  description = "Name of the load balancer."
  value       = aws_lb.service.dns_name
}

output "tasks" {
  description = "Security group of the tasks."
  value       = aws_security_group.tasks.id
}

output "secrets" {
  description = "ARNs of the secrets that are filled by hand."
  value       = { for name, it in aws_secretsmanager_secret.filled : name => it.arn }
}

output "tasks_at_most" {
  description = "How many tasks serve at most."
  value       = one(aws_appautoscaling_target.service[*].max_capacity) == null ? 0 : aws_appautoscaling_target.service[0].max_capacity
}

output "internal" {
  description = "Is it reached from inside the network only?"
  value       = aws_lb.service.internal
}

output "port" {
  description = "The port that is asked."
  value       = aws_lb_listener.service.port
}
