"""`seamline browse`: what an OPC UA server has, as a tree for people or as tags for a site file."""
