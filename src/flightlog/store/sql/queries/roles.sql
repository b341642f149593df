-- Who may do what: the five roles, wanted and there. This file is the one place that says it; migrations say nothing of rights.
-- A new table or function of ours needs its line here, else nobody but the owner has it (a test asks for the line).

-- name: wanted
roles (role) AS (
    VALUES ('flightlog_owner'), ('flightlog_writer'), ('flightlog_reader'), ('flightlog_maintenance'), ('flightlog_operator')
), tables (name) AS (
    VALUES ('pipeline_migrations'), ('pipeline_store'), ('pipeline_runs'), ('pipeline_writers'), ('pipeline_run_positions'),
           ('pipeline_run_writers'), ('pipeline_ship_ledger'), ('pipeline_dead_letters'), ('pipeline_agents'), ('pipeline_logs'),
           ('pipeline_events'), ('pipeline_metrics'), ('pipeline_node_roles'), ('pipeline_commands')
), table_rights (name, role, privilege) AS (
    SELECT name, 'flightlog_reader', 'SELECT' FROM tables
     UNION ALL
    VALUES ('pipeline_logs', 'flightlog_writer', 'INSERT'), ('pipeline_events', 'flightlog_writer', 'INSERT'),
           ('pipeline_metrics', 'flightlog_writer', 'INSERT'),
           ('pipeline_dead_letters', 'flightlog_writer', 'INSERT'), ('pipeline_commands', 'flightlog_operator', 'SELECT')
), column_rights (name, role, columns) AS (
    -- who asked, when, and what became of it are not for the asker to say
    VALUES ('pipeline_commands', 'flightlog_operator', ARRAY['command_id', 'verb', 'node', 'run_id', 'program', 'arguments', 'expires_at'])
), functions (name, definer, callers) AS (
    VALUES ('pipeline_schema_v1', true, ARRAY['flightlog_writer', 'flightlog_reader', 'flightlog_maintenance', 'flightlog_operator']),
           ('pipeline_positions_v1', true, ARRAY['flightlog_writer', 'flightlog_reader']),
           ('pipeline_writer_owners_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_run_positions_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_agent_backend_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_agent_open_v1', false, ARRAY['flightlog_writer']),
           ('pipeline_agent_take_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_agent_beat_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_ship_commit_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_runs_apply_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_runs_lost_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_drops_apply_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_self_check_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_commands_claim_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_command_complete_v1', true, ARRAY['flightlog_writer']),
           ('pipeline_command_complete_v2', true, ARRAY['flightlog_writer']),
           ('pipeline_partitions_ensure_v1', true, ARRAY['flightlog_writer', 'flightlog_maintenance']),
           ('pipeline_partition_drop_v1', true, ARRAY['flightlog_maintenance']),
           ('pipeline_node_check_v1', true, ARRAY[]::text[]),
           ('pipeline_ship_commit_unchecked_v1', true, ARRAY[]::text[]),
           ('pipeline_runs_apply_unchecked_v1', true, ARRAY[]::text[]),
           ('pipeline_runs_lost_unchecked_v1', true, ARRAY[]::text[])
)

-- name: missing
-- The statements that are still to be executed, in order; none when everything is as wanted. Changes nothing itself.
-- `automatic`: whether it is ours to execute; else a person has to say that nobody else in this database needs what it takes away.
WITH {wanted}, here AS (
    SELECT n.oid, n.nspname AS schema, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl,
           format('%I, pg_temp', n.nspname) AS path
      FROM pg_namespace n WHERE n.nspname = current_schema()
), known AS (
    SELECT r.oid, r.rolname::text AS role FROM pg_roles r WHERE r.rolname IN (SELECT role FROM roles)
), our_tables AS (
    SELECT c.oid, c.relname::text AS name, c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl, c.relispartition
      FROM here JOIN pg_class c ON c.relnamespace = here.oid
     WHERE c.relname IN (SELECT name FROM tables) AND c.relkind IN ('r', 'p')
        OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent IN (to_regclass('pipeline_logs'), to_regclass('pipeline_events'),
                                                                       to_regclass('pipeline_metrics')))
), our_functions AS (
    SELECT p.oid, p.proname::text AS name, p.oid::regprocedure::text AS signature, p.proowner, p.prosecdef,
           coalesce(p.proconfig, '{}') AS settings, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl, f.definer, f.callers
      FROM here JOIN pg_proc p ON p.pronamespace = here.oid JOIN functions f ON f.name = p.proname
), foreign_owned AS (
    SELECT 'TABLE' AS kind, format('%I', t.name) AS object FROM our_tables t
     WHERE t.relowner IS DISTINCT FROM (SELECT oid FROM known WHERE role = 'flightlog_owner')
     UNION ALL
    SELECT 'FUNCTION', f.signature FROM our_functions f
     WHERE f.proowner IS DISTINCT FROM (SELECT oid FROM known WHERE role = 'flightlog_owner')
), steps (step, statement, automatic) AS (
    SELECT 1, format('CREATE ROLE %I NOLOGIN', role), true FROM roles WHERE role NOT IN (SELECT role FROM known)
     UNION ALL
    -- who hands tables over has to be a member of who gets them; PostgreSQL 16 tells being one from being allowed to act as one
    SELECT 2, format('GRANT flightlog_owner TO %I', current_user), true
     WHERE EXISTS (SELECT FROM foreign_owned) AND NOT EXISTS (
           SELECT FROM known WHERE role = 'flightlog_owner' AND pg_has_role(current_user, oid, 'USAGE') AND pg_has_role(
                  current_user, oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END))
     UNION ALL
    SELECT 3, format('GRANT USAGE ON SCHEMA %I TO %I', here.schema, role), true FROM here, roles
     WHERE NOT EXISTS (SELECT FROM known k WHERE k.role = roles.role AND has_schema_privilege(k.oid, here.oid, 'USAGE'))
     UNION ALL
    SELECT 4, format('GRANT CREATE ON SCHEMA %I TO flightlog_owner', here.schema), true FROM here
     WHERE NOT EXISTS (SELECT FROM known k WHERE k.role = 'flightlog_owner' AND has_schema_privilege(k.oid, here.oid, 'CREATE'))
     UNION ALL
    SELECT 5, format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.signature), true FROM our_functions f
     WHERE EXISTS (SELECT FROM aclexplode(f.acl) a WHERE a.grantee = 0)
     UNION ALL
    SELECT 6, format('ALTER %s %s OWNER TO flightlog_owner', kind, object), true FROM foreign_owned
     UNION ALL
    SELECT 7, format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %s', f.signature, here.path), true
      FROM our_functions f, here
     WHERE f.definer AND NOT (f.prosecdef AND f.settings @> ARRAY['search_path=' || here.path])
     UNION ALL
    SELECT 8, format('GRANT EXECUTE ON FUNCTION %s TO %I', f.signature, c.role), true
      FROM our_functions f CROSS JOIN unnest(f.callers) AS c(role)
     WHERE NOT EXISTS (SELECT FROM known k, aclexplode(f.acl) a WHERE k.role = c.role AND a.grantee = k.oid AND a.privilege_type = 'EXECUTE')
     UNION ALL
    SELECT 9, format('GRANT %s ON TABLE %I TO %I', r.privilege, t.name, r.role), true FROM our_tables t JOIN table_rights r USING (name)
     WHERE NOT EXISTS (SELECT FROM known k, aclexplode(t.acl) a WHERE k.role = r.role AND a.grantee = k.oid AND a.privilege_type = r.privilege)
     UNION ALL
    SELECT 10, format('GRANT INSERT (%s) ON TABLE %I TO %I', array_to_string(r.columns, ', '), t.name, r.role), true
      FROM our_tables t JOIN column_rights r USING (name)
     WHERE EXISTS (SELECT FROM unnest(r.columns) AS w(name) WHERE NOT EXISTS (
           SELECT FROM known k, pg_attribute a, aclexplode(a.attacl) x
            WHERE k.role = r.role AND a.attrelid = t.oid AND a.attname = w.name AND x.grantee = k.oid AND x.privilege_type = 'INSERT'))
     UNION ALL
    -- what our roles or everybody has beyond that, on tables, columns and functions
    SELECT 11, format('REVOKE %s ON TABLE %I FROM %s', a.privilege_type, t.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE k.role END), true
      FROM our_tables t CROSS JOIN aclexplode(t.acl) a LEFT JOIN known k ON k.oid = a.grantee
     WHERE a.grantee <> t.relowner AND (a.grantee = 0 OR k.role <> 'flightlog_owner')
       AND NOT EXISTS (SELECT FROM table_rights r WHERE r.name = t.name AND r.role = k.role AND r.privilege = a.privilege_type)
     UNION ALL
    SELECT 12, format('REVOKE %s (%I) ON TABLE %I FROM %s', x.privilege_type, a.attname, t.name,
                      CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE k.role END), true
      FROM our_tables t JOIN pg_attribute a ON a.attrelid = t.oid CROSS JOIN aclexplode(a.attacl) x LEFT JOIN known k ON k.oid = x.grantee
     WHERE x.grantee <> t.relowner AND (x.grantee = 0 OR k.role <> 'flightlog_owner')
       AND NOT EXISTS (SELECT FROM column_rights r WHERE r.name = t.name AND r.role = k.role AND x.privilege_type = 'INSERT'
                          AND a.attname = ANY (r.columns))
     UNION ALL
    SELECT 13, format('REVOKE EXECUTE ON FUNCTION %s FROM %I', f.signature, k.role), true
      FROM our_functions f CROSS JOIN aclexplode(f.acl) a JOIN known k ON k.oid = a.grantee
     WHERE a.grantee <> f.proowner AND k.role <> 'flightlog_owner' AND k.role <> ALL (f.callers)
     UNION ALL
    -- who can create in this schema could put a function of his before ours; where somebody else's tables are, he may have to
    SELECT 14, format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', here.schema),
           NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = here.oid AND NOT starts_with(c.relname, 'pipeline_'))
      FROM here WHERE EXISTS (SELECT FROM aclexplode(here.acl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE')
)
SELECT statement, automatic FROM steps ORDER BY step, statement

-- name: take
-- Acts as one of the roles from here on, if who logged in may and this schema knows it; no row when not.
SELECT set_config('role', r.rolname, false) FROM pg_roles r
 WHERE r.rolname = %(role)s
   AND pg_has_role(session_user, r.oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
   AND has_function_privilege(r.oid, to_regprocedure('pipeline_schema_v1()'), 'EXECUTE')

-- name: look_only
-- For reading: nothing is written, nothing takes for ever, nothing fills the server's disk (where we may say that).
SELECT set_config('default_transaction_read_only', 'on', false),
       CASE WHEN has_parameter_privilege('temp_file_limit', 'SET') THEN set_config('temp_file_limit', %(temporary)s, false) END

-- name: who
SELECT session_user::text, current_user::text, r.rolsuper FROM pg_roles r WHERE r.rolname = session_user

-- name: unlisted
-- Tables and functions of ours that the lists above do not have.
WITH {wanted}
SELECT c.relname::text FROM pg_class c
 WHERE c.relnamespace = current_schema()::regnamespace AND starts_with(c.relname, 'pipeline_') AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
   AND NOT c.relispartition AND c.relname NOT IN (SELECT name FROM tables)
 UNION ALL
SELECT p.oid::regprocedure::text FROM pg_proc p
 WHERE p.pronamespace = current_schema()::regnamespace AND starts_with(p.proname, 'pipeline_') AND p.proname NOT IN (SELECT name FROM functions)

-- name: bindings
SELECT role, array_agg(node ORDER BY node) FROM pipeline_node_roles GROUP BY role ORDER BY role
