.PHONY: branch-rules comment

branch-rules: ## GITLAB_TOKEN=…: bring .gitlab/branch-rules to GitLab, as a maintainer
	@$(LADDER) branch-rules

comment: ## PULL=number: put reports/maturity.md on a merge request, in CI, with GITLAB_TOKEN
	@test -n "$$GITLAB_TOKEN" || { echo "No GITLAB_TOKEN: the merge request gets no comment"; exit 0; } \
	&& curl --fail --silent --show-error --output /dev/null --header "PRIVATE-TOKEN: $$GITLAB_TOKEN" \
	--form "body=<reports/maturity.md" "$$CI_API_V4_URL/projects/$$CI_PROJECT_ID/merge_requests/$(PULL)/notes"
