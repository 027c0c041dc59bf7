/**
 * That the schema `n` is this role's own, the database's owner's or a superuser's. Whoever may make a schema can give it any name
 * and comment, and a view in it that runs what its maker likes with the rights of whoever reads it.
 */
export const TRUSTED_OWNER = `n.nspowner IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user OR rolsuper UNION ALL SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database())`
