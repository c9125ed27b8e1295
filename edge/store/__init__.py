"""`seamline store`: what people do with the store, beside a running agent or on a stopped one."""
