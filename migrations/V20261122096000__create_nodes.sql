-- Which nodes work on this database, and what is theirs alone. A row goes when an operator forgets
-- the node: what is on its computer outlives its processes.

create table engine.nodes (
    node        uuid        primary key,
    host        text        not null, -- The computer's name.
    folder      text        not null, -- The data folder there.
    ssh_key     text        not null, -- The fingerprint of the key that its machines open to.
    playbooks   uuid        not null, -- The folder that its plays are found in.
    own_regions text[]      not null, -- Regions whose machines nobody else can reach.
    version     text        not null, -- Of the program.
    started_at  timestamptz not null,
    seen_at     timestamptz           -- When it last said that it runs; null once it has stopped.
);
