-- Which node drives which run. No fact of the domain: a lost row costs one takeover.

create schema if not exists engine;

create table engine.leases (
    resource uuid        primary key,
    owner    uuid        not null, -- The node.
    epoch    bigint      not null check (epoch > 0), -- Grows with each taking, also after an end.
    ends_at  timestamptz not null
);
