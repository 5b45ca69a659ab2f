package rebuild

// The statements of a rebuild; a test prepares each. Names of schemas and tables come out of the catalog, quoted by the
// database or by pgx.Identifier.
//
// The tables are those of the connection's search path: a rebuild's connections have its own schema first and then what
// they had before, so a statement of a read model finds the table that is rebuilt, and the live ones of all others.
const (
	// What a session needs: nothing that a role or a database sets may break off what takes long.
	sqlNoTimeouts = `
SELECT set_config(name, '0', false) FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')`

	// What is written beside the live tables follows from the log: none of it waits for the disk but the swap.
	sqlSession = `
SELECT set_config('role', $1, false), set_config('search_path', $2, false), set_config('synchronous_commit', 'off', false)`

	sqlTablespace = `SELECT set_config('default_tablespace', $1, true)`

	sqlWaitForDisk = `SET LOCAL synchronous_commit = on`

	// The live tables. Those that are not there have no oid.
	sqlLiveTables = `
SELECT u.name, coalesce(n.nspname, ''), c.oid IS NOT NULL, coalesce(c.relkind, 'r') IN ('r', 'p'),
	coalesce(pg_get_userbyid(c.relowner), ''), coalesce(pg_has_role(current_user, c.relowner, 'MEMBER'), false),
	EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
FROM unnest($1::text[]) WITH ORDINALITY AS u(name, n)
LEFT JOIN pg_class c ON c.oid = to_regclass(quote_ident(u.name))
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY u.n`

	sqlAround = `
SELECT current_user::text, current_database()::text,
	(SELECT string_agg(quote_ident(s), ', ') FROM unnest(current_schemas(false)) s),
	has_database_privilege($1::name, current_database(), 'CREATE'), has_schema_privilege($1::name, $2::text, 'CREATE'),
	(SELECT setting::bigint FROM pg_settings WHERE name = 'deadlock_timeout')`

	// What hangs on a table and would go, or stay behind, with it. $1 is the schema, $2 the tables.
	sqlDependents = `
WITH live AS (
	SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $1 AND c.relname = ANY($2::text[])
)
SELECT t.relname::text, pg_describe_object(d.classid, d.objid, 0)
FROM live t JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_statistic_ext'::regclass,
		'pg_publication_rel'::regclass, 'pg_proc'::regclass)
	OR d.classid = 'pg_trigger'::regclass AND NOT (SELECT tgisinternal FROM pg_trigger WHERE oid = d.objid)
UNION
SELECT t.relname::text, pg_describe_object('pg_constraint'::regclass, k.oid, 0)
FROM live t JOIN pg_constraint k ON k.contype = 'f' AND t.oid IN (k.conrelid, k.confrelid)
ORDER BY 1, 2 LIMIT 10`

	// One rebuild at a time for each table, and a lock on the name for whoever asks what is running.
	sqlLockTable = `SELECT pg_advisory_lock(hashtext('orderlog rebuild of a table'), hashtext($1))`
	sqlLockName  = `SELECT pg_advisory_lock(hashtext('orderlog rebuild'), hashtext($1))`

	// Retention drops partitions and would wait behind the comparison, with readers waiting behind it. It gives way to
	// whoever has its lease; see package projections.
	sqlLockRetention = `SELECT pg_advisory_lock(hashtext('orderlog notification retention'))`

	sqlPending = `
SELECT r.name, r.position, r.program, r.started_at, r.updated_at, EXISTS (
	SELECT FROM pg_locks l
	WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND l.classid::bigint = hashtext('orderlog rebuild') & 4294967295
		AND l.objid::bigint = hashtext(r.name) & 4294967295
)
FROM rebuilds r ORDER BY r.name`

	sqlBegun = `
SELECT coalesce(r.position, -1), coalesce(r.program, ''), EXISTS (SELECT FROM pg_namespace WHERE nspname = $2)
FROM (SELECT) one LEFT JOIN rebuilds r ON r.name = $1`
	sqlBegin  = `INSERT INTO rebuilds (name, position, program) VALUES ($1, $2, $3)`
	sqlForget = `DELETE FROM rebuilds WHERE name = $1`
	sqlExists = `SELECT EXISTS (SELECT FROM rebuilds WHERE name = $1)`

	// The schema is looked at because what was written before in the transaction went into the live tables where it is
	// another: a pooler may have taken the session's settings away.
	sqlMove = `
UPDATE rebuilds SET position = $3, updated_at = now() WHERE name = $1 AND position = $2 AND current_schema() = $4`

	sqlFloor     = `SELECT floor FROM notification_floor`
	sqlPosition  = `SELECT position FROM checkpoints WHERE group_name = $1`
	sqlHold      = `SELECT position FROM checkpoints WHERE group_name = $1 FOR UPDATE`
	sqlPositions = `
SELECT c.position, r.position, (SELECT floor FROM notification_floor)
FROM checkpoints c, rebuilds r WHERE c.group_name = $1 AND r.name = $2`

	// Whoever waits for the log to grow looks again, also for a checkpoint that was held. It tells of no position: one that
	// was told before is not passed on again.
	sqlHint = `SELECT pg_notify($1, '')`

	sqlLockTimeout        = `SELECT set_config('lock_timeout', $1, true)`
	sqlSessionLockTimeout = `SELECT set_config('lock_timeout', $1, false)`

	// Who has locks on the live tables for long. Of other roles' sessions PostgreSQL does not tell everything.
	sqlHolders = `
SELECT DISTINCT a.pid, format('process %s (%s, %s for %s s)', a.pid,
	coalesce(nullif(a.application_name, ''), a.usename, 'unknown'), coalesce(a.state, a.backend_type, 'state unknown'),
	coalesce(extract(epoch FROM clock_timestamp() - a.xact_start)::bigint::text, '?'))
FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND n.nspname = $1 AND c.relname = ANY($2::text[])
ORDER BY 1 LIMIT 5`
)

// What a table is like, as lines: two tables with the same are alike in all that readers, writers and operators can
// tell. $1 is the schema and $2 the table; $3 says whether the indexes that are made last count, and $4 whether those are
// all indexes, with the constraints that they are for.
const sqlShape = `
WITH t AS (
	SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
)
SELECT line FROM (
	SELECT format('table %s %s owner %s tablespace %s options %s, of its toast %s, partitioned by %s', t.relkind, t.relpersistence,
		pg_get_userbyid(t.relowner), t.reltablespace,
		(SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(t.reloptions) o),
		(SELECT string_agg(o, ' ' ORDER BY o) FROM pg_class x, unnest(x.reloptions) o WHERE x.oid = t.reltoastrelid),
		pg_get_partkeydef(t.oid)) FROM t
	UNION ALL
	SELECT format('column %s %s %s%s default %s storage %s compression %s collation %s statistics %s %s%s',
		row_number() OVER (ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
		CASE WHEN a.attnotnull THEN ' not null' END, pg_get_expr(d.adbin, d.adrelid), a.attstorage, a.attcompression,
		a.attcollation, a.attstattarget, a.attidentity, a.attgenerated)
	FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
	UNION ALL
	SELECT format('constraint %s %s', k.conname, pg_get_constraintdef(k.oid)) FROM t JOIN pg_constraint k ON k.conrelid = t.oid
	WHERE $3::boolean OR NOT $4::boolean OR k.contype NOT IN ('p', 'u', 'x')
	UNION ALL
	SELECT format('index %s%s %s options %s tablespace %s', CASE WHEN i.indisunique THEN 'unique ' END, x.relname,
		substr(pg_get_indexdef(x.oid), strpos(pg_get_indexdef(x.oid), ' USING ')), array_to_string(x.reloptions, ' '), x.reltablespace)
	FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class x ON x.oid = i.indexrelid
	WHERE $3::boolean OR NOT $4::boolean AND (i.indisunique OR t.relkind = 'p' OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid))
	UNION ALL
	SELECT format('grant %s to %s%s', g.privilege_type, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END,
		CASE WHEN g.is_grantable THEN ' with grant option' END)
	FROM t, aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) g
	UNION ALL
	SELECT format('grant %s of %s to %s%s', g.privilege_type, a.attname,
		CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END, CASE WHEN g.is_grantable THEN ' with grant option' END)
	FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped, aclexplode(a.attacl) g
) AS found(line) ORDER BY line`

// The statements that make in schema $2 a table like table $3 of schema $1, with its constraints and unique indexes unless
// $4 says that all indexes are made last. A partition becomes one of the table in schema $2 that is named as its parent is.
const sqlMakeTable = `
WITH t AS (
	SELECT c.*, format('%I.%I', n.nspname, c.relname) AS live, format('%I.%I', $2::text, c.relname) AS shadow
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $3
), options AS (
	SELECT string_agg(name, ', ') AS list FROM (
		SELECT format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)) FROM t, unnest(t.reloptions) o
		UNION ALL
		SELECT format('toast.%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1))
		FROM t JOIN pg_class x ON x.oid = t.reltoastrelid, unnest(x.reloptions) o
	) AS named(name)
)
SELECT statement FROM (
	SELECT 1, '', format('CREATE %s TABLE %s (LIKE %s INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)%s%s%s',
		CASE t.relpersistence WHEN 'u' THEN 'UNLOGGED' END, t.shadow, t.live,
		' PARTITION BY ' || pg_get_partkeydef(t.oid), ' WITH (' || options.list || ')',
		' TABLESPACE ' || (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = t.reltablespace))
	FROM t, options
	UNION ALL
	SELECT 2, k.conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.shadow, k.conname, pg_get_constraintdef(k.oid))
	FROM t JOIN pg_constraint k ON k.conrelid = t.oid WHERE k.contype IN ('p', 'u', 'x') AND NOT t.relispartition AND NOT $4::boolean
	UNION ALL
	SELECT 3, x.relname, format('ALTER INDEX %I.%I SET (%s)', $2::text, x.relname,
		(SELECT string_agg(format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') FROM unnest(x.reloptions) o))
	FROM t JOIN pg_constraint k ON k.conrelid = t.oid JOIN pg_class x ON x.oid = k.conindid
	WHERE x.reloptions IS NOT NULL AND k.contype IN ('p', 'u', 'x') AND NOT t.relispartition AND NOT $4::boolean
	UNION ALL
	SELECT 4, x.relname, format('CREATE %s INDEX %I ON %s%s', CASE WHEN i.indisunique THEN 'UNIQUE' END, x.relname, t.shadow,
		substr(pg_get_indexdef(x.oid), strpos(pg_get_indexdef(x.oid), ' USING ')))
	FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class x ON x.oid = i.indexrelid
	WHERE (i.indisunique OR t.relkind = 'p') AND NOT t.relispartition AND NOT $4::boolean AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid)
	UNION ALL
	SELECT 5, a.attname, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', t.shadow, a.attname, a.attstattarget)
	FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE a.attstattarget >= 0
	UNION ALL
	SELECT 6, '', format('COMMENT ON TABLE %s IS %L', t.shadow, obj_description(t.oid, 'pg_class'))
	FROM t WHERE obj_description(t.oid, 'pg_class') IS NOT NULL
	UNION ALL
	SELECT 7, '', format('ALTER TABLE %I.%I ATTACH PARTITION %s %s', $2::text, p.relname, t.shadow, pg_get_expr(t.relpartbound, t.oid))
	FROM t JOIN pg_inherits i ON i.inhrelid = t.oid JOIN pg_class p ON p.oid = i.inhparent
) AS made(step, name, statement) ORDER BY step, name`

// The statements that give table $3 in schema $2 the grants of the one in schema $1; none where it has them. Default
// privileges may have given it others.
const sqlGrants = `
WITH t AS (
	SELECT n.nspname = $1 AS live, c.oid, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ($1, $2) AND c.relname = $3
), granted AS (
	SELECT t.live, NULL::name AS attname, g.grantee, g.privilege_type, g.is_grantable FROM t, aclexplode(t.acl) g
	UNION ALL
	SELECT t.live, a.attname, g.grantee, g.privilege_type, g.is_grantable
	FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped, aclexplode(a.attacl) g
), named AS (
	SELECT g.*, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS role FROM granted g
), differ AS (
	(SELECT attname, role, privilege_type, is_grantable FROM named WHERE live EXCEPT SELECT attname, role, privilege_type, is_grantable FROM named WHERE NOT live)
	UNION ALL
	(SELECT attname, role, privilege_type, is_grantable FROM named WHERE NOT live EXCEPT SELECT attname, role, privilege_type, is_grantable FROM named WHERE live)
)
SELECT statement FROM (
	SELECT DISTINCT 1, format('REVOKE ALL ON TABLE %I.%I FROM %s', $2::text, $3::text, role) FROM named WHERE NOT live
	UNION ALL
	SELECT 2, format('GRANT %s%s ON TABLE %I.%I TO %s%s', privilege_type, '(' || quote_ident(attname) || ')', $2::text, $3::text, role,
		CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END) FROM named WHERE live
) AS made(step, statement) WHERE EXISTS (SELECT FROM differ) ORDER BY step, statement`

// The indexes of table $3 in schema $1 that the one in schema $2 has not yet: those that are made when its rows are
// there, which takes a fraction of keeping them up meanwhile and leaves the table smaller. $4 says whether those are all
// indexes, with the constraints that they are for. One on a partitioned table takes in those that its partitions have.
const sqlMissingIndexes = `
SELECT coalesce((SELECT spcname FROM pg_tablespace WHERE oid = x.reltablespace), ''),
	CASE WHEN k.oid IS NULL THEN format('CREATE %s INDEX %I ON %I.%I%s', CASE WHEN i.indisunique THEN 'UNIQUE' END, x.relname, $2::text, t.relname,
		substr(pg_get_indexdef(x.oid), strpos(pg_get_indexdef(x.oid), ' USING ')))
	ELSE format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $2::text, t.relname, k.conname, pg_get_constraintdef(k.oid))
		|| CASE WHEN x.reloptions IS NULL THEN '' ELSE format('; ALTER INDEX %I.%I SET (%s)', $2::text, x.relname,
			(SELECT string_agg(format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') FROM unnest(x.reloptions) o)) END
	END
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class x ON x.oid = i.indexrelid
LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x')
WHERE n.nspname = $1 AND t.relname = $3 AND ($4::boolean OR t.relkind = 'r' AND NOT i.indisunique AND k.oid IS NULL)
	AND NOT EXISTS (SELECT FROM pg_class o JOIN pg_namespace s ON s.oid = o.relnamespace WHERE s.nspname = $2 AND o.relname = x.relname)
ORDER BY x.relname`

// The partitions of table $3 of schema $1 that the one in schema $2 has not, less those with nothing above seq $4.
const sqlMissingPartitions = `
SELECT c.relname::text FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_inherits i ON i.inhparent = t.oid JOIN pg_class c ON c.oid = i.inhrelid
WHERE n.nspname = $1 AND t.relname = $3
	AND coalesce((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)'))[1]::bigint - 1 > $4::bigint, true)
	AND NOT EXISTS (SELECT FROM pg_class o JOIN pg_namespace s ON s.oid = o.relnamespace WHERE s.nspname = $2 AND o.relname = c.relname)
ORDER BY c.relname`

const sqlPartitions = `
SELECT c.relname::text FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_inherits i ON i.inhparent = t.oid JOIN pg_class c ON c.oid = i.inhrelid
WHERE n.nspname = $1 AND t.relname = $2 ORDER BY c.relname`

// How the rows of table $2 in schema $1 are hashed: each column as it is, or as its text where equal values of its type may
// look different, where it has no hash, or where that first folds 64 bits into 32, as those of int8 and of times do.
// hash_record_extended takes all of them.
const sqlHashed = `
SELECT string_agg(CASE
	WHEN a.atttypid = ANY ('{bool, int2, int4, oid, uuid, date}'::regtype[]) THEN format('t.%I', a.attname)
	WHEN a.atttypid = ANY ('{int8, timestamp, timestamptz, text, varchar, json, jsonb, text[]}'::regtype[]) THEN format('t.%I::text COLLATE "C"', a.attname)
	ELSE format('ROW(t.%I)::text COLLATE "C"', a.attname) END, ', ' ORDER BY a.attnum)
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = $1 AND t.relname = $2`

// The columns of the primary key, and how many rows the table is thought to have, its partitions included.
const sqlKey = `
SELECT (SELECT array_agg(a.attname::text ORDER BY k.n) FROM pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
		JOIN pg_attribute a ON a.attnum = k.attnum WHERE i.indrelid = t.oid AND i.indisprimary AND a.attrelid = t.oid AND k.n <= i.indnkeyatts),
	greatest(t.reltuples, (SELECT sum(greatest(c.reltuples, 0)) FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = t.oid), 0)::bigint
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = $1 AND t.relname = $2`
