"""What the system tests share: the session's server and adapters (fixtures of all tests), and the name of their base."""

from tests.system.session_server import BASE as BASE
