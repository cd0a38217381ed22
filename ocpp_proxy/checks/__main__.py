"""``python -m ocpp_proxy.checks`` prints the page of all findings (docs/findings.md)."""

from ocpp_proxy.checks.document import page

if __name__ == "__main__":
    print(page(), end="")
