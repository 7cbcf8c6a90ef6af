-- Keys that callers send along with commands, and the answers that repetitions get again.

create table access.idempotency_keys (
    caller        text        not null,
    key           text        not null check (length(key) between 1 and 255),
    fingerprint   bytea       not null check (length(fingerprint) = 32), -- Of the whole request.
    created_at    timestamptz not null,
    claimed_until timestamptz not null, -- From then on another request may carry it out.
    status        integer, -- Null until it is answered.
    headers       json,
    body          bytea,
    primary key (caller, key),
    check ((status is null) = (headers is null) and (status is null) = (body is null))
);

create index idempotency_keys_by_age on access.idempotency_keys (created_at);
