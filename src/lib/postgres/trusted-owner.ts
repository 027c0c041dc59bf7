/**
 * That the schema `n` is this role's own, or of somebody who may act as the owner of the database: that owner, its members,
 * superusers. Whoever may only make schemas can give one any name and comment, put a view into it that runs what its maker likes
 * with the rights of whoever reads it, or hide a deed behind it.
 */
export const TRUSTED_OWNER = `(n.nspowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) OR pg_catalog.pg_has_role(n.nspowner, (SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), 'MEMBER'))`
