-- What the collector keeps. Each key begins with log, and no statement of an upload touches two
-- logs, so that the tables can be distributed by log.

-- A host's log, named by the key that it was first known by.
create table log (
    log         uuid primary key,             -- first 16 bytes of the SHA-256 of the key below
    tenant      int not null default 0,
    name        text not null,                -- of that key: klp-audit/0123456789abcdef
    key         text not null,                -- the verifier key that it was first known by
    state       text not null check (state in ('pending', 'approved', 'retired')),
    state_since timestamptz not null,
    reason      text not null default '',     -- given for the state
    branch      int not null default 0        -- the branch that counts
);
create index log_name on log (name);

-- Which log a later key signs.
create table successor (
    log   uuid primary key,                   -- of the later key
    name  text not null,                      -- of the later key
    first uuid not null                       -- the log
);
create index successor_name on successor (name);

-- A history of a log. It has one, 0, until an upload shows another.
create table branch (
    log          uuid not null,
    branch       int not null,
    base         int,                         -- the branch that it leaves
    common       bigint,                      -- the last event that both are known to share
    since        bigint not null default 0,   -- the events after this one are kept here; more than common: those between were never sent
    cause        text not null default '' check (cause in ('', 'fork', 'key')),
    size         bigint not null,             -- events
    tree         bytea not null,              -- over them: the hashes of the complete subtrees, largest first
    key          text not null,               -- verifier key of the checkpoint
    keys         jsonb not null,              -- all, as [{"key", "event"}]
    checkpoint   text not null,               -- the newest; empty if there is none
    machine_id   text not null default '',    -- as the newest event says
    hostname     text not null default '',
    first_event  timestamptz,
    last_event   timestamptz,
    opened       timestamptz not null,
    received     timestamptz not null,        -- the newest upload that brought events
    heard        timestamptz not null,        -- the newest upload, whatever it brought
    heard_size   bigint not null default 0,   -- its size; less than size: the host has gone back
    day          date,                        -- the last day on which events came, and how much came on it
    day_events   bigint not null default 0,
    day_bytes    bigint not null default 0,
    derived      bigint not null default 0,   -- events that the state of the host is worked out from
    behind       boolean not null generated always as (derived < size) stored,
    accepted     timestamptz,                 -- when somebody made this branch the one that counts
    reason       text not null default '',
    primary key (log, branch)
) with (fillfactor = 70);                     -- room for the next upload, which changes no index
create index branch_hostname on branch (hostname);
create index branch_machine_id on branch (machine_id);
create index branch_derived on branch (log, branch) where behind;

-- Lines of exports, unchanged.
create table segment (
    log      uuid not null,
    branch   int not null,
    first    bigint not null,                 -- number of its first event
    last     bigint not null,
    tree     bytea not null,                  -- over the events before the first
    lines    bytea not null,                  -- zstd
    bytes    bigint not null,                 -- of the lines
    outlines bytea not null,                  -- zstd; what reports read of the events
    form     bigint not null,                 -- of the outlines
    received timestamptz not null,
    primary key (log, branch, first)
);
alter table segment alter column lines set storage external, alter column outlines set storage external;
-- Each month's segments are packed into others: their space is free for the next ones soon.
alter table segment set (autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);

-- The checkpoints that were accepted.
create table receipt (
    log        uuid not null,
    branch     int not null,
    size       bigint not null,
    checkpoint text not null,
    received   timestamptz not null,
    primary key (log, branch, size)
);

-- What an auditor should know of a log.
create table finding (
    log    uuid not null,
    branch int not null,
    kind   text not null,
    first  bigint not null,                   -- the events that it is about
    last   bigint not null,
    found  timestamptz not null,
    primary key (log, branch, kind, first)
);

-- Uploads that a key of the log signed and that are wrong in themselves: evidence.
create table refusal (
    log        uuid not null,
    received   timestamptz not null,
    since      bigint not null,
    size       bigint not null,
    checkpoint text not null,
    problems   text[] not null,
    lines      bytea not null,                -- zstd; empty if it was too much
    primary key (log, received)
);
alter table refusal alter column lines set storage external;

-- Which bodies of a branch the collector no longer gives, beyond those that the host removed, in a
-- statement that it signed.
create table withheld (
    log       uuid not null,
    branch    int not null,
    bodies    bigint not null,
    statement text not null,
    stated    timestamptz not null,
    primary key (log, branch)
);

-- What the newest verification of a log found.
create table verification (
    log      uuid primary key,
    run      timestamptz not null,            -- when the run began that it was part of
    verified timestamptz not null,
    branch   int not null,
    size     bigint not null,
    withheld bigint not null,
    result   text not null check (result in ('intact', 'altered', 'truncated')),
    problems text[] not null
);

-- Adds events to a branch, all or nothing: 'grown', 'moved' if the branch does not end where the
-- caller saw it, 'limit' if the log brings more in a day than it may.
create function grow(
    p_log uuid, p_branch int, p_size bigint,
    p_new_size bigint, p_tree bytea, p_key text, p_keys jsonb, p_checkpoint text, p_machine_id text, p_hostname text,
    p_first_event timestamptz, p_last_event timestamptz, p_received timestamptz,
    p_events bigint, p_bytes bigint, p_max_events bigint, p_max_bytes bigint,
    p_first bigint[], p_last bigint[], p_trees bytea[], p_lines bytea[], p_sizes bigint[], p_outlines bytea[], p_form bigint,
    p_kinds text[], p_from bigint[], p_to bigint[]
) returns text language plpgsql as $$
declare
    v_day date := (p_received at time zone 'UTC')::date;
    v_size bigint;
    v_events bigint;
    v_bytes bigint;
begin
    select coalesce(sum(day_events), 0), coalesce(sum(day_bytes), 0) into v_events, v_bytes from branch where log = p_log and day = v_day;
    update branch set
        size = p_new_size, tree = p_tree, key = p_key, keys = p_keys, checkpoint = p_checkpoint, machine_id = p_machine_id, hostname = p_hostname,
        first_event = coalesce(first_event, p_first_event), last_event = coalesce(p_last_event, last_event),
        received = p_received, heard = p_received, heard_size = p_new_size,
        day = v_day, day_events = p_events + case when day = v_day then day_events else 0 end,
        day_bytes = p_bytes + case when day = v_day then day_bytes else 0 end
    where log = p_log and branch = p_branch and size = p_size
        and (p_max_events = 0 or p_events + v_events <= p_max_events)
        and (p_max_bytes = 0 or p_bytes + v_bytes <= p_max_bytes);
    if not found then
        select size into v_size from branch where log = p_log and branch = p_branch;
        return case when v_size = p_size then 'limit' else 'moved' end;
    end if;
    insert into segment (log, branch, first, last, tree, lines, bytes, outlines, form, received)
        select p_log, p_branch, s.first, s.last, s.tree, s.lines, s.bytes, s.outlines, p_form, p_received
        from unnest(p_first, p_last, p_trees, p_lines, p_sizes, p_outlines) as s (first, last, tree, lines, bytes, outlines);
    insert into receipt (log, branch, size, checkpoint, received) values (p_log, p_branch, p_new_size, p_checkpoint, p_received)
        on conflict (log, branch, size) do nothing;
    insert into finding (log, branch, kind, first, last, found)
        select p_log, p_branch, f.kind, f.first, f.last, p_received from unnest(p_kinds, p_from, p_to) as f (kind, first, last)
        on conflict (log, branch, kind, first) do nothing;
    return 'grown';
end
$$;
