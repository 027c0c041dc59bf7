import {copyText} from '../../../postgres/copy.ts'
import type {Column, Table} from '../schema/notation.ts'
import type {SamplePlan} from './plan.ts'
import {AGENTS, COLORS, COMPANIES, FIRST, LAST, LEAD_STATUS, METHODS, ROLES, SOURCES, SPAN, stamp, WORDS} from './pools.ts'
import {hexDigits, mix, of} from './random.ts'

interface Cell {
  index: number
  /** A number of its own for each cell. */
  hash: number
  tenant: number
}

type Rule = (cell: Cell) => string

const words = (count: number): Rule => ({hash}) => Array.from({length: count}, (_, nth) => of(WORDS, mix(nth, hash))).join(' ')
const person: Rule = ({hash}) => `${of(FIRST, hash)} ${of(LAST, hash >>> 8)}`
const phone: Rule = ({index}) => `+99890${1_000_000 + index}`
const pick = (pool: readonly string[]): Rule => ({hash}) => of(pool, hash)
const digest: Rule = ({index, hash}) => hexDigits(hash, index, 64)

/** How a column of a small table is filled: by `table.column`, else by name, else by type. Unique ones count on the index. */
const RULES: Readonly<Record<string, Rule>> = {
  'tenants.name': ({index}) => `${of(COMPANIES, index)} ${index + 1}`,
  'tenants.plan': pick(['free', 'pro', 'enterprise']),
  'user_auth_links.provider': pick(['google', 'telegram']),
  'comments.content': ({index, hash}) => `${words(8)({index, hash, tenant: 0})}\nsecond line\twith a tab, a back\\slash and a "quote"`,
  'telegram_chats.type': pick(['private', 'group']),
  'tasks.priority': pick(['low', 'normal', 'high']),
  'invoices.number': ({index}) => `INV-2026-${String(index + 1).padStart(6, '0')}`,
  'invoices.amount': ({hash}) => `${100_000 + (hash % 9000) * 1000}.50`,
  'invoices.discount': ({hash}) => `${(hash % 10) * 5000}.25`,
  'users.authProvider': pick(['email', 'google', 'telegram']),
  'webhooks.events': () => '{lead.created,lead.updated}',
  'webhooks.url': ({index}) => `https://hooks.example.uz/${index}`,
  'notifications.type': pick(['lead', 'call', 'system']),
  name: words(2), fullName: person, leadName: person, title: words(3), body: words(12), description: words(12), comment: words(5),
  username: ({index}) => `user${index}`, email: ({index}) => `person${index}@example.uz`, phone, subdomain: ({index}) => `tenant${index}`,
  telegramId: ({index}) => String(500_000_000 + index), googleId: ({index}) => `1${String(index).padStart(20, '0')}`, providerId: ({index}) => `link-${index}`,
  passwordHash: ({index, hash}) => `$2b$12$${hexDigits(hash, index, 53)}`, roles: pick(ROLES), scopes: () => '{read,write}', role: pick(['member', 'lead']),
  status: pick(LEAD_STATUS), source: pick(SOURCES), currency: pick(['UZS', 'UZS', 'USD']), paymentMethod: pick(METHODS), method: pick(METHODS), color: pick(COLORS),
  amount: ({hash}) => `${100_000 + (hash % 5000) * 1000}.00`, price: ({hash}) => `${500_000 + (hash % 20) * 100_000}.00`, durationDays: ({hash}) => String(30 * (1 + (hash % 12))),
  ip: ({hash}) => `10.0.${(hash >>> 8) & 255}.${hash & 255}`, userAgent: pick(AGENTS), tokenHash: digest, keyHash: digest, secretHash: digest,
  prefix: ({index, hash}) => `dk_${hexDigits(hash, index, 6)}`, fileName: ({index}) => `scan ${index}.pdf`, contentType: pick(['application/pdf', 'image/png']),
  storageKey: ({index, hash}) => `attachments/${hexDigits(hash, index, 8)}/${index}`, number: ({index}) => String(index), transactionId: ({index}) => `txn-${index}`,
  chatId: ({index}) => String(-1_001_000_000_000 - index), messageId: ({index}) => String(index + 1), direction: pick(['inbound', 'outbound']),
}

const BY_TYPE: Readonly<Record<string, Rule>> = {
  boolean: ({hash}) => (hash % 4 === 0 ? 'f' : 't'),
  integer: ({hash}) => String(hash % 1000),
  jsonb: ({hash, index}) => JSON.stringify({kind: of(WORDS, hash), nth: index, tags: [of(WORDS, hash >>> 4), of(WORDS, hash >>> 8)], note: 'quoted "text"'}),
  'numeric(14,2)': ({hash}) => `${hash % 100_000}.00`,
  'text[]': () => '{a,b}',
  text: words(2),
}

/** The columns that COPY fills: not the generated ones. */
export const filled = (table: Table): Column[] => table.columns.filter((column) => column.generated === undefined)

/** The COPY lines of a small table. */
export function* smallRows(table: Table, plan: SamplePlan): Generator<string> {
  const cells = filled(table).map((column) => cellOf(table, column, plan))
  for (let index = 0; index < plan.count(table.name); index += 1) {
    yield `${cells.map((cell) => cell(index) ?? String.raw`\N`).join('\t')}\n`
  }
}

function cellOf(table: Table, column: Column, plan: SamplePlan): (index: number) => string | undefined {
  const salt = plan.salt(`${table.name}.${column.name}`)
  if (column.name === 'id') return (index) => plan.id(table.name, index)
  if (column.references) return referenceOf(table, column, plan, salt)
  const rule = RULES[`${table.name}.${column.name}`] ?? RULES[column.name] ?? BY_TYPE[column.type] ?? timeOf(table, column, plan)
  return (index) => {
    const hash = mix(salt, index)
    if (column.nullable && hash % 7 === 0) return undefined
    return copyText(rule({index, hash: hash >>> 3, tenant: plan.tenantOf(index)}))
  }
}

function referenceOf(table: Table, column: Column, plan: SamplePlan, salt: number): (index: number) => string | undefined {
  const target = column.references?.table ?? ''
  if (target === 'tenants') return (index) => plan.id(target, plan.tenantOf(index))
  if (target === table.name) {
    return (index) => {
      const earlier = index % 3 === 0 ? plan.earlier(index) : undefined
      return earlier === undefined ? undefined : plan.id(target, earlier)
    }
  }
  // The first column of a two-column key counts up, so that no pair comes twice.
  if (table.key.includes(column.name) && target !== 'tags' && target !== 'teams') return (index) => plan.id(target, index)
  return (index) => {
    const hash = mix(salt, index)
    return column.nullable && hash % 7 === 0 ? undefined : plan.id(target, plan.pick(target, plan.tenantOf(index), hash))
  }
}

/** createdAt spreads over the sample's time; every other time comes after it. */
function timeOf(table: Table, column: Column, plan: SamplePlan): Rule {
  const step = SPAN / Math.max(1, plan.count(table.name))
  return ({index, hash}) => stamp(index * step + (column.name === 'createdAt' ? 0 : hash % 2_000_000_000))
}
