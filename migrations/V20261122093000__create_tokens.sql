-- API tokens. Only the hash of a token's secret is kept, so nobody can read a token back from here.

create schema if not exists access;

create table access.tokens (
    id          uuid        primary key,
    name        text        not null check (length(name) between 1 and 100),
    scope       text        not null check (scope in ('read', 'all')),
    secret_hash bytea       not null check (length(secret_hash) = 32),
    created_at  timestamptz not null,
    expires_at  timestamptz, -- Null: never.
    last_used_at timestamptz, -- To the minute.
    revoked_at  timestamptz,
    check (expires_at > created_at)
);

-- A name is free again once its token is revoked; an expired one is revoked by who takes its name.
create unique index tokens_name on access.tokens (name) where revoked_at is null;
