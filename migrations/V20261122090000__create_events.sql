-- The event log. Positions are given under one lock, so they are gapless and in commit order.

create schema es;

create table es.events (
    pos         bigint      primary key check (pos > 0),
    stream_id   text        not null,
    version     bigint      not null check (version >= 0),
    event_id    uuid        not null unique,
    kind        text        not null,
    schema      integer     not null,
    data        json        not null, -- json, not jsonb: it keeps the bytes that the hash covers.
    meta        json        not null,
    recorded_at timestamptz not null, -- Never runs backwards along positions.
    hash        bytea       not null,
    category    text        not null generated always as (split_part(stream_id, '-', 1)) stored,
    unique (stream_id, version)
);

create index events_by_kind on es.events (kind, pos);
create index events_by_category on es.events (category, pos);

create function es.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are never changed or deleted' using errcode = 'restrict_violation';
end $$;

create trigger events_are_final before update or delete or truncate on es.events
    for each statement execute function es.refuse_change();

-- The hash chain: each hash covers the one before it and every column of its row, each of them
-- preceded by its length, so that no two rows give the same bytes.

create function es.field(_bytes bytea) returns bytea language sql stable as $$
    select int4send(octet_length(_bytes)) || _bytes
$$;

create function es.envelope(
    _pos bigint, _stream_id text, _version bigint, _event_id uuid, _kind text, _schema integer,
    _data text, _meta text, _recorded_at timestamptz
) returns bytea language sql stable as $$
    select es.field(int8send(_pos))
        || es.field(convert_to(_stream_id, 'UTF8'))
        || es.field(int8send(_version))
        || es.field(uuid_send(_event_id))
        || es.field(convert_to(_kind, 'UTF8'))
        || es.field(int4send(_schema))
        || es.field(convert_to(_data, 'UTF8'))
        || es.field(convert_to(_meta, 'UTF8'))
        || es.field(timestamptz_send(_recorded_at))
$$;

create function es.link(_last bytea, _first bytea, _envelope bytea) returns bytea
language plpgsql immutable as $$
begin
    return sha256(es.field(coalesce(_last, _first)) || _envelope);
end $$;

-- Over rows in order: the running hash of a chain that goes on from `_first`.
create aggregate es.chain(_first bytea, _envelope bytea) (sfunc = es.link, stype = bytea);

-- Where the same events went in before, under the same expectation (`same` equals their number);
-- or that at least one of the ids is another event's (`same` is less).
create function es.find_known(
    _stream_id text, _expected bigint, _ids uuid[], out known bigint, out same bigint, out pos bigint
) language sql stable as $$
    select count(*),
           count(*) filter (where e.stream_id = _stream_id and e.version = _expected + i.n),
           max(e.pos)
      from unnest(_ids) with ordinality as i(id, n) join es.events e on e.event_id = i.id
$$;

-- Appends a batch of requests, at most one a stream and each id once, and answers each in order:
-- `appended`, `duplicate` (it went in before), `conflict` (the stream has another version) or
-- `taken` (an id belongs to another event). A request that can't go in leaves its neighbours alone
-- and uses no position. `_expected` is -1 for a stream that must not exist; `_counts` says how many
-- of the events, which the arrays after it hold one entry each, belong to a request.
create function es.append(
    _streams text[], _expected bigint[], _counts integer[],
    _ids uuid[], _kinds text[], _schemas integer[], _data text[], _meta text[]
) returns table (status text, version bigint, pos bigint) language plpgsql as $$
#variable_conflict use_column
declare
    head record;
    head_pos bigint;
    head_hash bytea;
    now_at timestamptz;
    currents bigint[];         -- The last version of each request's stream.
    any_known boolean;         -- Whether any of the ids was seen before; rarely so.
    known record;
    taken integer := 0;        -- Events of the requests before this one.
    grown bigint := 0;         -- Events that go in so far.
    owners text[] := '{}';     -- One entry an event; null where it does not go in.
    versions bigint[] := '{}';
begin
    -- Under a stricter isolation the last row read below would be an old one.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'events are appended under read committed only';
    end if;
    perform pg_advisory_xact_lock(1868786029);
    select e.pos, e.recorded_at, e.hash into head from es.events e order by e.pos desc limit 1;
    head_pos := coalesce(head.pos, 0);
    head_hash := coalesce(head.hash, decode(repeat('00', 32), 'hex'));
    now_at := greatest(clock_timestamp(), head.recorded_at);
    currents := array(
        select coalesce((select e.version from es.events e where e.stream_id = s.stream_id
                         order by e.version desc limit 1), -1)
          from unnest(_streams) with ordinality as s(stream_id, n) order by s.n);
    any_known := exists (select from es.events e where e.event_id = any (_ids));

    for r in 1 .. cardinality(_streams) loop
        status := case when currents[r] = _expected[r] then 'appended' else 'conflict' end;
        version := currents[r];
        pos := null;
        if any_known then
            select * into known
              from es.find_known(_streams[r], _expected[r], _ids[taken + 1 : taken + _counts[r]]);
            if known.same = _counts[r] then
                status := 'duplicate';
                version := _expected[r] + _counts[r];
                pos := known.pos;
            elsif known.known > 0 and status = 'appended' then
                status := 'taken';
            end if;
        end if;
        for n in 1 .. _counts[r] loop
            owners := owners || case when status = 'appended' then _streams[r] end;
            versions := versions || (currents[r] + n);
        end loop;
        if status = 'appended' then
            grown := grown + _counts[r];
            version := version + _counts[r];
            pos := head_pos + grown;
        end if;
        taken := taken + _counts[r];
        return next;
    end loop;

    insert into es.events
        (pos, stream_id, version, event_id, kind, schema, data, meta, recorded_at, hash)
    select e.pos, e.stream_id, e.version, e.id, e.kind, e.schema, e.data::json, e.meta::json, now_at,
           es.chain(head_hash, es.envelope(e.pos, e.stream_id, e.version, e.id, e.kind, e.schema,
                                           e.data, e.meta, now_at)) over (order by e.pos)
      from (select head_pos + row_number() over (order by a.n) as pos, a.*
              from unnest(owners, versions, _ids, _kinds, _schemas, _data, _meta) with ordinality
                as a(stream_id, version, id, kind, schema, data, meta, n)
             where a.stream_id is not null) e;
end $$;
