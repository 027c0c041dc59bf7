import {expect} from 'chai'
import type {Catalog, Predicate} from '../../../../src/lib/postgres/partial/contract.ts'
import {selectRows, type Selected, type SelectionWish} from '../../../../src/lib/postgres/partial/selection.ts'
import {DrError} from '../../../../src/lib/errors.ts'
import {literalCatalog, named} from './literal-catalog.ts'

const own = 'id tenantId->tenants.id:CASCADE'
const LINES = [
  'tenants: id name subdomain?',
  `users: ${own} email?`,
  'user_auth_links: id userId->users.id:CASCADE provider',
  `contacts: ${own} name?`,
  `leads: ${own} title status? contactId?->contacts.id:NULL shout=`,
  `calls: ${own} leadId?->leads.id:NULL contactId?->contacts.id:NULL`,
  'webhook_events: id tenantId?->tenants.id:NULL',
  `audit_logs: ${own} userId?->users.id:NULL`,
  `incomes: ${own} managerUserId->users.id:RESTRICT relatedDebtIncomeId?->incomes.id:NULL`,
  'plans: id name',
  'crm.notes: id userId?->users.id:NULL text',
  `messages: ${own} at`,
  'messages_2026<messages: id tenantId at',
  'settings: key value?',
]
const CRM = literalCatalog(...LINES)
const without = (...names: string[]): Catalog => ({tables: CRM.tables.filter(({name}) => !names.includes(name)), foreignKeys: CRM.foreignKeys.filter(({table, references}) => !names.includes(table.name) && !names.includes(references.name))})

function select(wish: Partial<SelectionWish>, {live = CRM, backup = CRM, tenantColumn = 'tenantId'}: {live?: Catalog; backup?: Catalog; tenantColumn?: string} = {}): Selected {
  return selectRows({tables: [], relink: false, withParents: false, ...wish}, {live, backup, tenantColumn})
}

/** `3 leads rows [all]` */
const shown = ({selection}: Selected): string[] => selection.tables.map(({table, role, where, columns}) => `${table.schema === 'public' ? '' : `${table.schema}.`}${table.name} ${role}${columns ? ` (${columns.join(',')})` : ''} ${words(where)}`)

function words(where: Predicate): string {
  if (where.kind === 'all') return 'all'
  if (where.kind === 'equals') return `${where.column}=${where.value}`
  if (where.kind === 'sql') return `{${where.text}}`
  if (where.kind === 'written-by') return `xmin=${where.transaction}`
  if (where.kind === 'refers') return `${where.columns.join(',')}->${where.table.name}.${where.targets.join(',')}[${words(where.where)}]`
  return `${where.kind}(${where.of.map(words).join('; ')})`
}

function refusal(wish: Partial<SelectionWish>, sources?: Parameters<typeof select>[1]): {code: string; message: string; hints: string; exitCode: number} {
  try {
    select(wish, sources)
  } catch (error) {
    if (!(error instanceof DrError)) throw error
    return {code: error.code, message: error.message, hints: error.hints.join('\n'), exitCode: error.exitCode}
  }
  throw new Error('It was not refused.')
}

describe('what is to come back', () => {
  describe('by table', () => {
    it('is the whole table, named with or without its schema', () => {
      expect(shown(select({tables: ['leads']}))).to.deep.equal(['leads rows all'])
      expect(shown(select({tables: ['public.leads', 'crm.notes', 'leads']}))).to.deep.equal(['crm.notes rows all', 'leads rows all'])
    })

    it('stands in an order in which rows can be inserted', () => {
      expect(shown(select({tables: ['calls', 'leads', 'contacts', 'tenants']}))).to.deep.equal(['tenants rows all', 'contacts rows all', 'leads rows all', 'calls rows all'])
    })

    it('gives the tables of a cycle one group, and others groups of their own', () => {
      const ring = literalCatalog('a: id b->b.id:NOTHING', 'b: id c->c.id:NOTHING', 'c: id a->a.id:NOTHING z->z.id:NOTHING', 'd: id a->a.id:NOTHING d->d.id:NOTHING', 'z: id')
      const {selection} = select({tables: ['d', 'c', 'b', 'a', 'z']}, {live: ring, backup: ring})
      expect(selection.tables.map(({table, group}) => `${group} ${table.name}`)).to.deep.equal(['0 z', '1 a', '1 b', '1 c', '2 d'])
    })

    it('is a partition alone when that is named, and is its whole when both are', () => {
      expect(shown(select({tables: ['messages_2026']}))).to.deep.equal(['messages_2026 rows all'])
      expect(shown(select({tables: ['messages', 'messages_2026']}))).to.deep.equal(['messages rows all'])
      expect(shown(select({tables: ['messages_2026', 'tenants']}))).to.deep.equal(['tenants rows all', 'messages_2026 rows all'])
    })

    it('takes a condition in SQL, and a transaction, together', () => {
      expect(shown(select({tables: ['leads'], where: "status = 'lost'"}))).to.deep.equal(["leads rows {status = 'lost'}"])
      expect(shown(select({tables: ['leads', 'calls'], transaction: '4711'}))).to.deep.equal(['leads rows xmin=4711', 'calls rows xmin=4711'])
      expect(shown(select({tables: ['leads'], where: 'a', transaction: '1'}))).to.deep.equal(['leads rows every({a}; xmin=1)'])
    })

    it('is limited to columns', () => {
      expect(shown(select({tables: ['leads'], columns: ['status', 'title']}))).to.deep.equal(['leads rows (status,title) all'])
    })

    it('names what is not live any more', () => {
      const {lost, selection} = select({tables: ['leads', 'calls']}, {live: without('leads')})
      expect(lost).to.deep.equal([named('leads')])
      expect(selection.tables.map(({table}) => table.name)).to.deep.equal(['leads', 'calls'])
    })

    for (const [what, wish, sources, code, hint] of [
      ['nothing', {}, {}, 'partial.nothing-selected', '--table NAME'],
      ['a misspelled table', {tables: ['laeds']}, {}, 'partial.table-unknown', 'Did you mean --table leads?'],
      ['a misspelled table with its schema', {tables: ['crm.note']}, {}, 'partial.table-unknown', 'Did you mean --table crm.notes?'],
      ['a table like no other', {tables: ['zzzzzzzzzz']}, {}, 'partial.table-unknown', 'dr diff --all'],
      ['a table that the backup has not', {tables: ['leads']}, {backup: without('leads')}, 'partial.table-not-in-backup', '--from'],
      ['a name of two tables', {tables: ['notes']}, {live: literalCatalog('a.notes: id', 'b.notes: id'), backup: literalCatalog('a.notes: id')}, 'partial.table-ambiguous', '--table a.notes, --table b.notes'],
      ['a condition on two tables', {tables: ['leads', 'calls'], where: 'true'}, {}, 'partial.where', 'exactly once'],
      ['a condition on no table', {tenant: 't1', where: 'true'}, {}, 'partial.where', '--table NAME'],
      ['an empty condition', {tables: ['leads'], where: ' '}, {}, 'partial.where', 'whole table'],
      ['a transaction that is no number', {tables: ['leads'], transaction: '12x'}, {}, 'partial.transaction', 'dr investigate'],
      ['a transaction of a table that is gone', {tables: ['leads'], transaction: '12'}, {live: without('leads')}, 'partial.table-lost', '--transaction'],
      ['a misspelled column', {tables: ['leads'], columns: ['statsu']}, {}, 'partial.column-unknown', 'Did you mean status?'],
      ['a column like no other', {tables: ['settings'], columns: ['zzzzzzzz']}, {}, 'partial.column-unknown', 'It has key, value.'],
      ['a column of only one of two tables', {tables: ['leads', 'calls'], columns: ['status']}, {}, 'partial.column-unknown', 'It has'],
      ['a generated column', {tables: ['leads'], columns: ['shout']}, {}, 'partial.columns', '--columns'],
      ['a column of the key', {tables: ['leads'], columns: ['id']}, {}, 'partial.columns', '--columns'],
      ['columns of a table that is gone', {tables: ['leads'], columns: ['status']}, {live: without('leads')}, 'partial.columns', '--columns'],
      ['columns with links', {tables: ['leads'], columns: ['status'], relink: true}, {}, 'partial.columns', 'one after the other'],
      ['columns of a whole tenant', {tenant: 't1', columns: ['status']}, {}, 'partial.columns', '--table NAME'],
      ['an empty tenant', {tenant: ''}, {}, 'usage', 'dr diff --all'],
      ['a tenant where no table has one', {tenant: 't1'}, {tenantColumn: 'orgId'}, 'partial.no-tenants', 'database.tenantColumn'],
      ['a tenant of a table without', {tenant: 't1', tables: ['plans']}, {}, 'partial.no-tenant-rows', 'users'],
    ] as [string, Partial<SelectionWish>, Parameters<typeof select>[1], string, string][]) {
      it(`is refused for ${what}`, () => {
        const {code: found, hints, exitCode} = refusal(wish, sources)
        expect({found, exitCode}).to.deep.equal({found: code, exitCode: 2})
        expect(hints).to.contain(hint)
      })
    }
  })

  describe('by tenant', () => {
    it('is every row of it, its own, those reached through foreign keys, and what was detached', () => {
      expect(shown(select({tenant: 't1'}))).to.have.members([
        'tenants rows id=t1', 'users rows tenantId=t1', 'user_auth_links rows userId->users.id[tenantId=t1]', 'contacts rows tenantId=t1', 'leads rows tenantId=t1', 'calls rows tenantId=t1',
        'webhook_events rows tenantId=t1', 'webhook_events links (tenantId) tenantId=t1', 'audit_logs rows tenantId=t1', 'incomes rows tenantId=t1', 'messages rows tenantId=t1',
        'crm.notes links (userId) userId->users.id[tenantId=t1]',
      ])
      expect(select({tenant: 't1'}).selection.tenant).to.deep.equal({id: 't1', column: 'tenantId'})
    })

    it('stands in the order of the foreign keys, rows before the links of the same table', () => {
      const order = shown(select({tenant: 't1'})).map((line) => line.split(' ').slice(0, 2).join(' '))
      const before = (one: string, other: string) => { expect(order.indexOf(one), `${one} before ${other}`).to.be.within(0, order.indexOf(other) - 1) }
      for (const [one, other] of [['tenants', 'users'], ['users', 'user_auth_links'], ['contacts', 'leads'], ['leads', 'calls'], ['users', 'incomes']]) before(`${one ?? ''} rows`, `${other ?? ''} rows`)
      before('webhook_events rows', 'webhook_events links')
    })

    it('follows keys through several tables without a tenant, by any of the ways there, and not in a circle', () => {
      const deep = literalCatalog('tenants: id', 'users: id tenantId->tenants.id:CASCADE', 'teams: id ownerId->users.id:CASCADE parentId?->teams.id:CASCADE', 'seats: id teamId->teams.id:NOTHING userId?->users.id:CASCADE', 'lamps: id seatId->seats.id:CASCADE', 'prizes: id lampId?->lamps.id:NOTHING')
      expect(shown(select({tenant: 'x'}, {live: deep, backup: deep}))).to.deep.equal([
        'tenants rows id=x', 'users rows tenantId=x', 'teams rows ownerId->users.id[tenantId=x]',
        'seats rows any(teamId->teams.id[ownerId->users.id[tenantId=x]]; userId->users.id[tenantId=x])',
        'lamps rows seatId->seats.id[any(teamId->teams.id[ownerId->users.id[tenantId=x]]; userId->users.id[tenantId=x])]',
      ])
    })

    it('takes another name of the column, and a tenants table called otherwise', () => {
      const other = literalCatalog('orgs: org_no name', 'people: id org->orgs.org_no:CASCADE', 'hooks: id org?->orgs.org_no:NULL', 'keys: id owner->orgs.org_no:CASCADE')
      expect(shown(select({tenant: '7'}, {live: other, backup: other, tenantColumn: 'org'}))).to.have.members(['orgs rows org_no=7', 'people rows org=7', 'hooks rows org=7', 'hooks links (org) org=7', 'keys rows owner=7'])
    })

    it('works where nothing refers to a table of tenants', () => {
      const bare = literalCatalog('a: id tenantId', 'b: id aId->a.id:CASCADE')
      expect(shown(select({tenant: '7'}, {live: bare, backup: bare}))).to.deep.equal(['a rows tenantId=7', 'b rows aId->a.id[tenantId=7]'])
    })

    it('is narrowed by tables, and narrows them', () => {
      expect(shown(select({tenant: 't1', tables: ['leads', 'user_auth_links', 'messages_2026']}))).to.deep.equal(['leads rows tenantId=t1', 'messages_2026 rows tenantId=t1', 'user_auth_links rows userId->users.id[tenantId=t1]'])
      expect(shown(select({tenant: 't1', tables: ['webhook_events']}))).to.deep.equal(['webhook_events rows tenantId=t1', 'webhook_events links (tenantId) tenantId=t1'])
      expect(shown(select({tenant: 't1', tables: ['leads'], where: 'a', transaction: '5'}))).to.deep.equal(['leads rows every(tenantId=t1; {a}; xmin=5)'])
    })

    it('leaves out what is only on one side, and says so', () => {
      const {notes, ...selected} = select({tenant: 't1'}, {live: without('calls'), backup: without('audit_logs')})
      expect(shown({...selected, notes}).join()).not.to.match(/calls|audit_logs/)
      expect(notes.join('\n')).to.contain('left out: public.calls').and.to.contain('Not in the backup: public.audit_logs')
      expect(refusal({tenant: 't1', tables: ['calls']}, {live: without('calls')}).code).to.equal('partial.table-lost')
    })
  })

  describe('with what hangs together', () => {
    it('relinks the rows whose link was nulled', () => {
      expect(shown(select({tables: ['leads'], relink: true}))).to.deep.equal(['leads rows all', 'calls links (leadId) leadId->leads.id[all]'])
      expect(shown(select({tables: ['contacts'], where: 'x', relink: true}))).to.deep.equal(['contacts rows {x}', 'leads links (contactId) contactId->contacts.id[{x}]', 'calls links (contactId) contactId->contacts.id[{x}]'])
      expect(select({tables: ['plans'], relink: true}).notes.join()).to.contain('--relink changes nothing')
    })

    it('relinks only the tenant’s own rows with a tenant, and what was detached once', () => {
      const lines = shown(select({tenant: 't1', relink: true}))
      expect(lines).to.include.members(['calls links (leadId) every(tenantId=t1; leadId->leads.id[tenantId=t1])', 'webhook_events links (tenantId) tenantId=t1'])
      expect(lines.filter((line) => line.startsWith('webhook_events links'))).to.have.length(1)
    })

    it('takes the parents of the parents, by every way to them', () => {
      expect(shown(select({tables: ['calls'], where: 'c', withParents: true}))).to.deep.equal([
        'tenants parent any(id->calls.tenantId[{c}]; id->contacts.tenantId[any(id->calls.contactId[{c}]; id->leads.contactId[id->calls.leadId[{c}]])]; id->leads.tenantId[id->calls.leadId[{c}]])',
        'contacts parent any(id->calls.contactId[{c}]; id->leads.contactId[id->calls.leadId[{c}]])', 'leads parent id->calls.leadId[{c}]', 'calls rows {c}',
      ])
    })

    it('takes no parents that are selected, and none in a circle', () => {
      expect(shown(select({tables: ['leads', 'contacts', 'tenants'], withParents: true}))).to.deep.equal(['tenants rows all', 'contacts rows all', 'leads rows all'])
      const ring = literalCatalog('a: id b->b.id:NOTHING', 'b: id a->a.id:NOTHING', 'c: id a->a.id:NOTHING c?->c.id:NULL')
      expect(shown(select({tables: ['c'], withParents: true}, {live: ring, backup: ring}))).to.deep.equal(['a parent id->c.a[all]', 'b parent id->a.b[id->c.a[all]]', 'c rows all'])
    })

    it('takes the parents of a partition, too', () => {
      expect(shown(select({tables: ['messages_2026'], withParents: true}))).to.deep.equal(['tenants parent id->messages_2026.tenantId[all]', 'messages_2026 rows all'])
    })
  })
})
