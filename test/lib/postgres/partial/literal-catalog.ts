import type {Catalog, ColumnShape, ForeignKeyShape, KeyRule, TableName, TableShape} from '../../../../src/lib/postgres/partial/contract.ts'

const RULES: Readonly<Record<string, KeyRule>> = {CASCADE: 'cascade', NULL: 'set null', RESTRICT: 'restrict', NOTHING: 'no action'}

/**
 * A catalog written down: `leads: id tenantId->tenants.id:CASCADE contactId?->contacts.id:NULL total= `. The first column is the key; `?`: may be
 * NULL; `=`: generated; a name with a dot has its schema; `leads_2026<leads` is a partition.
 */
export function literalCatalog(...lines: readonly string[]): Catalog {
  const foreignKeys: ForeignKeyShape[] = []
  const tables = lines.map((line, index): TableShape => {
    const [head = '', rest = ''] = line.split(/:\s+/, 2)
    const [own = '', root] = head.split('<')
    const table = named(own)
    const words = rest.trim().split(/\s+/)
    for (const word of words) foreignKeys.push(...linkOf(word, table))
    return {
      ...table, oid: 1000 + index, kind: lines.some((other) => other.split(':')[0]?.endsWith(`<${own}`)) ? 'partitioned' : 'table', ...(root !== undefined && {root: named(root), parent: named(root)}),
      columns: words.map(columnOf), keys: [{name: `${table.name}_pkey`, columns: [nameIn(words[0] ?? '')], primary: true, strict: true}],
      rowSecurity: false, forcedRowSecurity: false, owner: 'crm', estimatedRows: 0, triggers: [], sequences: [],
    }
  })
  return {tables, foreignKeys}
}

export const named = (text: string): TableName => (text.includes('.') ? {schema: text.split('.')[0] ?? '', name: text.split('.')[1] ?? ''} : {schema: 'public', name: text})
const nameIn = (word: string) => word.replace(/[?=]*(->.*)?$/, '')
const columnOf = (word: string): ColumnShape => ({name: nameIn(word), type: 'text', notNull: !/^\w+\?/.test(word), generated: /^\w+=$/.test(word)})

function linkOf(word: string, table: TableName): ForeignKeyShape[] {
  const match = /^(\w+)\??->([\w.]+)\.(\w+):(\w+)$/.exec(word)
  if (!match) return []
  const [, column = '', target = '', targetColumn = '', rule = ''] = match
  return [{name: `${table.name}_${column}_fkey`, table, columns: [column], references: named(target), referencedColumns: [targetColumn], onDelete: RULES[rule] ?? 'no action', onUpdate: 'no action', deferrable: false, validated: true}]
}
