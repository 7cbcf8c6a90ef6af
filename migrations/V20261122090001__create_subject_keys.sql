-- One data key for each subject of protected values, wrapped; deleting it erases those values.

create table es.subject_keys (
    subject     text        primary key,
    wrapped_key bytea,
    created_at  timestamptz not null default now(),
    shredded_at timestamptz,
    check ((wrapped_key is null) = (shredded_at is not null))
);

-- What the secret key gives for a fixed input: tells a wrong one at once.
create table es.key_check (
    only_row boolean primary key default true check (only_row),
    value    bytea   not null
);
