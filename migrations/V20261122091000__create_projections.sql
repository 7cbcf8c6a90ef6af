-- How far each build of a read model has come. The tables of a build lie in a schema of their own
-- (rm_<name>_v<version>_g<generation>); schema rm holds views of those that readers see.
create schema if not exists es;
create schema if not exists rm;

create table es.checkpoints (
    name text not null,
    version integer not null,
    generation integer not null,
    -- The position, as text, up to which all events are in the tables.
    pos text not null,
    state text not null check (state in ('running', 'paused', 'rebuilding', 'retired')),
    -- Whether the views show this build.
    serving boolean not null,
    -- Why it is paused: position, kind, stream, class, error.
    failure json,
    updated_at timestamptz not null default now(),
    primary key (name, version, generation)
);

-- Readers see one build of each read model.
create unique index checkpoints_serving on es.checkpoints (name) where serving;
