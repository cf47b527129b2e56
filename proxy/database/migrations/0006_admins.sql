-- Users who may read the proxy's metrics and use the admin API.
ALTER TABLE llama_users ADD COLUMN is_admin boolean NOT NULL DEFAULT false;
