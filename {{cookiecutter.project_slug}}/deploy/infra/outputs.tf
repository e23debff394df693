output "artifacts" {
  description = "Where MLflow's server keeps artifacts: MLFLOW_ARTIFACTS_DESTINATION."
  value       = "s3://${module.registry.artifacts}"
}

output "images" {
  description = "Where images are pushed: REGISTRY."
  value       = module.registry.images
}

output "database" {
  description = "Address of the database, and the secret that holds name and password of its administrator."
  value       = { address = module.database.address, secret = module.database.secret }
}

output "secrets" {
  description = "Secrets to fill by hand before the service starts: none of them is in the state."
  value       = module.service.secrets
}

output "address" {
  description = "Address of the load balancer."
  value       = module.service.address
}

output "deployer" {
  description = "Role that CI takes on to push an image; null where `repository` is empty."
  value       = one(module.deployer[*].arn)
}
