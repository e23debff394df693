# Database and artifacts survive a destroy.
account        = "" # twelve digits: aws sts get-caller-identity
environment    = "production"
protected      = true
database_class = "db.t4g.small"
