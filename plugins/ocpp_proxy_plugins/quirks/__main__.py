"""``python -m ocpp_proxy_plugins.quirks`` prints the page of the profiles (docs/plugins/quirks.md)."""

from ocpp_proxy_plugins.quirks.document import page

if __name__ == "__main__":
    print(page(), end="")
