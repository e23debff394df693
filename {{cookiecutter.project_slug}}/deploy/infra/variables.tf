variable "project" {
  description = "First part of every name: small letters, digits and hyphens."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,62}$", var.project))
    error_message = "project: small letters, digits and hyphens, a letter first, 63 characters at most."
  }
}

variable "package" {
  description = "Name of the Python package; its settings are variables of the environment that begin with it."
  type        = string
}

variable "command" {
  description = "The program of the image that serves: `command serve`."
  type        = string
}

variable "environment" {
  description = "Second part of every name. What is kept in production is protected."
  type        = string
  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment: staging or production."
  }
}

variable "account" {
  description = "Number of the account of AWS: nothing is done in another one."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "account: the twelve digits of `aws sts get-caller-identity`, in deploy/infra/environments."
  }
}

variable "region" {
  description = "Region of AWS in which everything is made."
  type        = string
  default     = "eu-central-1"
}

variable "zones" {
  description = "Letters of the availability zones; a load balancer and a database want two or more."
  type        = list(string)
  default     = ["a", "b"]
  validation {
    condition     = length(distinct(var.zones)) >= 2
    error_message = "zones: two different letters at least."
  }
}

variable "cidr" {
  description = "Addresses of the network, a /16 that nothing else uses that it has to reach."
  type        = string
  default     = "10.40.0.0/16"
  validation {
    condition     = can(cidrnetmask(var.cidr)) && endswith(var.cidr, "/16")
    error_message = "cidr: a /16, such as 10.40.0.0/16."
  }
}

variable "protected" {
  description = "Does what holds data survive a destroy? true: database and bucket refuse to be deleted."
  type        = bool
  validation {
    condition     = var.protected || var.environment != "production"
    error_message = "protected: production has to be protected; docs/cloud.md says how it is taken down."
  }
}

variable "forge" {
  description = "Where CI runs: github or gitlab."
  type        = string
  validation {
    condition     = contains(["github", "gitlab"], var.forge)
    error_message = "forge: github or gitlab."
  }
}

variable "repository" {
  description = "The repository whose CI may deploy, such as organisation/name. Empty: none may."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^([\\w.-]+(/[\\w.-]+)+)?$", var.repository))
    error_message = "repository: organisation/name, without an address and without a wildcard."
  }
}

variable "certificate_arn" {
  description = "Certificate of ACM. With it the service is on the internet, by HTTPS only; without it in the network only."
  type        = string
  default     = ""
}

variable "image" {
  description = "Image of the service by its digest. Empty: all is made but the service."
  type        = string
  default     = ""
  validation {
    condition     = var.image == "" || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: name@sha256:…; a tag may mean another image tomorrow."
  }
}

variable "replicas" {
  description = "How many tasks serve at least and at most."
  type        = object({ least = number, most = number })
  default     = { least = 2, most = 6 }
  validation {
    condition     = var.replicas.least >= 1 && var.replicas.most >= var.replicas.least
    error_message = "replicas: one at least, and most is not below least."
  }
}

variable "database_class" {
  description = "Class of the database's machine."
  type        = string
  default     = "db.t4g.micro"
}
