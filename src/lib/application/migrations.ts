/** Prisma's own record of migrations, if the database has one. */
export const MIGRATIONS_TABLE_EXISTS = "SELECT to_regclass('public._prisma_migrations') IS NOT NULL AS exists"

/** The last migration that was applied: it tells to which release a backup belongs. */
export const MIGRATION_HEAD = `
  SELECT migration_name AS head, to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "finishedAt"
  FROM public._prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY finished_at DESC, migration_name DESC LIMIT 1`
