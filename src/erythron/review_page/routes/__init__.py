"""The routes of the server, one module a subject; each checks what came in and calls one function."""
