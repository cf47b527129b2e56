-- Several engines: which one got a request, and which get none for now.

ALTER TABLE llama_requests ADD COLUMN backend text;

CREATE TABLE llama_backends (
    url text PRIMARY KEY,
    drained_at timestamptz
);
