import {preflightError} from '../../../errors.ts'
import {knowsCollation, type Collation} from '../../../postgres/create-database.ts'
import type {Client} from '../../../postgres/connection.ts'
import {readDatabaseText, type DatabaseText} from '../../../postgres/database-text.ts'
import {choosePsql} from '../../../postgres/psql.ts'
import {mayOwn, missingExtensions} from '../../../postgres/restore-needs.ts'
import type {ServerFacts} from '../../../postgres/server.ts'
import type {Step, StepIo} from '../../../runbook/procedure.ts'
import {lookAtServer, psql, serverByHand, warnOlder} from '../preflight.ts'
import {readByHand} from './by-hand.ts'
import {factsOf, needsOf} from './facts.ts'
import {checkRoles, ownedIn, type RolesWish} from '../roles.ts'
import {tellSkipped} from '../skipped.ts'
import type {ForeignOptions, ForeignState} from './options.ts'
import {scriptFindings} from './script.ts'
import type {ForeignWork} from './work.ts'

/** Everything that can be known to fail is known here, before anything is made. What is quick comes first: to read a large dump takes its time. */
export function preflightSteps(options: ForeignOptions, work: ForeignWork): Step<ForeignState>[] {
  return [serverStep(options, work), dumpStep(options, work), needsStep(options, work)]
}

function serverStep(options: ForeignOptions, work: ForeignWork): Step<ForeignState> {
  return {
    id: 'restore.server',
    title: `Look at the server ${options.target.host}`,
    effect: 'read',
    byHand: (state) => serverByHand(options, work, state),
    run: async (state, io) => { await lookAtServer(options, work, state, io) },
  }
}

export function dumpStep(options: ForeignOptions, work: ForeignWork): Step<ForeignState> {
  const {dump} = options
  return {
    id: 'restore.dump',
    title: `Read ${dump.name} to its end`,
    effect: 'read',
    byHand: (state) => readByHand(options, state),
    run: (state, io) => work.time(state.timings, 'read', async () => {
      const proven = await work.open(state, serverOf(state).major, io)
      state.dump = {...state.dump, ...factsOf(proven)}
      state.archiveBytes = proven.ready.bytes
      if (proven.tools) state.tools = proven.tools
      state.findings.push({code: 'restore.dump', severity: 'ok', subject: '', message: proven.extent})
      io.notice(`Read: ${proven.extent}.`)
    }),
  }
}

/** Of a dump: it names roles, and says no more of them. */
export const dumpRoles = (options: ForeignOptions, work: ForeignWork): RolesWish => ({
  needs: () => needsOf(work.proven, {major: work.serverMajor, superuser: false}).roles,
  known: [],
  owner: ({dump}: Partial<ForeignState>) => dump?.owner,
  byHand: {...psql(options, work, 'CREATE ROLE …'), note: 'a dump holds no roles: what they were, pg_dumpall --roles-only says on the server that it is from'},
  owned: (role) => (work.proven.archive ? ownedIn(work.proven.archive, role) : []),
})

export function serverOf({server}: ForeignState): ServerFacts {
  if (server === undefined) throw new Error('The server has not been looked at.')
  return server
}

export function needsStep(options: ForeignOptions, work: ForeignWork): Step<ForeignState> {
  return {
    id: 'restore.needs',
    title: 'Roles, extensions, encoding',
    effect: 'read',
    byHand: () => [psql(options, work, String.raw`\du`), psql(options, work, 'SELECT name, default_version FROM pg_available_extensions ORDER BY 1')],
    async run(state, io) {
      const client = await work.maintenance()
      const server = serverOf(state)
      const {script} = work.proven
      const needs = needsOf(work.proven, server)
      tellSkipped(state)
      await checkRoles(options, work, dumpRoles(options, work), state)
      await refuseExtensions(client, needs.extensions, state)
      if (state.dump.serverVersion !== undefined) warnOlder(server, Number.parseInt(state.dump.serverVersion, 10), work.proven.archive, state, io)
      if (script) {
        work.psql = choosePsql(options.tools, server.major)
        state.findings.push(...scriptFindings(script, server))
      }
      state.findings.push(...needs.findings)
      await decideDatabase(client, state, server, io)
    },
  }
}

async function refuseExtensions(client: Client, extensions: readonly string[], {label}: ForeignState): Promise<void> {
  const missing = await missingExtensions(client, extensions.map((name) => ({name})))
  if (missing.length > 0) throw preflightError('restore.extensions', `The server does not offer ${missing.length === 1 ? 'an extension' : 'extensions'} of ${label}: ${missing.join(', ')}.`, {hints: ['Install the packages on the server (postgresql-contrib and the like).']})
}

/** Encoding, collation and owner: those of the dump; what it does not say, or the server does not know, as in the live database, or in the one of maintenance. */
export async function decideDatabase(client: Client, state: ForeignState, server: ServerFacts, io: StepIo): Promise<void> {
  const live: DatabaseText & {owner?: string} = (await readDatabaseText(client, state.live, server.major)) ?? server
  const {encoding, collation, owner = live.owner} = state.dump
  state.dump.encoding = encoding ?? live.encoding
  state.dump.collation = collation ?? live.collation
  if (collation && !(await knowsCollation(client, collation, server.major))) {
    const message = `the server does not know the collation of the dump (${words(collation)}): the new database gets ${words(live.collation)}, and texts may sort otherwise`
    state.dump.collation = live.collation
    state.findings.push({code: 'restore.collation', severity: 'warning', subject: '', message})
    io.notice(`Note: ${message}.`)
  }
  if (owner !== undefined && (await mayOwn(client, owner, server.major))) state.owner = owner
}

const words = ({provider, collate, ctype, locale}: Collation): string => [provider, locale ?? collate, ...(ctype === collate || locale !== undefined ? [] : [ctype])].join(' ')
