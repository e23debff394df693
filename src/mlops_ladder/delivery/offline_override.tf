# For plans without an account: `ladder provision judge` adds this to a copy of deploy/infra/.
provider "aws" {
  access_key                  = "offline"
  secret_key                  = "offline"
  allowed_account_ids         = []
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
