# {% include "problem/" ~ cookiecutter.framework ~ ".py" %}
