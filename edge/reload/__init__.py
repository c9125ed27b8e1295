"""Following an edited configuration without stopping: what differs, what that means, and when somebody edited it."""
