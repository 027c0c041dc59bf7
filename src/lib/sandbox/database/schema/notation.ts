import {quoteIdent} from '../../../postgres/quote.ts'

export interface Column {
  name: string
  /** As written in DDL. */
  type: string
  nullable: boolean
  default?: string | undefined
  /** `GENERATED ALWAYS AS (…) STORED` */
  generated?: string | undefined
  references?: {table: string; onDelete: string} | undefined
}

export interface Index {
  name: string
  unique: boolean
  /** What follows ON "table": `USING gin ("metadata")`. */
  definition: string
}

export interface Table {
  name: string
  columns: readonly Column[]
  /** The primary key's columns. */
  key: readonly string[]
  indexes: readonly Index[]
  /** Row-level security by tenant. */
  isolated: boolean
  /** Rows per tenant in the sample; heavy tables have a share of the asked rows instead. */
  perTenant: number
}

export interface TableNotes {
  /** `name[?] [type] [= default] [-> table ON DELETE]`, separated by `;`. `?` is nullable, no type is text. */
  columns: string
  /** `column [column …] [:method]`, separated by `;`; a first word `unique` makes it unique. */
  indexes: string
  key?: string
  isolated?: boolean
  perTenant?: number
}

const TYPES: Readonly<Record<string, string>> = {
  '': 'text',
  bool: 'boolean',
  int: 'integer',
  json: 'jsonb',
  money: 'numeric(14,2)',
  ts: 'timestamp(3) without time zone',
}

const items = (text: string): string[] => text.split(';').map((item) => item.trim()).filter((item) => item !== '')

export const tables = (notes: Readonly<Record<string, TableNotes>>): Table[] => Object.entries(notes).map(([name, note]) => readTable(name, note))

function readTable(name: string, note: TableNotes): Table {
  const columns = items(note.columns).map(readColumn)
  return {
    name,
    columns,
    key: (note.key ?? 'id').split(' '),
    indexes: items(note.indexes).map((item) => readIndex(name, item)),
    isolated: note.isolated ?? columns.some((column) => column.name === 'tenantId'),
    perTenant: note.perTenant ?? 0,
  }
}

function readColumn(text: string): Column {
  const parts = /^(?<name>\w+)(?<nullable>\??)(?: (?<type>[^=>-][^=>-]*?))?(?: := (?<generated>.+))?(?: = (?<value>.+?))?(?: -> (?<table>\w+) (?<onDelete>.+))?$/.exec(text)?.groups
  if (parts?.name === undefined) throw new Error(`Not a column: ${text}`)
  const {name, type = '', nullable, generated, value, table, onDelete} = parts
  return {
    name,
    type: TYPES[type] ?? type,
    nullable: nullable === '?',
    default: value,
    generated,
    references: table === undefined || onDelete === undefined ? undefined : {table, onDelete},
  }
}

function readIndex(table: string, text: string): Index {
  const unique = text.startsWith('unique ')
  const [list = '', method] = text.replace(/^unique /, '').split(' :')
  const columns = list.split(' ')
  const name = `${table}_${columns.join('_')}_${unique ? 'key' : 'idx'}`.slice(0, 63)
  return {name, unique, definition: `${method === undefined ? '' : `USING ${method} `}(${columns.map(quoteIdent).join(', ')})`}
}
