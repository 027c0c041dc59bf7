import {copyText} from '../../../postgres/copy.ts'
import {hexDigits, mix, of} from './random.ts'
import type {SamplePlan} from './plan.ts'
import {ACTIONS, AGENTS, CALL_PROVIDERS, CALL_STATUS, DIRECTIONS, EVENT_TYPES, FIRST, LAST, LEAD_STATUS, RESOURCES, SOURCES, SPAN, stamp, WEBHOOK_PROVIDERS, WORDS} from './pools.ts'

/** One line of COPY text for row `index` of a heavy table, columns in the order of the schema. */
type RowText = (index: number) => string

const NULL = String.raw`\N`
const pool = (size: number, make: (number: number) => string): string[] => Array.from({length: size}, (_, number) => copyText(make(number)))

const names = pool(512, (n) => `${of(FIRST, mix(1, n))} ${of(LAST, mix(2, n))}`)
const titles = pool(512, (n) => `${of(WORDS, mix(3, n))} ${of(WORDS, mix(4, n))} – ${of(FIRST, mix(5, n))}`)
const utm = pool(64, (n) => JSON.stringify({utm: {source: of(SOURCES, n), medium: 'cpc', campaign: `${of(WORDS, n)}-${of(WORDS, n >> 2)}-2026`}, formName: 'Landing: request a callback', price: (mix(6, n) % 90) * 100_000}))
const callMeta = pool(256, (n) => JSON.stringify({queue: of(['sales', 'support', 'retention'], n), operator: `ext-${100 + (mix(7, n) % 60)}`, waitSeconds: mix(8, n) % 45, codec: 'PCMA', hangupCause: 'NORMAL_CLEARING'}))
const phone = (hash: number): string => `+9989${10_000_000 + (hash % 89_999_999)}`

export function heavyRows(plan: SamplePlan): Readonly<Record<string, RowText>> {
  return {contacts: contacts(plan), leads: leads(plan), calls: calls(plan), audit_logs: auditLogs(plan), webhook_events: webhookEvents(plan)}
}

/** When row `index` of `table` came to be: rows are in the order of time. */
function clock(plan: SamplePlan, table: string): (index: number) => number {
  const step = SPAN / plan.count(table)
  return (index) => index * step
}

/** A tenant's id, computed once. */
function tenantIds(plan: SamplePlan): (tenant: number) => string {
  const ids = Array.from({length: plan.size.tenants}, (_, tenant) => plan.id('tenants', tenant))
  return (tenant) => of(ids, tenant)
}

function contacts(plan: SamplePlan): RowText {
  const [salt, at, tenantId] = [plan.salt('contacts.row'), clock(plan, 'contacts'), tenantIds(plan)]
  return (index) => {
    const hash = mix(salt, index)
    const created = at(index)
    const external = `{"amocrm": ${40_000_000 + index}, "telegram": ${hash % 3 === 0 ? String(100_000_000 + hash % 900_000_000) : 'null'}}`
    const email = hash % 4 === 0 ? NULL : `client${index}@${of(['mail.uz', 'gmail.com', 'inbox.ru'], hash >>> 4)}`
    return `${plan.id('contacts', index)}\t${tenantId(plan.tenantOf(index))}\t${of(names, hash)}\t${phone(hash)}\t${email}\t${external}\t{"language": "uz", "segment": "${of(WORDS, hash >>> 8)}"}\t${stamp(created)}\t${stamp(created + (hash % 900_000_000))}\n`
  }
}

function leads(plan: SamplePlan): RowText {
  const [salt, at, tenantId] = [plan.salt('leads.row'), clock(plan, 'leads'), tenantIds(plan)]
  return (index) => {
    const [hash, more] = [mix(salt, index), mix(salt + 1, index)]
    const tenant = plan.tenantOf(index)
    const created = stamp(at(index))
    const updated = stamp(at(index) + (hash % 900_000_000))
    const contactId = hash % 10 === 0 ? NULL : plan.id('contacts', plan.pick('contacts', tenant, more))
    return `${plan.id('leads', index)}\t${tenantId(tenant)}\t${10_000_000 + index}\t${of(titles, hash)}\t${contactId}\t${of(LEAD_STATUS, hash >>> 3)}\t${70_000 + tenant * 2 + (more & 1)}\t${plan.id('users', plan.pick('users', tenant, hash >>> 2))}\t${of(utm, more >>> 3)}\t${of(SOURCES, more)}\t${created}\t${updated}\t${created}\t${updated}\n`
  }
}

function calls(plan: SamplePlan): RowText {
  const [salt, at, tenantId] = [plan.salt('calls.row'), clock(plan, 'calls'), tenantIds(plan)]
  return (index) => {
    const [hash, more] = [mix(salt, index), mix(salt + 1, index)]
    const tenant = plan.tenantOf(index)
    const answered = hash % 6 < 3
    const duration = answered ? 10 + (hash >>> 5) % 900 : 0
    const started = at(index)
    const recording = `rec-${hexDigits(salt + 9, index, 12)}`
    const recorded = answered ? `https://pbx.utel.uz/records/${stamp(started).slice(0, 10)}/${recording}.mp3\t${recording}` : `${NULL}\t${NULL}`
    const leadId = more % 3 === 0 ? NULL : plan.id('leads', plan.pick('leads', tenant, more))
    const contactId = more % 5 === 0 ? NULL : plan.id('contacts', plan.pick('contacts', tenant, hash))
    const ended = stamp(started + duration * 1000)
    return `${plan.id('calls', index)}\t${tenantId(tenant)}\tutel-${900_000_000 + index}\t${phone(hash)}\t${phone(tenant * 7919)}\t${of(DIRECTIONS, more)}\t${answered ? duration : NULL}\t${of(CALL_STATUS, hash)}\t${recorded}\t${of(callMeta, more >>> 2)}\t${leadId}\t${contactId}\t${stamp(started)}\t${answered ? ended : NULL}\t${ended}\t${of(CALL_PROVIDERS, hash)}\n`
  }
}

function auditLogs(plan: SamplePlan): RowText {
  const [salt, at, tenantId] = [plan.salt('audit_logs.row'), clock(plan, 'audit_logs'), tenantIds(plan)]
  return (index) => {
    const [hash, more] = [mix(salt, index), mix(salt + 1, index)]
    const tenant = plan.tenantOf(index)
    const kind = hash % ACTIONS.length
    const userId = hash % 9 === 0 ? NULL : plan.id('users', plan.pick('users', tenant, more))
    const change = `{"changes": {"status": ["${of(LEAD_STATUS, more)}", "${of(LEAD_STATUS, more >>> 4)}"], "updatedAt": "${stamp(at(index))}"}, "requestId": "${hexDigits(salt + 9, index, 16)}"}`
    return `${plan.id('audit_logs', index)}\t${tenantId(tenant)}\t${userId}\t${of(ACTIONS, kind)}\t${of(RESOURCES, kind)}\t${plan.id('leads', plan.pick('leads', tenant, hash))}\t10.${tenant & 255}.${(more >>> 8) & 15}.${more & 255}\t${of(AGENTS, more >>> 5)}\t${change}\t${stamp(at(index))}\n`
  }
}

function webhookEvents(plan: SamplePlan): RowText {
  const [salt, at, tenantId] = [plan.salt('webhook_events.row'), clock(plan, 'webhook_events'), tenantIds(plan)]
  return (index) => {
    const [hash, more] = [mix(salt, index), mix(salt + 1, index)]
    const tenant = plan.tenantOf(index)
    const kind = hash % WEBHOOK_PROVIDERS.length
    const processed = hash % 40 !== 0
    const lead = `{"id": "${10_000_000 + plan.pick('leads', tenant, more)}", "name": "${of(titles, more)}", "status_id": "${142 + (hash & 3)}", "price": "${(more % 90) * 100_000}", "responsible_user_id": "${8_000_000 + tenant}", "last_modified": "${1_735_689_600 + index}", "pipeline_id": "${70_000 + tenant * 2}", "account_id": "${31_000_000 + tenant}", "custom_fields": [{"id": "512341", "name": "Phone", "values": [{"value": "${phone(hash)}", "enum": "WORK"}]}], "created_at": "1735689600", "tags": []}`
    const payload = `{"account": {"id": "${31_000_000 + tenant}", "subdomain": "tenant${tenant}", "_links": {"self": "https://tenant${tenant}.amocrm.ru"}}, "leads": {"update": [${lead}]}}`
    return `${plan.id('webhook_events', index)}\t${hash % 25 === 0 ? NULL : tenantId(tenant)}\t${of(WEBHOOK_PROVIDERS, kind)}\t${of(EVENT_TYPES, kind)}\t${payload}\t${of(WEBHOOK_PROVIDERS, kind)}:${hexDigits(salt + 9, index, 24)}\t${processed ? 't' : 'f'}\t${processed ? stamp(at(index) + (hash % 5000)) : NULL}\t${processed ? NULL : 'Timeout while calling amoCRM'}\t${stamp(at(index))}\n`
  }
}
