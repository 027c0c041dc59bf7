import {usageError} from '../../errors.ts'
import type {Client} from '../../postgres/connection.ts'
import {readLiveCounts, type LiveCounts} from '../../postgres/live-counts.ts'
import {repairsIn} from '../../postgres/investigate/repairs.ts'
import {cascadingKeys, readTraces, type TableTraces} from '../../postgres/investigate/losses.ts'
import {wholeTables, type WholeTable} from '../../postgres/investigate/tables.ts'
import {fullTransaction, readWitnesses, type Witnesses} from '../../postgres/investigate/transactions.ts'
import {writersOf} from '../../postgres/investigate/writers.ts'
import {newerThan} from '../../postgres/newer-rows.ts'
import {targetName} from '../../postgres/target.ts'
import type {AuditFinding, Damage, InvestigatedTable, Investigation} from '../../report/investigation.ts'
import {size} from '../../report/swap-lines.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {assertTables} from '../diff/index.ts'
import {runNamed} from '../partial/run-options.ts'
import {auditOf} from './audit.ts'
import {readBackups, type ReadBackups} from './backups.ts'
import {lossesOf, weighLoss} from './gone.ts'
import {keyOf, tableSeries, tenantSeries, type KnownBackup, type TableSeries, type TenantSeries} from './history.ts'
import {applicationName, askingTable, giving, looking} from './looking.ts'
import type {InvestigateOptions, InvestigateState} from './options.ts'
import {weighSuspect} from './overwritten.ts'
import {compare, later, timesAround, type TimesAround} from './instants.ts'
import {formerOf} from './preserve.ts'
import {tableName} from './proposal.ts'
import {revertsIn} from './reverts.ts'
import {suspectsOf, writingTransaction} from './suspects.ts'

const LARGE_BYTES = 16e9
const WRITERS = 10
const MOST_DAMAGES = 8
const MOST_TENANTS = 20

/** What the steps of one investigation hand to each other. */
export class Work {
  readonly #options: InvestigateOptions
  readonly #notes: string[] = []
  #witnesses: Witnesses | undefined
  #tables: WholeTable[] = []
  #traces = new Map<number, TableTraces>()
  /** The schemas of repairs, by transaction. */
  #repairs = new Map<string, string>()
  /** The merges that were taken back, by the transaction that did. */
  #reverts = new Map<string, string>()
  #read: ReadBackups = {backups: [], older: false, notes: [], incomplete: false}
  #live: LiveCounts | undefined
  #series: TableSeries[] = []
  #tenants: TenantSeries[] = []
  #found = new Map<string, InvestigatedTable>()
  #audit: AuditFinding = {table: '', since: '', hours: []}

  constructor(options: InvestigateOptions) {
    this.#options = options
  }

  /** What the server and its catalog tell without reading a table; and what the look itself does to the evidence. */
  async lookAround(state: InvestigateState, io: StepIo): Promise<void> {
    const {config, preserve} = this.#options
    await looking(this.#options, io.signal, async ({client}) => {
      this.#witnesses = await readWitnesses(client)
      this.#repairs = await repairsIn(client)
      this.#reverts = await revertsIn(this.#options, this.#witnesses)
      this.#tables = await wholeTables(client, config.database, config.investigate.timestampColumns)
      this.#traces = await readTraces(client, this.#tables.flatMap(({parts}) => parts.map(({oid}) => oid)), this.#witnesses)
      if (preserve) state.former = await formerOf(client, this.#chosen(), this.#witnesses)
    })
    const large = this.#tables.filter((table) => this.#isWanted(table) && !this.#isRead(table))
    for (const table of large) this.#notes.push(`${tableName(table)} takes ${size(table.bytes)} and was not read: name it with --table.`)
    const read = this.#tables.filter((table) => this.#isRead(table))
    const bytes = size(read.reduce((sum, table) => sum + table.bytes, 0))
    const prunes = this.#witnesses?.standby === true ? 'On a standby this removes nothing.' : `Reading, like a dump, may remove dead row versions from the pages, and so does autovacuum${preserve ? '.' : ': --preserve switches that off first.'}`
    io.notice(`Reads ${read.length} of ${this.#tables.length} tables whole, about ${bytes}. ${prunes}`)
  }

  async readBackups(io: StepIo): Promise<void> {
    const {storages, config: {environment}, target: {database}, backups: limit, since} = this.#options
    this.#read = await readBackups({storages, environment, database, limit, since, place: this.#known, signal: io.signal})
    const {backups, notes} = this.#read
    const known = [...this.#tables.flatMap((table) => [table, ...table.parts]), ...backups.flatMap(({tables}) => tables)]
    assertTables(this.#options.tables, known)
    this.#notes.push(...notes, ...this.#aboutBackups())
  }

  async count(io: StepIo): Promise<void> {
    const {config: {database}, target, jobs, tenant} = this.#options
    const read = new Set(this.#tables.filter((table) => this.#isRead(table)).flatMap(({parts}) => parts.map(keyOf)))
    const oldest = this.#oldest
    this.#live = await giving(this.#options, io.signal, (signal) => readLiveCounts(target, {
      ...database, applicationName: applicationName(this.#options), connections: jobs, signal, ...(oldest && {since: oldest.instant}),
      wanted: (table) => read.has(keyOf(table)), onCounted: (done, total) => { io.progress({unit: 'items', done, total, note: `${done} of ${total} tables`}) },
    }))
    const tables = this.#tables.filter((table) => this.#isRead(table))
    const isLive = new Set(this.#tables.flatMap((table) => [table, ...table.parts]).map(keyOf))
    const inScope = this.#read.backups.map((backup) => ({...backup, tables: backup.tables.filter((table) => read.has(keyOf(table)) || (!isLive.has(keyOf(table)) && this.#isNamed(table)))}))
    this.#series = tableSeries(ofTenant(this.#live.tables, tenant), tables, inScope.map((backup) => ({...backup, tables: ofTenant(backup.tables, tenant)})))
    this.#tenants = tenantSeries(this.#live.tables, inScope).filter((one) => tenant === undefined || one.tenant === tenant)
    if (tenant !== undefined && this.#tenants.length === 0) throw usageError('investigate.tenant-unknown', `No row of tenant ${tenant} is live or in the backups that were read.`, {hints: ['dr diff --all lists the tenants.', 'database.tenantColumn names the column that says whose a row is.', '--backups reads older backups, too.']})
  }

  /** Of tables in which something was written since the oldest backup; of those that were named, all rows. */
  async group(io: StepIo): Promise<void> {
    const {backups} = this.#read
    for (const {schema, name, live, history, trouble} of this.#series) this.#found.set(keyOf({schema, name}), {schema, name, rows: live, history, ...(trouble !== undefined && {trouble})})
    const tables = this.#tables.filter((table) => this.#isRead(table) && this.#wasWritten(table))
    await looking(this.#options, io.signal, async ({client}) => {
      const newer = this.#oldest === undefined || this.#isScoped ? undefined : await newerThan(client, this.#oldest.instant)
      for (const [index, table] of tables.entries()) {
        io.progress({unit: 'items', done: index, total: tables.length, note: tableName(table)})
        await this.#groupOne(client, table, newer !== undefined && 'condition' in newer ? newer.condition : undefined, backups)
      }
    })
  }

  async readAudit(io: StepIo): Promise<void> {
    const {backups} = this.#read
    this.#audit = await looking(this.#options, io.signal, ({client, at}) => auditOf(client, this.#options, {backups, at, tables: this.#tables}))
  }

  async weigh(io: StepIo): Promise<Investigation> {
    const {backups, older} = this.#read
    const damages = await looking(this.#options, io.signal, ({client}) => this.#damages(client, io))
    const {config: {environment}, target, tables, tenant, since, actor} = this.#options
    if (damages.length > MOST_DAMAGES) this.#notes.push(`${damages.length - MOST_DAMAGES} more findings are not shown: --table or --tenant looks closer.`)
    return {
      environment, target: targetName(target), database: target.database, at: this.#at, commitTimestamps: this.#known.commitTimestamps,
      scope: {tables: [...tables], ...(tenant !== undefined && {tenant}), ...(since !== undefined && {since}), ...(actor !== undefined && {actor})},
      backups: backups.map(({label, at, good, comparable}) => ({label, at, good, comparable})), olderBackups: older, tables: [...this.#found.values()],
      tenants: this.#tenants.map(({live, ...one}) => ({...one, rows: live})).toSorted((a, b) => Math.max(...b.history, 0) - b.rows - Math.max(...a.history, 0) + a.rows).slice(0, MOST_TENANTS),
      damages: damages.slice(0, MOST_DAMAGES), audit: this.#audit, notes: this.#notes, complete: !this.#read.incomplete && [...this.#found.values()].every(({trouble}) => trouble === undefined),
    }
  }

  async #groupOne(client: Client, table: WholeTable, condition: string | undefined, backups: readonly KnownBackup[]): Promise<void> {
    const found = this.#found.get(keyOf(table))
    if (found === undefined || found.trouble !== undefined) return
    const answer = await askingTable(client, table, () => writersOf(client, table, {witnesses: this.#known, condition, tenant: this.#tenantOf(table), limit: WRITERS}))
    if ('trouble' in answer) found.trouble = answer.trouble
    else found.writers = answer.value.filter(({committedAt}) => this.#options.since === undefined || committedAt === undefined || compare(committedAt, this.#options.since) >= 0).map((writer) => ({...writingTransaction(writer, found.rows, this.#known.next, backups), ...this.#repairOf(writer)}))
    found.dead = table.parts.reduce((sum, {oid}) => sum + (this.#traces.get(oid)?.dead ?? 0), 0)
  }

  async #damages(client: Client, io: StepIo): Promise<Damage[]> {
    const {backups} = this.#read
    const {tables, tenant, config: {database: {tenantColumn}}} = this.#options
    const damages: Damage[] = []
    const elsewhere = this.#timesAround()
    const losses = lossesOf({series: this.#series, tenants: this.#tenants, backups, named: tenant !== undefined ? 'tenant' : tables.length > 0 ? 'tables' : undefined, tenant, cascades: await cascadingKeys(client)})
    for (const loss of losses.slice(0, MOST_DAMAGES * 2)) {
      io.signal.throwIfAborted()
      damages.push(await weighLoss(client, loss, {witnesses: this.#known, backups, tables: this.#tables, tenantColumn, traces: this.#traces, repairs: [...this.#repairs.keys(), ...this.#reverts.keys()], audit: this.#audit, elsewhere, at: this.#at}))
    }
    const suspects = suspectsOf([...this.#found.values()], {backups, named: this.#isScoped, next: this.#known.next}).filter(({writer}) => damages.every(({transaction}) => transaction !== writer.transaction))
    for (const suspect of suspects) {
      const whole = this.#tables.find((table) => keyOf(table) === keyOf(suspect.table))
      if (whole === undefined) continue
      io.progress(tableName(whole))
      const answer = await askingTable(client, whole, () => weighSuspect(client, whole, suspect, {backups, next: this.#known.next, at: this.#at, tenant: this.#tenantOf(whole), tenantColumn, elsewhere, signal: io.signal}))
      if ('value' in answer) damages.push(answer.value)
      else suspect.table.trouble = answer.trouble
    }
    const {since} = this.#options
    return damages.filter(({when}) => since === undefined || compare(when.to, since) >= 0).toSorted((a, b) => Number(a.certainty !== 'likely') - Number(b.certainty !== 'likely') || b.rows - a.rows)
  }

  #repairOf({transaction}: {transaction: string}): {repair?: string; takenBack?: string} {
    const [schema, reverted] = [this.#repairs.get(transaction), this.#reverts.get(transaction)]
    return {...(schema !== undefined && {repair: runNamed(schema)}), ...(reverted !== undefined && {takenBack: runNamed(reverted)})}
  }

  #timesAround(): (transaction: string, known: TimesAround) => TimesAround {
    const {next} = this.#known
    const writers = [...this.#found.values()].flatMap((table) => table.writers ?? []).map(({transaction, updatedTo, createdTo}) => ({transaction: fullTransaction(transaction, next), newest: later(updatedTo, createdTo)}))
    return (transaction, known) => timesAround(fullTransaction(transaction, next), writers, known)
  }

  #aboutBackups(): string[] {
    const {backups, older} = this.#read
    if (backups.length === 0) return [`There is no backup of ${this.#options.config.environment} to compare with: nothing tells what is gone.`]
    const others = backups.filter(({comparable}) => !comparable).length
    return [
      ...(others === 0 ? [] : [`${others === backups.length ? (others === 1 ? 'The backup is' : `All ${others} backups are`) : `${others} of ${backups.length} backups are`} of another server or database or another history of it, or it is not known of which: what they hold is told by the clock, not by transactions.`]),
      ...(older ? [`Only the newest ${backups.length} backups were read: --backups N reads more.`] : []),
    ]
  }

  get #known(): Witnesses {
    if (this.#witnesses === undefined) throw new Error('The server was not asked.')
    return this.#witnesses
  }

  get #at(): string {
    return this.#live?.at ?? new Date().toISOString()
  }

  get #isScoped(): boolean {
    return this.#options.tables.length > 0 || this.#options.tenant !== undefined
  }

  /** What it holds of this server's transactions can be told. */
  get #oldest(): KnownBackup | undefined {
    return this.#read.backups.findLast(({comparable}) => comparable)
  }

  #isNamed({schema, name}: {schema: string; name: string}): boolean {
    const {tables} = this.#options
    return tables.length === 0 || tables.includes(name) || tables.includes(`${schema}.${name}`)
  }

  #isWanted(table: WholeTable): boolean {
    const {tenant, config: {database: {tenantColumn}}} = this.#options
    return (this.#isNamed(table) || table.parts.some((part) => this.#options.tables.length > 0 && this.#isNamed(part))) && (tenant === undefined || table.columns.includes(tenantColumn))
  }

  #isRead(table: WholeTable): boolean {
    return this.#isWanted(table) && (this.#options.tables.length > 0 || table.bytes <= (this.#options.largeBytes ?? LARGE_BYTES))
  }

  #chosen(): WholeTable[] {
    return this.#tables.filter((table) => this.#isWanted(table))
  }

  /** Where that is not known, it may have been. */
  #wasWritten(table: WholeTable): boolean {
    const parts = new Set(table.parts.map(keyOf))
    return this.#isScoped || (this.#live?.tables ?? []).filter((one) => parts.has(keyOf(one))).some(({newer}) => newer !== 0)
  }

  #tenantOf(table: WholeTable): {column: string; id: string} | undefined {
    const {tenant, config: {database: {tenantColumn}}} = this.#options
    return tenant === undefined || !table.columns.includes(tenantColumn) ? undefined : {column: tenantColumn, id: tenant}
  }
}

/** With a tenant: its rows, of the tables that count them; those that could not be counted stay. */
function ofTenant<T extends {rows: number | null; tenants?: Record<string, number>; trouble?: string}>(tables: readonly T[], tenant: string | undefined): T[] {
  if (tenant === undefined) return [...tables]
  return tables.flatMap((table) => (table.trouble !== undefined ? [table] : table.tenants === undefined ? [] : [{...table, rows: table.tenants[tenant] ?? 0}]))
}

