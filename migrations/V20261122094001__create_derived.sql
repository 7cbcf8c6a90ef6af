-- What is derived from the log, so that no start and no command reads it from its beginning. All of it
-- may be deleted at any time; whoever misses it reads the log.

create table engine.snapshots (
    stream   text    primary key,
    schema   integer not null, -- Of the state; under another one the stream is folded instead.
    version  bigint  not null check (version >= 0),
    position text    not null,
    state    json    not null
);

-- Up to which position the items of a tracker tell of the log.
create table engine.trackers (
    name     text    not null,
    schema   integer not null,
    position text    not null,
    primary key (name, schema)
);

-- What is open: one row an item, gone with its end.
create table engine.tracked_items (
    name   text    not null,
    schema integer not null,
    key    text    not null,
    item   json    not null,
    primary key (name, schema, key),
    foreign key (name, schema) references engine.trackers on delete cascade
);
