"""The service: a thin face on `analyzer` over HTTP, CDS Hooks and MCP. Nothing in `analyzer` knows of it."""
