-- Logs of runs: data beside the events. Lines are kept in compressed chunks and never change; an old log
-- is replaced by one line as a whole.

create schema logs;

create table logs.heads (
    run uuid primary key,
    lines bigint not null default 0,
    finished boolean not null default false,
    -- When it was finished first.
    finished_at timestamptz,
    -- The run that replaced its lines by one line, and how many they were.
    replaced_by uuid,
    lines_replaced bigint
);

-- What may be replaced one day.
create index heads_finished_at on logs.heads (finished_at, run) where replaced_by is null;
create index heads_replaced_by on logs.heads (replaced_by) where replaced_by is not null;

-- The body is a zlib stream of JSON objects, one a line, numbered from first_line on.
create table logs.chunks (
    run uuid not null references logs.heads,
    first_line bigint not null,
    line_count integer not null check (line_count > 0),
    body bytea not null,
    appended_at timestamptz not null default now(),
    primary key (run, first_line)
);
alter table logs.chunks alter column body set storage external;

-- How much of each source (a file that grows) a log holds.
create table logs.sources (
    run uuid not null references logs.heads,
    source text not null,
    bytes bigint not null,
    -- Where the lines before that begin that tell whether what follows is the rest of a secret.
    context bigint not null check (context between 0 and bytes),
    primary key (run, source)
);

-- Appends chunks and moves the source on, in one statement and so all or nothing. Returns the
-- number of the log's last line; null, having written nothing, when the log is finished. A source
-- that does not stand at bytes_before was read twice: nothing is written then.
create function logs.append_chunks(
    the_run uuid,
    line_counts integer[],
    bodies bytea[],
    the_source text,
    bytes_before bigint,
    bytes_after bigint,
    context_after bigint
) returns bigint
language plpgsql
set lock_timeout = '4s'
as $$
declare
    head logs.heads;
begin
    insert into logs.heads (run) values (the_run) on conflict do nothing;
    -- The lock puts appends to one log in order, so its numbers have no gap and no repeat.
    select * into head from logs.heads where run = the_run for update;
    if bytes_before <> coalesce(
        (select bytes from logs.sources where run = the_run and source = the_source), 0
    ) then
        return head.lines;
    end if;
    if head.finished then
        return null;
    end if;

    insert into logs.chunks (run, first_line, line_count, body)
    select
        the_run,
        head.lines + 1 + sum(line_count) over (order by place) - line_count,
        line_count,
        body
    from unnest(line_counts, bodies) with ordinality as chunk (line_count, body, place);

    update logs.heads
    set lines = lines + coalesce((select sum(line_count) from unnest(line_counts) as line_count), 0)
    where run = the_run
    returning lines into head.lines;

    if the_source is not null then
        insert into logs.sources (run, source, bytes, context)
        values (the_run, the_source, bytes_after, context_after)
        on conflict (run, source) do update
        set bytes = excluded.bytes, context = excluded.context;
    end if;
    return head.lines;
end
$$;

-- Deletes all lines of a log, and puts one in their place, if there were any; all or nothing. A log that
-- was replaced before stays as it is.
create function logs.replace_log(the_run uuid, the_replacer uuid, the_body bytea) returns void
language plpgsql
set lock_timeout = '4s'
as $$
declare
    count_before bigint;
begin
    update logs.heads
    set replaced_by = the_replacer, lines_replaced = lines, lines = least(lines, 1)
    where run = the_run and replaced_by is null
    returning lines_replaced into count_before;
    if count_before is null or count_before = 0 then
        return;
    end if;
    delete from logs.chunks where run = the_run;
    delete from logs.sources where run = the_run;
    insert into logs.chunks (run, first_line, line_count, body) values (the_run, 1, 1, the_body);
end
$$;
