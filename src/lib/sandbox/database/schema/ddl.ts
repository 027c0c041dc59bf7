import {quoteIdent as q} from '../../../postgres/quote.ts'
import type {Column, Index, Table} from './notation.ts'

const names = (columns: readonly string[]): string => columns.map(q).join(', ')

/** The table without keys, indexes and foreign keys: those come after the data. */
export const createTable = (table: Table): string => `CREATE TABLE ${q(table.name)} (\n${table.columns.map((column) => `  ${columnDdl(column)}`).join(',\n')}\n)`

function columnDdl({name, type, nullable, default: value, generated}: Column): string {
  const filling = generated === undefined ? (value === undefined ? '' : ` DEFAULT ${value}`) : ` GENERATED ALWAYS AS (${generated}) STORED`
  return `${q(name)} ${type}${nullable ? '' : ' NOT NULL'}${filling}`
}

/** Primary key and secondary indexes, each a statement of its own; those of one table may be built side by side. */
export const createIndexes = (table: Table): string[] => [
  `CREATE UNIQUE INDEX ${q(`${table.name}_pkey`)} ON ${q(table.name)} (${names(table.key)})`,
  ...table.indexes.map((index) => createIndex(table, index)),
]

const createIndex = (table: Table, {name, unique, definition}: Index): string => `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${q(name)} ON ${q(table.name)} ${definition}`

export const adoptKey = (table: Table): string => `ALTER TABLE ${q(table.name)} ADD CONSTRAINT ${q(`${table.name}_pkey`)} PRIMARY KEY USING INDEX ${q(`${table.name}_pkey`)}`

const foreign = (table: Table) => table.columns.flatMap((column) => (column.references ? [{...column.references, column: column.name, name: `${table.name}_${column.name}_fkey`}] : []))

/** Declares the foreign keys without looking at the rows, so that no long lock lies on the referenced tables. */
export function declareForeignKeys(table: Table): string[] {
  const keys = foreign(table).map((key) => `ADD CONSTRAINT ${q(key.name)} FOREIGN KEY (${q(key.column)}) REFERENCES ${q(key.table)} ("id") ON UPDATE CASCADE ON DELETE ${key.onDelete} NOT VALID`)
  return keys.length === 0 ? [] : [`ALTER TABLE ${q(table.name)} ${keys.join(', ')}`]
}

export const validateForeignKeys = (table: Table): string[] => foreign(table).map(({name}) => `ALTER TABLE ${q(table.name)} VALIDATE CONSTRAINT ${q(name)}`)

/** Row-level security as the application has it: enabled, never forced. */
export const isolate = (table: Table): string[] =>
  table.isolated
    ? [
        `ALTER TABLE ${q(table.name)} ENABLE ROW LEVEL SECURITY`,
        `CREATE POLICY ${q(`${table.name}_isolation_policy`)} ON ${q(table.name)} FOR ALL USING ("tenantId"::uuid = app.current_tenant_id())`,
      ]
    : []
