-- API tokens. Only the hash of a token's secret is kept, so nobody can read a token back from here.

create schema if not exists access;

create table access.tokens (
    id          uuid        primary key,
    name        text        not null unique check (length(name) between 1 and 100),
    secret_hash bytea       not null check (length(secret_hash) = 32),
    created_at  timestamptz not null,
    expires_at  timestamptz, -- Null: never.
    check (expires_at > created_at)
);
