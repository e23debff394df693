# What both environments have alike.
project = "{{ cookiecutter.package_name | replace('_', '-') | trim('-') }}"
package = "{{ cookiecutter.package_name }}"
command = "ladder"
forge   = "{{ cookiecutter.ci }}"
