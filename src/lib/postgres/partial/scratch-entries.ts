import type {Archive, ArchiveEntry} from '../archive.ts'

/** Not of the schema that rows and keys live in; or not to be had without special rights. */
const LEFT_OUT = new Set([
  'ACL', 'DEFAULT ACL', 'COMMENT', 'SECURITY LABEL', 'POLICY', 'EVENT TRIGGER', 'PUBLICATION', 'PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA', 'SUBSCRIPTION', 'SUBSCRIPTION TABLE',
  'FOREIGN DATA WRAPPER', 'SERVER', 'USER MAPPING', 'FOREIGN TABLE', 'BLOB', 'BLOBS', 'BLOB METADATA', 'BLOB COMMENTS', 'STATISTICS', 'STATISTICS DATA', 'SEQUENCE SET', 'MATERIALIZED VIEW DATA',
  'TABLE DATA', 'DATABASE', 'DATABASE PROPERTIES',
])

/** What may fail in a scratch database without harm to the tables: nothing is asked of it there. */
const MAY_FAIL = new Set(['EXTENSION', 'FUNCTION', 'PROCEDURE', 'AGGREGATE', 'VIEW', 'MATERIALIZED VIEW', 'TRIGGER', 'RULE', 'CAST', 'OPERATOR', 'OPERATOR CLASS', 'OPERATOR FAMILY', 'PROCEDURAL LANGUAGE', 'TRANSFORM', 'CONVERSION', 'SEQUENCE OWNED BY', 'ROW SECURITY', 'INDEX', 'INDEX ATTACH', 'TEXT SEARCH CONFIGURATION', 'TEXT SEARCH DICTIONARY', 'TEXT SEARCH PARSER', 'TEXT SEARCH TEMPLATE'])

export const mayFailInScratch = (kind: string): boolean => MAY_FAIL.has(kind)

/** An index that keeps nothing apart only costs time. */
const isPlainIndex = ({kind, definition}: ArchiveEntry): boolean => kind === 'INDEX' && !/^CREATE UNIQUE INDEX /m.test(definition)

/**
 * What of an archive makes the schema of its tables in a database without rows: types, tables, keys, foreign keys, triggers;
 * without owners, privileges and policies, so that no role has to be there. A table is never left out for what it depends on.
 */
export function scratchEntries({entries}: Archive): ArchiveEntry[] {
  const gone = new Set(entries.filter((entry) => LEFT_OUT.has(entry.kind) || isPlainIndex(entry)).map(({dumpId}) => dumpId))
  for (let before = -1; before !== gone.size;) {
    before = gone.size
    for (const {dumpId, kind, dependencies} of entries) if (kind !== 'TABLE' && dependencies.some((one) => gone.has(one))) gone.add(dumpId)
  }
  return entries.filter(({dumpId}) => !gone.has(dumpId))
}
