.PHONY: branch-rules

branch-rules: ## GITLAB_TOKEN=…: bring .gitlab/branch-rules to GitLab, as a maintainer
	@python3 tools/branch_rules.py
