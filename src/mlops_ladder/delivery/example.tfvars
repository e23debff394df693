# With these values a plan has every resource that there can be.
account         = "123456789012"
certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/example"
image           = "registry.example.com/service@sha256:0000000000000000000000000000000000000000000000000000000000000000"
repository      = "organisation/name"
