-- Distributes over Citus's workers, by log, what is not yet distributed: the tables, and the functions
-- whose first argument is the log, so that a worker runs them beside the rows.
do $$
declare
    v_schema oid := (select oid from pg_namespace where nspname = current_schema());
    v_table regclass;
    v_function regprocedure;
begin
    perform set_config('citus.multi_shard_modify_mode', 'sequential', true); -- one connection to each worker: tables and functions in one transaction need that
    for v_table in
        select c.oid from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'log'
        where c.relnamespace = v_schema and c.relkind in ('r', 'p') and not c.relispartition
            and not exists (select from pg_dist_partition p where p.logicalrelid = c.oid)
        order by c.relname <> 'log', c.relname
    loop
        perform create_distributed_table(v_table, 'log',
            colocate_with => case when v_table = 'log'::regclass then 'default' else 'log'::regclass::text end);
    end loop;
    for v_function in
        select oid from pg_proc where pronamespace = v_schema and proargnames[1] = 'p_log' order by proname
    loop
        -- The caller's search path does not reach a worker.
        execute format('alter function %s set search_path = %I, pg_temp', v_function, current_schema());
        perform create_distributed_function(v_function, 'p_log', colocate_with => 'log'::regclass::text);
    end loop;
end
$$;
