# To be tried and thrown away.
account     = "" # twelve digits: aws sts get-caller-identity
environment = "staging"
protected   = false
cidr        = "10.41.0.0/16"
replicas    = { least = 1, most = 2 }
