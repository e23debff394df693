# PostgreSQL for the log of predictions and for MLflow.  AWS makes the administrator's password and keeps it in
# Secrets Manager: it is in no file, and not in the state.  From version 15 on RDS lets nobody in without TLS.
resource "aws_db_instance" "this" {
  identifier                          = var.name
  engine                              = "postgres"
  engine_version                      = "17"
  instance_class                      = var.class
  allocated_storage                   = 20
  max_allocated_storage               = 200
  storage_type                        = "gp3"
  db_name                             = "predictions"
  username                            = "administrator"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.key
  iam_database_authentication_enabled = true

  storage_encrypted = true
  kms_key_id        = var.key

  publicly_accessible    = false
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.database.id]

  multi_az                        = var.protected
  backup_retention_period         = 14
  copy_tags_to_snapshot           = true
  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql"]

  deletion_protection       = var.protected
  skip_final_snapshot       = !var.protected
  final_snapshot_identifier = var.protected ? "${var.name}-final" : null
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnets
}

resource "aws_security_group" "database" {
  name        = "${var.name}-database"
  description = "Whoever is let in to the database"
  vpc_id      = var.network
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each                     = var.clients
  description                  = "PostgreSQL, from ${each.key}"
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

variable "name" {
  description = "First part of the names."
  type        = string
}

variable "key" {
  description = "ARN of the key that encrypts what is kept."
  type        = string
}

variable "class" {
  description = "Class of the machine."
  type        = string
}

variable "protected" {
  description = "true: it is not deleted, is kept in two zones, and leaves a last snapshot."
  type        = bool
}

variable "network" {
  description = "The network that it is in."
  type        = string
}

variable "subnets" {
  description = "Private subnets, in two zones at least."
  type        = list(string)
}

variable "clients" {
  description = "Security groups that may connect, by a word for each."
  type        = map(string)
}

output "address" {
  description = "Host and port."
  value       = aws_db_instance.this.endpoint
}

output "secret" {
  description = "ARN of the secret that AWS keeps the administrator's password in."
  value       = one(aws_db_instance.this.master_user_secret[*].secret_arn)
}

output "kept" {
  description = "Does it survive a destroy?"
  value       = aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
}
