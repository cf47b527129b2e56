"""What tests share: real processes to test against, and builders of their inputs."""
