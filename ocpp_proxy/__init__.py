"""ocpp-proxy: see, check, store and bridge OCPP traffic.

The map, from the cellar to the roof (ARCHITECTURE.md tells the whole story):

* ``model``, ``records``: the words everybody speaks
* ``wire``, ``spec``, ``fields``, ``config``, ``source``, ``api``: bytes, standards, names; no I/O
* ``checks``: findings, one small function a rule
* ``core``: spool records to frames, messages, exchanges, findings; no I/O
* ``relay``, ``hub``: the two processes that do I/O (captures are a package of their own)
* ``supervisor``, ``demo``, ``cli``: what starts them
"""

__version__ = "0.1.0"
